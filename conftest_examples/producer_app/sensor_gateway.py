"""An application that produces by itself: a gateway that forwards sensor readings on a thread of its own."""

import json
import threading
from collections.abc import Iterable

from confluent_kafka import Producer


class Gateway:
    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        self._producer = Producer({"bootstrap.servers": bootstrap_servers})
        self._topic = topic

    def forward(self, readings: Iterable[dict]) -> threading.Thread:
        thread = threading.Thread(target=self._send, args=(list(readings),))
        thread.start()
        return thread

    def _send(self, readings: list[dict]) -> None:
        for reading in readings:
            self._producer.produce(self._topic, json.dumps(reading), key=reading["sensor"])
        self._producer.flush(10)
