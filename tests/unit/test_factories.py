"""Events that are made up for a unit test of a handler."""

from __future__ import annotations

import inspect
import json
import time
from base64 import b64decode
from dataclasses import replace

import aws_events
import freezegun
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka_records import headers, raw_bytes, schema_metadata

from pytest_msk import (
    MskEvent,
    NotAKafkaEvent,
    Record,
    SchemaMetadata,
    Topic,
    VirtualClock,
    decode,
    msk_event,
    validate_event,
)
from pytest_msk._partitioner import partition_of
from pytest_msk.clock import epoch_ms

AVRO = SchemaMetadata(data_format="AVRO", schema_id="1234")


def record(partition: int = 0, offset: int = 0, topic: str = "orders") -> Record:
    return Record(topic=topic, partition=partition, offset=offset, timestamp=5, value=b"v")


def places(event: dict) -> list[tuple[str, int]]:
    return [(key, record["offset"]) for key, group in event["records"].items() for record in group]


# --- from nothing


def test_an_event_from_nothing_is_one_plausible_record():
    event = msk_event(timestamp=1_700_000_000_000)
    ((only,),) = event["records"].values()
    assert validate_event(event) == []
    assert json.loads(b64decode(only["value"])) == {"id": 1, "customer": "Zoë", "total": 49.9}
    assert b64decode(only["key"]) == b"customer-7"
    assert only["headers"][1] == {"customer": [90, 111, -61, -85]}
    assert places(event) == [("orders-0", 0)]
    assert event == msk_event(timestamp=1_700_000_000_000)


def test_members_of_the_plausible_record_can_be_overridden():
    (only,) = decode(msk_event(key="other", headers=(), offset=7, topic="returns", timestamp=5))
    assert (only.key, only.headers, only.offset) == (b"other", (), 7)
    assert (only.topic, only.timestamp) == ("returns", 5)
    assert only.json() == {"id": 1, "customer": "Zoë", "total": 49.9}


def test_the_plausible_record_can_be_without_a_key_and_headers():
    (only,) = msk_event(key=None, headers=None)["records"]["orders-0"]
    assert "key" not in only
    assert only["headers"] == []


def test_the_caller_may_change_an_event():
    msk_event()["records"].clear()
    assert len(msk_event()["records"]) == 1


# --- from values


def test_values_are_bytes_text_json_or_a_tombstone():
    event = msk_event([b"\xff", "tëxt", {"a": [1, None]}, 7, None, ""])
    assert [r.value for r in decode(event)] == [b"\xff", "tëxt".encode(), b'{"a":[1,null]}', b"7", None, b""]
    assert ["value" in r for r in event["records"]["orders-0"]] == [True, True, True, True, False, True]
    assert not any("key" in r for r in event["records"]["orders-0"])


def test_values_may_come_from_a_generator():
    assert [r.json() for r in decode(msk_event(n for n in range(3)))] == [0, 1, 2]


def test_what_is_a_function_is_called_with_the_value():
    event = msk_event(
        [{"id": 1}, {"id": 2}],
        key=lambda order: f"k{order['id']}",
        headers=lambda order: {"id": str(order["id"])},
        timestamp=lambda order: 1_000 + order["id"],
    )
    assert [(r.key_text, r.headers, r.timestamp) for r in decode(event)] == [
        ("k1", (("id", b"1"),), 1_001),
        ("k2", (("id", b"2"),), 1_002),
    ]


def test_what_is_said_once_holds_for_every_record():
    event = msk_event(["a", "b"], key=b"\xff", headers=[("h", "1"), ("h", b"\x80")], timestamp_type="LOG_APPEND_TIME")
    assert len(event["records"]["orders-0"]) == 2
    for one in event["records"]["orders-0"]:
        assert one["key"] == "/w=="
        assert one["headers"] == [{"h": [49]}, {"h": [-128]}]
        assert one["timestampType"] == "LOG_APPEND_TIME"


