"""A consumer as a team writes it by hand, and right: each animal of the zoo differs from it in one way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from confluent_kafka import Message, TopicPartition

from pytest_msk import Consumption, Record, Topic
from pytest_msk.clock import Deadline

#: What the function gets: records whose `kind` is `order`.
WANTED = {"Filters": [{"Pattern": '{"value": {"kind": ["order"]}}'}]}
PATIENCE = 20.0


class HandlerFailed(Exception):
    """What the handler raises."""


class Careful:
    """Reads in batches, filters, calls the handler until it succeeds, commits behind what is done, and tells of it."""

    batch_size = 5
    max_attempts = 10

    def __init__(self, topic: Topic, group: str, handler: Callable[[list[Record]], None]) -> None:
        self.topic, self.group, self.handler = topic, group, handler
        self.told = Consumption(
            topic, group=group, name=type(self).__name__, batch_size=Careful.batch_size, filter_criteria=WANTED
        )
        self.consumer: Any = None
        self.positions: dict[int, int] = {}
        self.stopped = False

    # --- the group

    def start(self, partitions: Iterable[int] | None = None) -> None:
        """Take partitions, all of them by default, at what the group has committed."""
        committed = self.topic.broker.committed(self.group, self.topic.name)
        taken = range(self.topic.partitions) if partitions is None else partitions
        if self.consumer is None:
            self.consumer = self.topic.broker.consumer(self.group)
        self.positions = {**self.positions, **{p: self.resume_at(p, committed.get(p, 0)) for p in taken}}
        self.told.assigned({p: committed.get(p, 0) for p in taken})
        self.seek()

    def resume_at(self, partition: int, committed: int) -> int:
        return committed

    def seek(self) -> None:
        self.consumer.assign([TopicPartition(self.topic.name, p, o) for p, o in self.positions.items()])

    def rebalance(self) -> None:
        """Lose a partition of which records have been read, and get it back."""
        if read := self.read(2):
            partition = read[0].partition()
            self.revoked(partition, read)
            self.start([partition])

    def revoked(self, partition: int, read: list[Message]) -> None:
        """What was read is read again by the next owner; of the other partitions it is kept."""
        self.told.revoked([partition])
        del self.positions[partition]
        for message in read:
            if message.partition() != partition:
                self.positions[message.partition()] = min(self.positions[message.partition()], message.offset())

    def crash(self) -> None:
        """End without a word, and begin again."""
        self.close()
        self.told.restarted()
        self.positions = {}
        self.start()

    def close(self) -> None:
        if self.consumer is not None:
            self.consumer.close()
            self.consumer = None

    # --- a batch's way

    def read(self, limit: int) -> list[Message]:
        """The next records, up to the ends of the logs."""
        ends = {p: mark.high for p, mark in self.topic.watermarks().items()}
        found: list[Message] = []
        deadline = Deadline(PATIENCE)
        while room := min(limit - len(found), sum(max(0, ends[p] - o) for p, o in self.positions.items())):
            assert not deadline.passed, f"only {len(found)} records came"
            for message in self.consumer.consume(room, 0.2):
                assert message.error() is None, message.error()
                found.append(message)
                self.positions[message.partition()] = message.offset() + 1
        return found

    def turn(self, *, commit: bool = True) -> bool:
        """Read and handle one batch; false when nothing is left."""
        if self.stopped or not (read := self.read(self.batch_size)):
            return False
        kept, aside = self.sort(read)
        if aside:
            self.told.filtered(aside)
        if kept:
            self.deliver(self.arrange(kept))
        if commit and not self.stopped:
            self.commit(self.done(read))
        return True

    def sort(self, read: list[Message]) -> tuple[list[Message], list[Message]]:
        kept = [message for message in read if self.told.filters.decide(message.value()) != "filtered"]
        return kept, [message for message in read if message not in kept]

    def arrange(self, kept: list[Message]) -> list[Message]:
        return kept

    def deliver(self, records: list[Any]) -> None:
        number = self.told.batch(records)
        while not self.attempt(number, records):
            pass

    def attempt(self, number: int, records: list[Any]) -> bool:
        """Call the handler once."""
        try:
            self.handler(records)
        except HandlerFailed as error:
            self.told.attempted(number, error=error)
            return False
        self.told.attempted(number)
        return True

    def done(self, read: list[Message]) -> dict[int, int]:
        """What may be committed: per partition the next offset."""
        return {message.partition(): message.offset() + 1 for message in read}

    def commit(self, positions: dict[int, int]) -> None:
        self.consumer.commit(
            offsets=[TopicPartition(self.topic.name, p, o) for p, o in positions.items()], asynchronous=False
        )
        self.told.committed(positions)
