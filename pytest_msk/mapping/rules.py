"""The rules by which a mapping handles failures, as its parameters set them (spec 4.2)."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DeliveryRules"]

#: Retries with a destination where no other number is set (spec 4.2).
_RETRIES_WITH_DESTINATION = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryRules:
    """How failures are handled.

    Args:
        maximum_retry_attempts: retries besides the first attempt; -1 for no limit, which is 10 with a destination.
        maximum_record_age_ms: the age above which a record is given up, milliseconds; `None` for no limit.
        bisect: a batch that failed is cut in two.
        item_failures: the response tells which records failed.
        strict_order: with a partial response all from a partition's lowest failed record on are tried again.
        destination: whether there is one.
        backoff_ms: pause after a failed attempt, milliseconds.
    """

    maximum_retry_attempts: int = -1
    maximum_record_age_ms: int | None = None
    bisect: bool = False
    item_failures: bool = False
    strict_order: bool = False
    destination: bool = False
    backoff_ms: int = 0

    @property
    def retries(self) -> int | None:
        """How often a batch is tried again; `None` for ever."""
        if self.maximum_retry_attempts >= 0:
            return self.maximum_retry_attempts
        return _RETRIES_WITH_DESTINATION if self.destination else None