def test_a_tombstone_is_null_on_request():
    assert "value" not in msk_event([None])["records"]["orders-0"][0]
    assert msk_event([None], null_tombstones=True)["records"]["orders-0"][0]["value"] is None


def test_schema_metadata_stands_beside_what_is_there():
    keyed, tombstone = msk_event(
        [{"k": "a"}, None], key=lambda v: v and v["k"], key_schema_metadata=AVRO, value_schema_metadata=AVRO
    )["records"]["orders-0"]
    assert keyed["keySchemaMetadata"] == keyed["valueSchemaMetadata"] == {"dataFormat": "AVRO", "schemaId": "1234"}
    assert not {"keySchemaMetadata", "valueSchemaMetadata"} & set(tombstone)


def test_an_argument_that_was_not_given_reads_so():
    assert repr(inspect.signature(msk_event).parameters["key"].default) == "unset"


def test_the_timestamp_is_the_time_that_the_test_sees():
    before = time.time_ns() // 1_000_000
    (now,) = decode(msk_event(["x"]))
    assert before <= now.timestamp <= time.time_ns() // 1_000_000
    with freezegun.freeze_time("2026-01-01"):
        (frozen,) = decode(msk_event(["x"]))
    assert frozen.timestamp == epoch_ms("2026-01-01T00:00:00Z")


# --- partitions and offsets


def test_records_without_a_key_go_round_robin():
    event = msk_event(list("abcde"), partitions=2)
    assert places(event) == [("orders-0", 0), ("orders-0", 1), ("orders-0", 2), ("orders-1", 0), ("orders-1", 1)]
    assert [r.text for r in decode(event)] == ["a", "c", "e", "b", "d"]


def test_records_with_a_key_go_where_javas_producer_puts_them():
    event = msk_event(list("abcdefgh"), key=lambda value: value, partitions=6)
    assert len(event["records"]) > 1
    assert all(r.partition == partition_of(r.key, 6) for r in decode(event))


def test_values_by_topic_partition_stand_there():
    event = msk_event({"my-topic-3": ["a", None], "my-topic-0": ["b"]}, offset={3: 40})
    assert places(event) == [("my-topic-3", 40), ("my-topic-3", 41), ("my-topic-0", 0)]
    assert {r.topic for r in decode(event)} == {"my-topic"}


def test_the_offset_is_that_of_each_partitions_first_record():
    assert places(msk_event(list("abc"), partitions=2, offset=9)) == [
        ("orders-0", 9),
        ("orders-0", 10),
        ("orders-1", 9),
    ]


def test_an_offset_of_a_partition_that_gets_no_record_is_no_mistake():
    assert places(msk_event(["a"], partitions=3, offset={0: 7, 2: 9})) == [("orders-0", 7)]


def test_events_of_one_factory_are_batches_of_one_log():
    make = MskEvent()
    assert places(make(["a", "b", "c"], partitions=2)) == [("orders-0", 0), ("orders-0", 1), ("orders-1", 0)]
    assert places(make(["d", "e"], partitions=2)) == [("orders-1", 1), ("orders-0", 2)]
    assert places(make(["f"], offset=0)) == [("orders-0", 0)], "delivered again"
    assert places(make(["g"])) == [("orders-0", 1)]
    assert places(make([record(0, 70)])) == [("orders-0", 70)]
    assert places(make(["h"])) == [("orders-0", 71)]
    assert places(make(["i"], topic="returns")) == [("returns-0", 0)]


def test_an_event_that_is_refused_leaves_no_gap():
    make = MskEvent()
    with pytest.raises(NotAKafkaEvent):
        make(["a"], bootstrap_servers="nowhere")
    assert places(make(["a"])) == [("orders-0", 0)]


def test_events_of_the_package_begin_at_0_each():
    assert places(msk_event(["a"])) == places(msk_event(["b"])) == [("orders-0", 0)]


def test_a_factory_follows_its_clock():
    clock = VirtualClock(1_700_000_000_000)
    make = MskEvent(clock=clock)
    clock.advance(2.5)
    assert [r.timestamp for r in decode(make(["a", "b"]))] == [1_700_000_002_500] * 2


