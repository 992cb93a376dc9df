"""The exceptions that the kit raises of its own accord, all derived from `MskError`."""

from __future__ import annotations

__all__ = ["BrokerError", "BrokerUnavailable", "MskError", "NotSupported", "TopicExists"]


class MskError(Exception):
    """Base of every error of this project; its text says what was asked, what was found and what to do."""


class BrokerError(MskError):
    """A broker refused a request or did not answer it in time.

    Args:
        message: what was asked, and what the broker said.
        code: the Kafka client's name of the error, such as `TOPIC_AUTHORIZATION_FAILED`, where there is one.
    """

    def __init__(self, message: str = "", *, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class BrokerUnavailable(BrokerError):
    """The broker that was asked for cannot be had: no daemon, no image, no answer."""


class TopicExists(BrokerError):
    """A topic of that name is there already; it is never touched."""


class NotSupported(MskError):
    """This kit, or this kind of broker, does not do what was asked; the text says what to use instead."""
