"""The wire under fire: requests of real clients, in every API and version, with some of their bytes changed.

The seed is fixed (`derandomize`); HYPOTHESIS_PROFILE=long runs forty times as many, each time others.
"""

from __future__ import annotations

import contextlib
import struct
from collections import defaultdict
from collections.abc import Iterator

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions, NewTopic
from hypothesis import given, settings
from hypothesis import strategies as st
from test_wire import EVERY_API
from wire_client import WireClient

from pytest_msk.brokers.embedded import EmbeddedBroker
from pytest_msk.brokers.embedded.connection import parse_header
from pytest_msk.brokers.embedded.messages import APIS
from pytest_msk.brokers.embedded.messages.metadata import METADATA
from pytest_msk.brokers.embedded.server import Server
from pytest_msk.brokers.embedded.wire import Api, Field, Struct, _value_if_absent, fields_of, skip_tagged_fields

PATIENCE = 15.0


def _bodies_of_clients() -> dict[int, list[Struct]]:
    """What librdkafka's clients ask a broker for, by API."""
    bodies: dict[int, list[Struct]] = defaultdict(list)
    dispatch = Server._dispatch

    def record(self: Server, connection: object, frame: bytes) -> None:
        key, version, _, _, at = parse_header(frame)
        api = APIS[key]
        if api.speaks(version):
            at = skip_tagged_fields(memoryview(frame), at) if api.is_flexible(version) else at
            bodies[key].append(api.decode_request(version, frame, at))
        dispatch(self, connection, frame)

    with pytest.MonkeyPatch.context() as patch, EmbeddedBroker() as broker:
        patch.setattr(Server, "_dispatch", record)
        admin = AdminClient(broker.client_config())
        admin.create_topics([NewTopic("t", num_partitions=1)])["t"].result(PATIENCE)
        admin.create_partitions([NewPartitions("t", 2)])["t"].result(PATIENCE)
        with broker.producer(enable_idempotence=True) as producer:
            producer.produce("t", b"value", key=b"key", headers=[("name", b"x")])
            producer.flush(PATIENCE)
        consumer = broker.consumer("g", group_instance_id="i")
        consumer.subscribe(["t"])
        while consumer.poll(0.1) is None:
            pass
        consumer.commit(asynchronous=False)
        admin.describe_consumer_groups(["g"])["g"].result(PATIENCE)
        admin.list_consumer_groups().result(PATIENCE)
        consumer.close()
        admin.delete_topics(["t"])["t"].result(PATIENCE)
    return bodies


def _complete(fields: tuple[Field, ...], body: Struct) -> Struct:
    """A body with every field of a table: what another version of the request may need."""
    whole: Struct = {}
    for field in fields:
        found = body.get(field.name)
        if found is None:
            found = None if field.nullable else _value_if_absent(field)
        elif field.children:
            found = [_complete(field.children, item) for item in found]
        whole[field.name] = bytes(found) if isinstance(found, memoryview) else found
    return whole


class Frames(dict[int, list[bytes]]):
    """Frames of every API and version, by API."""

    def __repr__(self) -> str:
        return f"Frames of {len(self)} APIs"  # Hypothesis shows it with every example


@pytest.fixture(scope="module")
def frames() -> Frames:
    """Requests as clients send them, in every version."""
    bodies = _bodies_of_clients()
    found = Frames()
    for key, api in APIS.items():
        found[key] = []
        for version in range(api.versions[0], api.versions[1] + 1):
            for body in (bodies[key] or [{}])[:3]:
                header = struct.pack(">hhih", key, version, 7, 4) + b"fuzz"
                if api.is_flexible(version):
                    header += b"\0"
                whole = _complete(fields_of(api.request), body)
                found[key].append(header + b"".join(api.encode_request(version, whole)))
    return found


@pytest.fixture(scope="module")
def lasting() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker({"group.initial.rebalance.delay.ms": "0"}) as broker:
        broker.create_topic("t")
        yield broker


_EXTREMES = [struct.pack(">i", each) for each in (-1, -2, 0, 1, 2**31 - 1, -(2**31))] + [b"\xff" * 5, b"\x80" * 6, b""]
_change = st.tuples(
    st.sampled_from(["overwrite", "insert", "cut", "repeat"]),
    st.floats(0, 1, exclude_max=True),
    st.sampled_from(_EXTREMES) | st.binary(min_size=1, max_size=6),
)


def changed(frame: bytes, changes: list[tuple[str, float, bytes]], *, header: bool) -> bytes:
    """A frame after some changes; the header, by which a request is known, is spared unless it is meant."""
    first = 0 if header else min(14, len(frame))
    for kind, where, data in changes:
        at = first + int(where * (len(frame) - first))
        if kind == "overwrite":
            frame = frame[:at] + data + frame[at + len(data) :]
        elif kind == "insert":
            frame = frame[:at] + data + frame[at:]
        elif kind == "cut":
            frame = frame[:at] + frame[at + max(len(data), 1) :]
        else:
            frame = frame[:at] + frame[at : at + 16] * 3 + frame[at:]
    return frame


def test_frames_of_every_api_and_version_are_there(frames: Frames) -> None:
    for key, api in APIS.items():
        versions = {struct.unpack_from(">h", frame, 2)[0] for frame in frames[key]}
        assert versions == set(range(api.versions[0], api.versions[1] + 1))


@EVERY_API
def test_every_version_is_answered_as_it_is(api: Api, frames: Frames) -> None:
    """What is changed below is taken as it is here: else the fuzzer would not come past the first check."""
    with EmbeddedBroker({"group.initial.rebalance.delay.ms": "0"}) as broker:
        broker.create_topic("t", partitions=2)
        for frame in frames[api.key]:
            with WireClient(broker.bootstrap_servers) as client:
                client.send_frame(frame)
                client.finish()
                with contextlib.suppress(ConnectionError):
                    client.receive_frame()
        assert broker.failures == ()
        assert broker.rejections == ()


@settings(max_examples=max(settings().max_examples // 2, 1))
@given(
    number=st.integers(0),
    changes=st.lists(_change, min_size=1, max_size=4),
    header=st.booleans(),
    more=st.binary(max_size=4),
)
@EVERY_API
def test_changed_requests_do_no_harm(
    api: Api,
    frames: Frames,
    lasting: EmbeddedBroker,
    number: int,
    changes: list[tuple[str, float, bytes]],
    header: bool,
    more: bytes,
) -> None:
    known = frames[api.key]
    frame = changed(known[number % len(known)], changes, header=header)
    with WireClient(lasting.bootstrap_servers) as client, contextlib.suppress(ConnectionError):
        client.send_raw(struct.pack(">i", len(frame)) + frame + more)
        client.finish()
        while True:
            client.receive_frame()
    with WireClient(lasting.bootstrap_servers) as client:
        asked = {"topics": [], "include_topic_authorized_operations": False}
        assert client.ask(METADATA, asked)["cluster_id"] is not None
    assert lasting.failures == ()