# --- from records


def test_records_stand_as_they_are():
    given = [record(1, 5), record(0, 2), record(1, 9)]
    assert decode(msk_event(given)) == (given[0], given[2], given[1])
    assert places(msk_event({"orders-1": given[::2]})) == [("orders-1", 5), ("orders-1", 9)]


def test_the_log_of_a_topic_stands_as_it_is():
    log = [record(0, 3), record(1, 0)]

    class Log(Topic):
        def __init__(self) -> None:
            self.name = "orders"

        def records(self) -> list[Record]:
            return log

    assert decode(msk_event(Log())) == tuple(log)
    assert places(msk_event(["a"], topic=Log())) == [("orders-0", 0)]
    with pytest.raises(TypeError) as raised:
        msk_event(Log(), key="k")
    assert str(raised.value).startswith("key was given with Records, which have their own: ")


kafka_batches = st.dictionaries(
    st.integers(0, 2**31 - 1),
    st.dictionaries(
        st.integers(0, 2**63 - 1),
        st.builds(
            dict,
            timestamp=st.integers(-1, 2**63 - 1),
            timestamp_type=st.sampled_from(["CREATE_TIME", "LOG_APPEND_TIME"]),
            key=st.none() | raw_bytes,
            value=st.none() | raw_bytes,
            headers=headers,
            key_schema_metadata=schema_metadata,
            value_schema_metadata=schema_metadata,
        ),
        min_size=1,
        max_size=4,
    ),
    min_size=1,
    max_size=3,
)


@given(kafka_batches, st.sampled_from(["aws:kafka", "SelfManagedKafka"]), st.booleans())
def test_every_batch_comes_back_from_its_event(batch, source, null_tombstones):
    records = [
        Record(topic="my-topic", partition=partition, offset=offset, **group[offset])
        for partition, group in batch.items()
        for offset in sorted(group)
    ]
    event = msk_event(records, event_source=source, null_tombstones=null_tombstones)
    assert list(decode(event)) == records
    assert validate_event(json.loads(json.dumps(event))) == []


# --- the envelope


@pytest.mark.parametrize("servers", ["a:1,b:2", ["a:1", "b:2"]], ids=["text", "list"])
def test_an_event_of_self_managed_kafka(servers):
    event = msk_event(["x"], event_source="SelfManagedKafka", bootstrap_servers=servers)
    assert list(event) == ["eventSource", "bootstrapServers", "records"]
    assert event["eventSource"] == "SelfManagedKafka"
    assert event["bootstrapServers"] == "a:1,b:2"


def test_an_event_of_a_cluster_of_ones_own():
    arn = "arn:aws-us-gov:kafka:us-gov-west-1:123456789012:vpc-connection/210987654321/demo/751d2973-2"
    event = msk_event(event_source_arn=arn, bootstrap_servers="b-1.demo:9098")
    assert event["eventSourceArn"] == arn
    assert event["bootstrapServers"] == "b-1.demo:9098"


SAMPLE = Record(
    topic="mytopic",
    partition=0,
    offset=15,
    timestamp=1545084650987,
    key=b64decode("abcDEFghiJKLmnoPQRstuVWXyz123w=="),
    value=b"Hello, this is a test.",
    headers=(("headerKey", b"headerValue"),),
)
SERVERS = [f"b-{n}.demo-cluster-1.a1bcde.c1.kafka.us-east-1.amazonaws.com:9092" for n in (2, 1)]


def compact(event: object) -> str:
    return json.dumps(event, separators=(",", ":"))


@pytest.mark.parametrize(
    ("text", "members"),
    [
        (
            aws_events.SAMPLE_MSK,
            {
                "event_source_arn": "arn:aws:kafka:us-east-1:123456789012:cluster/vpc-2priv-2pub/"
                "751d2973-a626-431c-9d4e-d7975eb44dd7-2"
            },
        ),
        (aws_events.SAMPLE_SELF_MANAGED, {"event_source": "SelfManagedKafka"}),
    ],
    ids=["MSK", "self-managed"],
)
def test_the_samples_of_aws_pages_are_rebuilt_byte_for_byte(text, members):
    encoded = text.replace("WXyz1234==", "WXyz123w==")
    assert encoded != text
    assert compact(msk_event([SAMPLE], bootstrap_servers=SERVERS, **members)) == compact(json.loads(encoded))
    assert decode(json.loads(text)) == (SAMPLE,), "the page's own key is the same bytes"


