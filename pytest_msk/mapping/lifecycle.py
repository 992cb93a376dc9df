"""Lifecycle: the states of a mapping and what moves it from one to the next (spec 2.5). Pure: it is told the time.

A call of the API begins a transition, and the transition's end is a matter of time alone. While one is under way every
other call is refused with `ResourceInUseException`. The table below is all there is; nothing else changes a state.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from ..journal import State, StateChanged
from ._validation import EventSourceMappingError

__all__ = ["TRANSITIONS", "Cause", "Lifecycle", "Transition"]

#: What moves a mapping: a call of the API, the poller that stops itself, or the end of a transition.
Cause = Literal["enable", "disable", "update", "delete", "stop", "enabled", "disabled", "deleted"]
#: The states that end by themselves.
Transition = Literal["Creating", "Enabling", "Updating", "Disabling", "Deleting"]

TRANSITIONS: Mapping[tuple[State, Cause], State] = {
    ("Creating", "enabled"): "Enabled",
    ("Creating", "disabled"): "Disabled",
    ("Enabled", "update"): "Updating",
    ("Enabled", "disable"): "Disabling",
    ("Enabled", "stop"): "Disabling",
    ("Enabled", "delete"): "Deleting",
    ("Disabled", "update"): "Updating",
    ("Disabled", "enable"): "Enabling",
    ("Disabled", "delete"): "Deleting",
    ("Updating", "enabled"): "Enabled",
    ("Updating", "disabled"): "Disabled",
    ("Enabling", "enabled"): "Enabled",
    ("Disabling", "disabled"): "Disabled",
    ("Deleting", "deleted"): "Deleted",
}
_PASSING = frozenset(get_args(Transition))
_BY_THE_USER = "USER_INITIATED"


class Lifecycle:
    """The state of one mapping. Every method answers with the states that it went into, oldest first.

    Args:
        now_ms: when it was made, epoch milliseconds.
    """

    def __init__(self, now_ms: int) -> None:
        self._state: State = "Creating"
        self._reason = _BY_THE_USER
        self._since = now_ms
        self._length = 0
        self._end: Cause = "enabled"

    @property
    def state(self) -> State:
        """The state that it is in, by what has been told so far."""
        return self._state

    @property
    def reason(self) -> str:
        """What AWS shows as `StateTransitionReason`: who made the last change."""
        return self._reason

    @property
    def due_ms(self) -> int | None:
        """When the transition that is under way ends, epoch milliseconds; `None` when there is none."""
        return self._since + self._length if self._state in _PASSING else None

    def created(self, *, enabled: bool, length_ms: int) -> tuple[StateChanged, ...]:
        """Say how long the creation takes and what comes after it."""
        self._length, self._end = length_ms, "enabled" if enabled else "disabled"
        return (self._changed(self._since), *self.settle(self._since))

    def begin(
        self, cause: Cause, now_ms: int, *, enabled: bool, length_ms: int, reason: str = _BY_THE_USER
    ) -> tuple[StateChanged, ...]:
        """Begin a transition; one that takes no time has ended with it.

        Args:
            cause: what begins it.
            now_ms: the time, epoch milliseconds.
            enabled: whether the mapping is to be enabled afterwards.
            length_ms: how long it takes, milliseconds.
            reason: the `StateTransitionReason`.

        Raises:
            EventSourceMappingError: another one is under way, or the mapping is deleted; the text is AWS's.
        """
        self.refuse(cause)
        target = TRANSITIONS.get((self._state, cause))
        if target is None:
            raise RuntimeError(f"A mapping that is {self._state} cannot {cause}.")
        self._state, self._reason, self._since, self._length = target, reason, now_ms, length_ms
        self._end = "deleted" if cause == "delete" else "enabled" if enabled else "disabled"
        return (self._changed(now_ms), *self.settle(now_ms))

    def refuse(self, cause: Cause) -> None:
        """Raise AWS's error if nothing can be begun now."""
        if self._state == "Deleted":
            raise EventSourceMappingError("ResourceNotFoundException", "The resource you requested does not exist.")
        if self._state in _PASSING:
            what = "delete" if cause == "delete" else "update"
            raise EventSourceMappingError(
                "ResourceInUseException", f"Cannot {what} the event source mapping because it is in use."
            )

    def settle(self, now_ms: int) -> tuple[StateChanged, ...]:
        """End the transition that is under way, if its time has come."""
        due = self.due_ms
        return () if due is None or now_ms < due else self._finish(due)

    def finish(self, now_ms: int) -> tuple[StateChanged, ...]:
        """End the transition that is under way, if any, whether its time has come or not."""
        due = self.due_ms
        return () if due is None else self._finish(min(due, now_ms))

    def _finish(self, when_ms: int) -> tuple[StateChanged, ...]:
        self._state = TRANSITIONS[self._state, self._end]
        return (self._changed(when_ms),)

    def _changed(self, when_ms: int) -> StateChanged:
        return StateChanged(time_ms=when_ms, state=self._state, reason=self._reason)
