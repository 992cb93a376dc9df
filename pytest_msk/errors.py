"""The exceptions that the kit raises of its own accord, all derived from `MskError`."""

from __future__ import annotations

__all__ = ["BrokerError", "BrokerUnavailable", "MskError", "NotSupported", "TopicExists"]


class MskError(Exception):
    """Base of every error of this project; its text says what was asked, what was found and what to do."""


class BrokerError(MskError):
    """A broker refused a request or did not answer it in time."""


class BrokerUnavailable(BrokerError):
    """The broker that was asked for cannot be had: no daemon, no image, no answer."""


class TopicExists(BrokerError):
    """A topic of that name is there already; it is never touched."""


class NotSupported(MskError):
    """This kit, or this kind of broker, does not do what was asked; the text says what to use instead."""