def test_the_reference_event_is_rebuilt_byte_for_byte():
    event = msk_event(
        [{"k": "v"}],
        topic="mytopic",
        key="recordKey",
        headers={"headerKey": "hë"},
        offset=15,
        timestamp=1545084650987,
        event_source_arn="arn:aws:kafka:us-east-1:123456789012:cluster/demo/751d2973-a626-431c-9d4e-d7975eb44dd7-2",
        bootstrap_servers="b-2.demo:9092,b-1.demo:9092",
    )
    assert compact(event) == compact(json.loads(aws_events.REFERENCE))


# --- what is refused

ONE = "a single one as a list of one."
WRONG_TYPES = [
    ({"values": "text"}, f"values is 'text': give a list of values, {ONE}"),
    ({"values": b"bytes"}, f"values is b'bytes': give a list of values, {ONE}"),
    ({"values": 7}, f"values is 7: give a list of values, {ONE}"),
    ({"values": record()}, f"values is {record()!r}: give a list of values, {ONE}"),
    ({"values": {"id": 1}}, "values maps 'id' to 1: give lists of values by 'topic-partition', or "),
    ({"values": {0: ["a"]}}, "values maps 0 to ['a']: give lists of values by 'topic-partition', or "),
    *(({"values": {key: ["a"]}}, f"values has the key {key!r}, which is no 'topic-partition' such as 'orders-0'; ")
      for key in ("id", "orders-x", "-0", "orders-01", "orders-²", "orders-٣", "orders-" + "9" * 5_000)),
    ({"values": {"a-0": ["a"]}, "topic": "b"}, "topic='b': values are under 'a-0', which is of another topic."),
    ({"values": {"a-3": ["a"]}, "partitions": 3}, "partitions=3: values are under 'a-3', which is beyond them."),
    ({"values": {"a-1": [record()]}}, "values has a record of 'orders-0' under 'a-1'."),
    ({"values": [record(), "a"]}, "values has Records and 'a': give Records only, or values only."),
    ({"values": [record()], "offset": 0},
     "offset was given with Records, which have their own: change a Record by dataclasses.replace()."),
    ({"values": [{"id": b"left in"}]}, "A value is bytes, text, None or what JSON can say, not {'id': b'left in'}: "),
    ({"values": ["a"], "key": 7}, "A key is bytes, text or a function of the value that gives one of these, not 7."),
    ({"headers": [("h", [195, 171])]}, "A header is a pair of a name and bytes, text or None, not ('h', [195, 171])."),
    ({"headers": [{"h": [-61]}]}, "A header is a pair of a name and bytes, text or None, not {'h': [-61]}."),
    ({"topic": 7}, "topic=7: give a topic's name, or a Topic."),
    ({"partitions": 0}, "partitions=0: give a number of partitions, 1 or more."),
    ({"partitions": "3"}, "partitions='3': give a number of partitions, 1 or more."),
    ({"offset": "3"}, "offset='3': give a number, or a mapping of partitions to numbers."),
    ({"offset": ""}, "offset='': give a number, or a mapping of partitions to numbers."),
    ({"offset": {0: None}}, "offset={0: None}: give a number, or a mapping of partitions to numbers."),
    ({"timestamp": 1.5}, "A timestamp is epoch milliseconds or a function of the value, not 1.5."),
    ({"timestamp_type": "CreateTime"}, "timestamp_type='CreateTime': give 'CREATE_TIME' or 'LOG_APPEND_TIME'."),
    ({"value_schema_metadata": {"dataFormat": "AVRO"}},
     "value_schema_metadata={'dataFormat': 'AVRO'}: give a SchemaMetadata(data_format=…, schema_id=…)."),
    ({"event_source": "aws:SelfManagedKafka"},
     "event_source='aws:SelfManagedKafka': give 'aws:kafka' or 'SelfManagedKafka'."),
    ({"event_source": "SelfManagedKafka", "event_source_arn": "x"},
     "event_source_arn='x': an event of self-managed Kafka has none (spec 1.1)."),
    ({"event_source_arn": b"arn"}, "event_source_arn=b'arn': give the cluster's ARN as text."),
    *(({"bootstrap_servers": servers}, f"bootstrap_servers={servers!r}: give 'host:port', several as a list or joined ")
      for servers in (5, b"a:1", [1])),
    *(({"offset": {place: 5}}, f"offset={{{place!r}: 5}}: give a number, or a mapping of partitions to numbers.")
      for place in ("0", "orders-0")),
    ({"offset": {1: 5}}, "offset={1: 5}: no value is in partition 1."),
    ({"values": {"a-1": ["a"]}, "offset": {2: 5}}, "offset={2: 5}: no value is in partition 2."),
    ({"values": [record()], "key": None}, "key was given with Records, which have their own: "),
    *(({"values": [replace(record(), **{name: found})]}, f"A Record's {name} is {words}, not {found!r}.")
      for name, found, words in (
          ("topic", None, "text"),
          ("partition", 1.5, "a whole number"),
          ("offset", True, "a whole number"),
          ("timestamp", "5", "a whole number"),
          ("timestamp_type", "CreateTime", "'CREATE_TIME' or 'LOG_APPEND_TIME'"),
          ("key", "text", "bytes or None"),
          ("value", {"id": 1}, "bytes or None"),
          ("headers", {"ab": b"c"}, "a tuple of (name, bytes) pairs"),
          ("key_schema_metadata", {"schemaId": "1"}, "a SchemaMetadata or None"),
      )),
    *(({"values": [replace(record(), headers=(header,))]},
       f"A Record's headers are (name, bytes) pairs, not {header!r}.")
      for header in (("h", [195]), ("h", "text"), (b"h", b""), "hv", ("h",))),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "text"), WRONG_TYPES, ids=[str(arguments)[:50] for arguments, _ in WRONG_TYPES])
