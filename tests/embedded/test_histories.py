"""Random histories of a whole group: producers, consumers that crash, rebalances, commits, and what always holds.

The coordinator and the logs are the broker's own, on a clock that the test moves; the consumers are simple ones that
read their partitions from the last commit on. Kafka's promises, checked after each step:

- a partition has one owner in a generation;
- a committed offset is the one that was acknowledged last, and not beyond the log's end;
- a record that was acknowledged is in the log, at the offset that was told, until it is deleted;
- each record below a commit was read by some member.
"""

from __future__ import annotations

from group_bench import SESSION_MS, Answer, Bench, Consumer, subscription
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from wire_client import NOW, batch

from pytest_msk.brokers.embedded._group_messages import JoinGroupResult, SyncGroupResult
from pytest_msk.brokers.embedded.errors import ErrorCode, Refused
from pytest_msk.brokers.embedded.log import LogConfig, PartitionLog
from pytest_msk.brokers.embedded.offsets import CommitOffsets, OffsetCommit

PARTITIONS = range(3)
CONFIG = LogConfig()


class Reader:
    """A consumer that shares the partitions as its leader says, reads them in order and commits what it read."""

    def __init__(self, consumer: Consumer) -> None:
        self.consumer = consumer
        self.join: Answer[JoinGroupResult] | None = None
        self.sync: Answer[SyncGroupResult] | None = None
        self.generation = -1
        self.positions: dict[int, int] = {}

    def give_back(self) -> None:
        self.positions, self.generation = {}, -1


