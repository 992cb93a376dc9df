"""The embedded broker: Kafka in a thread of the test process, real clients over real sockets."""

from __future__ import annotations

from .broker import EmbeddedBroker

__all__ = ["EmbeddedBroker"]