def test_an_argument_that_is_not_of_its_type_is_refused(arguments, text):
    with pytest.raises(TypeError) as raised:
        msk_event(**arguments)
    assert str(raised.value).startswith(text)


NO_EVENTS = [
    ({"values": []}, "event['records'] is empty: a function is called with one record at least (spec 1.1)."),
    ({"offset": -1}, "event['records']['orders-0'][0]['offset'] is -1: Kafka's are from 0 to 9223372036854775807."),
    ({"values": ["a"], "topic": "a/b"}, "event['records']['a/b-0'][0]['topic'] is 'a/b': "),
    ({"values": {"a-0": ["a"], "b-0": ["b"]}}, "event['records'] holds records of a, b: a mapping reads one topic "),
    ({"values": [record(0, 5), record(0, 4)]}, "event['records']['orders-0'][1]['offset'] is 4 after 5: "),
    ({"event_source_arn": "demo"}, "event['eventSourceArn'] is 'demo': it is an MSK cluster's ARN, "),
    ({"bootstrap_servers": ["a:1", "b"]}, "event['bootstrapServers'] is 'a:1,b': "),
    ({"values": [bytes(5_000_000)]}, "event is 6667"),
    ({"topic": "\ud800"}, "event is no JSON: str is not valid UTF-8: surrogates not allowed."),
]


@pytest.mark.parametrize(("arguments", "fault"), NO_EVENTS, ids=[str(arguments)[:50] for arguments, _ in NO_EVENTS])
def test_what_no_mapping_sends_is_refused(arguments, fault):
    with pytest.raises(NotAKafkaEvent) as raised:
        msk_event(**arguments)
    assert str(raised.value).startswith(f"No mapping sends such an event:\n{fault}")