class Histories(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(initial_rebalance_delay_ms=0)
        self.logs = {at: PartitionLog("orders", at) for at in PARTITIONS}
        self.readers: list[Reader] = []
        self.zombies: list[Reader] = []
        self.acknowledged: dict[tuple[int, int], bytes] = {}
        self.seen: set[tuple[int, int]] = set()
        self.committed: dict[int, tuple[int, int]] = {}  # by partition: the generation and the offset
        self.owners: dict[tuple[int, int], Reader] = {}  # by generation and partition
        self.made = 0

    # -- what happens ------------------------------------------------------------------------------------------

    @rule(partition=st.sampled_from(PARTITIONS), count=st.integers(1, 4))
    def a_producer_sends(self, partition: int, count: int) -> None:
        values = [b"%d" % (self.made + at) for at in range(count)]
        self.made += count
        base = self.logs[partition].append(batch(*values), CONFIG, now_ms=NOW).base_offset
        for at, value in enumerate(values):
            self.acknowledge(partition, base + at, value)

    @rule(partition=st.sampled_from(PARTITIONS), sequence=st.integers(0, 3))
    def a_producer_sends_what_may_be_refused(self, partition: int, sequence: int) -> None:
        value = b"p%d" % self.made
        self.made += 1
        raw = batch(value, producer_id=7, producer_epoch=0, base_sequence=sequence)
        end = self.logs[partition].end_offset
        try:
            appended = self.logs[partition].append(raw, CONFIG, now_ms=NOW)
        except Refused:
            assert self.logs[partition].end_offset == end, "what is refused is not written"
            return
        if appended.size:  # else it was there: the first one's value stays
            self.acknowledge(partition, appended.base_offset, value)
        else:
            assert (partition, appended.base_offset) in self.acknowledged or appended.base_offset < self.start(
                partition
            )

    def acknowledge(self, partition: int, offset: int, value: bytes) -> None:
        assert (partition, offset) not in self.acknowledged, "two records have one offset"
        self.acknowledged[partition, offset] = value

    @rule(partition=st.sampled_from(PARTITIONS), part=st.floats(0, 1))
    def records_are_deleted(self, partition: int, part: float) -> None:
        log = self.logs[partition]
        log.trim(log.start_offset + int((log.end_offset - log.start_offset) * part))

    @precondition(lambda self: len(self.readers) < 4)
    @rule()
    def a_member_starts(self) -> None:
        made = self.bench.consumer(protocols=(("range", subscription("orders")),), connection=len(self.readers))
        reader = Reader(made)
        reader.join = made.join()
        self.readers.append(reader)
        self.time_passes(2)

    @precondition(lambda self: self.readers)
    @rule(data=st.data())
    def a_member_leaves(self, data: st.DataObject) -> None:
        reader = data.draw(st.sampled_from(self.readers))
        self.readers.remove(reader)
        if reader.join is None:
            reader.consumer.leave()

    @precondition(lambda self: self.readers)
    @rule(data=st.data())
    def a_member_crashes(self, data: st.DataObject) -> None:
        reader = data.draw(st.sampled_from(self.readers))
        self.readers.remove(reader)  # it says nothing more until it is a zombie; its session times out
        self.zombies.append(reader)

    @precondition(lambda self: self.zombies)
    @rule(data=st.data())
    def a_zombie_commits(self, data: st.DataObject) -> None:
        """A member that was thought dead goes on with what it had."""
        zombie = data.draw(st.sampled_from(self.zombies))
        if zombie.positions:
            self.commit(zombie)

    @precondition(lambda self: self.zombies)
    @rule(data=st.data())
    def a_zombie_comes_back(self, data: st.DataObject) -> None:
        zombie = data.draw(st.sampled_from(self.zombies))
        if len(self.readers) < 4 and zombie.join is None and zombie.sync is None:
            self.zombies.remove(zombie)
            self.readers.append(zombie)

    @rule(ticks=st.sampled_from([1, 2, 5, 15]))
    def time_passes(self, ticks: int) -> None:
        for _ in range(ticks):
            self.bench.advance(SESSION_MS // 10)
            for reader in tuple(self.readers):
                self.tick(reader)
            self.holds()

    def tick(self, reader: Reader) -> None:
        if reader.join is not None and reader.join.given:
            result, reader.join = reader.join.value, None
            if result.error:
                self.rejoin(reader, result.error)
                return
            reader.consumer.accept(result)
            members = [member.member_id for member in result.members]
            shares = {each: bytes(at for at in PARTITIONS if at % len(members) == n) for n, each in enumerate(members)}
            reader.sync = reader.consumer.sync(shares)
        elif reader.sync is not None and reader.sync.given:
            result, reader.sync = reader.sync.value, None
            if result.error:
                self.rejoin(reader, result.error)
                return
            reader.generation = reader.consumer.generation
            for partition in result.assignment:
                other = self.owners.setdefault((reader.generation, partition), reader)
                assert other is reader, f"partition {partition} has two owners in generation {reader.generation}"
                reader.positions[partition] = max(self.last_commit(partition), self.start(partition))
        elif reader.join is None and reader.sync is None:
            beat = reader.consumer.heartbeat()
            assert beat.given, "nobody holds the answer to this heartbeat"
            if beat.value.error:
                self.rejoin(reader, beat.value.error)

    def rejoin(self, reader: Reader, error: ErrorCode) -> None:
        assert error in (ErrorCode.REBALANCE_IN_PROGRESS, ErrorCode.UNKNOWN_MEMBER_ID, ErrorCode.ILLEGAL_GENERATION)
        reader.give_back()
        if error is ErrorCode.UNKNOWN_MEMBER_ID:
            reader.consumer.member_id = ""
        reader.join = reader.consumer.join()

    @precondition(lambda self: self.readers)
    @rule(data=st.data(), count=st.integers(1, 5), commits=st.booleans())
    def a_member_reads(self, data: st.DataObject, count: int, commits: bool) -> None:
        reader = data.draw(st.sampled_from(self.readers))
        for partition, position in tuple(reader.positions.items()):
            at = max(position, self.start(partition))
            for record in self.logs[partition].records(at):
                if record.offset >= at + count:
                    break
                assert record.value == self.acknowledged[partition, record.offset]
                self.seen.add((partition, record.offset))
                reader.positions[partition] = record.offset + 1
        if commits and reader.positions:
            self.commit(reader)

    def commit(self, reader: Reader) -> None:
        offsets = tuple(
            OffsetCommit(topic="orders", partition=partition, offset=offset)
            for partition, offset in reader.positions.items()
        )
        request = CommitOffsets(
            group_id="g", member_id=reader.consumer.member_id, generation_id=reader.generation, offsets=offsets
        )
        group = self.bench.coordinator.describe("g")
        for result in self.bench.coordinator.commit_offsets(request):
            if result.error is ErrorCode.NONE:
                assert reader.generation == group.generation_id, "a commit of another generation was taken"
                assert reader.consumer.member_id in {member.member_id for member in group.members}
                self.committed[result.partition] = reader.generation, reader.positions[result.partition]

    # -- what holds --------------------------------------------------------------------------------------------

    def start(self, partition: int) -> int:
        return self.logs[partition].start_offset

    def last_commit(self, partition: int) -> int:
        known = self.bench.coordinator.committed("g").get(("orders", partition))
        return 0 if known is None else known.offset

    @invariant()
    def holds(self) -> None:
        for partition, log in self.logs.items():
            offset = self.last_commit(partition)
            assert offset <= log.end_offset, "a commit beyond the end"
            generation, told = self.committed.get(partition, (-1, 0))
            assert offset == told, f"what was committed in generation {generation} is not what is kept"

    @invariant()
    def no_acknowledged_record_is_lost(self) -> None:
        for partition, log in self.logs.items():
            kept = {record.offset: record.value for record in log.records()}
            wanted = {
                offset: value
                for (at, offset), value in self.acknowledged.items()
                if at == partition and offset >= log.start_offset
            }
            assert kept == wanted

    @invariant()
    def every_record_below_a_commit_was_read_or_deleted(self) -> None:
        for partition in PARTITIONS:
            for offset in range(self.start(partition), self.last_commit(partition)):
                assert (partition, offset) in self.seen

    def teardown(self) -> None:
        # Who is left goes on; in the end all partitions are owned, once each, and everything can be read.
        if self.readers:
            self.time_passes(400)
            owned = [partition for reader in self.readers for partition in reader.positions]
            assert sorted(owned) == list(PARTITIONS)


Histories.TestCase.settings = settings(deadline=None, stateful_step_count=60)
TestHistories = Histories.TestCase
