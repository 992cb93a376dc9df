"""Every API in every version that the embedded broker speaks: asked by hand, and answered to the last byte."""

from __future__ import annotations

import uuid

import kafka_api
import pytest
from broker_tools import until
from kafka_api import (
    ask,
    commit,
    committed,
    create_topic,
    describe_configs,
    every_version,
    fetch,
    heartbeat,
    join,
    leave,
    list_offsets,
    member_of,
    produce,
    sync,
)
from kafka_wire import api_versions, batch, init_producer_id, record

from pytest_msk.brokers.embedded.messages import APIS

TOPIC, BROKER = 2, 4
NO_ID = bytes(16)
NOT_ASKED = -(2**31)


@pytest.mark.parametrize("api", [pytest.param(api, id=api.name) for api in APIS.values()])
def test_kafka_speaks_what_the_embedded_broker_speaks(wire, api):
    low, high = api_versions(wire)[api.key]
    assert low <= api.versions[0] <= api.versions[1] <= high


@pytest.mark.parametrize("api", [pytest.param(api, id=api.name) for api in APIS.values() if api.key != 18])
def test_a_version_that_is_not_spoken_closes_the_connection(wire, api):
    wire.send(api.key, 99, b"\0" * 20, flexible=True)
    assert wire.is_closed()


# --- records


@every_version("Produce")
def test_produce(wire, topic, version):
    name = topic()
    assert produce(wire, name, batch(record(0, b"a")), version=version)["base_offset"] == 0
    answer = produce(wire, name, batch(record(0, b"b"), record(1, b"c")), version=version)
    assert answer == {
        "index": 0,
        "error_code": 0,
        "base_offset": 1,
        "log_append_time_ms": -1,
        "log_start_offset": 0 if version >= 5 else -1,
        "record_errors": () if version < 8 else [],
        "error_message": None,
    }


@every_version("Produce")
def test_produce_with_an_error(wire, topic, version):
    name = topic(cleanup_policy="compact")
    answer = produce(wire, name, batch(record(0, b"a", key=b"k"), record(1, b"b")), version=version)
    assert (answer["index"], answer["error_code"], answer["base_offset"]) == (0, 87, -1)
    if version >= 8:
        assert [each["batch_index"] for each in answer["record_errors"]] == [1]
        assert answer["error_message"]


@every_version("Fetch")
def test_fetch(wire, topic, version):
    name, data = topic(), batch(record(0, b"a"), record(1, b"b"))
    produce(wire, name, data)
    answer = fetch(wire, name, version=version)
    assert bytes(answer.pop("records"))[16:] == data[16:]
    assert answer.pop("aborted_transactions") in (None, [])
    assert answer == {
        "index": 0,
        "error_code": 0,
        "high_watermark": 2,
        "last_stable_offset": 2,
        "log_start_offset": 0,
        "preferred_read_replica": -1,
    }


@every_version("Fetch")
def test_fetch_out_of_range(wire, topic, version):
    answer = fetch(wire, topic(), 7, version=version)
    assert bytes(answer["records"] or b"") == b""
    assert (answer["error_code"], answer["high_watermark"], answer["last_stable_offset"]) == (1, -1, -1)


@every_version("ListOffsets")
def test_list_offsets(wire, topic, version):
    name = topic()
    produce(wire, name, batch(record(0, b"a"), record(1, b"b", time_delta=10), timestamp=7_000, max_timestamp=7_010))
    epoch = 0 if version >= 4 else -1
    for when, timestamp, offset in ((-2, -1, 0), (-1, -1, 2), (7_005, 7_010, 1)):
        answer = list_offsets(wire, name, when, version=version)
        wanted = {"index": 0, "error_code": 0, "timestamp": timestamp, "offset": offset, "leader_epoch": epoch}
        assert answer == wanted
    nothing = list_offsets(wire, name, 8_000, version=version)
    assert nothing == {"index": 0, "error_code": 0, "timestamp": -1, "offset": -1, "leader_epoch": -1}


@every_version("InitProducerId")
def test_init_producer_id(wire, version):
    def new():
        return ask(
            wire,
            "InitProducerId",
            version,
            transactional_id=None,
            transaction_timeout_ms=60_000,
            producer_id=-1,
            producer_epoch=-1,
        )

    first = until(new, lambda answer: answer["error_code"] != 14)
    assert (first["throttle_time_ms"], first["error_code"], first["producer_epoch"]) == (0, 0, 0)
    assert new()["producer_id"] > first["producer_id"] >= 0


@every_version("OffsetForLeaderEpoch")
def test_offset_for_leader_epoch(wire, topic, version):
    name = topic()
    produce(wire, name, batch(record(0, b"a")))
    partition = {"index": 0, "current_leader_epoch": -1, "leader_epoch": 0}
    topics = [{"name": name, "partitions": [partition]}]
    answer = ask(wire, "OffsetForLeaderEpoch", version, replica_id=-1, topics=topics)
    end = {"error_code": 0, "index": 0, "leader_epoch": 0, "end_offset": 1}
    assert answer == {"throttle_time_ms": 0, "topics": [{"name": name, "partitions": [end]}]}


# --- the cluster


@every_version("ApiVersions")
def test_api_versions(wire, version):
    answer = ask(wire, "ApiVersions", version, client_software_name="conformance", client_software_version="1.0")
    assert answer["error_code"] == 0
    assert answer["throttle_time_ms"] == 0
    spoken = {each["key"]: (each["min_version"], each["max_version"]) for each in answer["api_keys"]}
    assert spoken == api_versions(wire)


@every_version("Metadata")
def test_metadata(wire, topic, msk_broker, version):
    name = topic(partitions=2)
    answer = ask(
        wire,
        "Metadata",
        version,
        topics=[{"topic_id": NO_ID, "name": name}],
        allow_auto_topic_creation=False,
        include_cluster_authorized_operations=False,
        include_topic_authorized_operations=False,
    )
    (node,) = answer["brokers"]
    assert f"{node['host']}:{node['port']}" == msk_broker.bootstrap_servers
    assert node["rack"] is None
    if version >= 1:
        assert answer["controller_id"] == node["node_id"]
    assert bool(answer["cluster_id"]) is (version >= 2)
    assert answer["cluster_authorized_operations"] == NOT_ASKED
    (found,) = answer["topics"]
    assert (found["error_code"], found["name"], found["is_internal"]) == (0, name, False)
    assert (found["topic_id"] != NO_ID) is (version >= 10)
    assert found["topic_authorized_operations"] == NOT_ASKED
    partitions = sorted(found["partitions"], key=lambda each: each["index"])
    assert [each["index"] for each in partitions] == [0, 1]
    for each in partitions:
        assert (each["error_code"], each["leader_id"]) == (0, node["node_id"])
        assert each["replica_nodes"] == each["isr_nodes"] == [node["node_id"]]
        assert not each["offline_replicas"]
        if version >= 7:
            assert each["leader_epoch"] == 0


@every_version("FindCoordinator")
def test_find_coordinator(wire, group, msk_broker, version):
    answer = ask(wire, "FindCoordinator", version, key=group, key_type=0, coordinator_keys=[group])
    found = answer["coordinators"][0] if version >= 4 else answer
    if version >= 4:
        assert found["key"] == group
    assert (found["error_code"], found["error_message"] or None) in ((0, None), (0, "NONE"))
    assert f"{found['host']}:{found['port']}" == msk_broker.bootstrap_servers


@every_version("DescribeCluster")
def test_describe_cluster(wire, msk_broker, version):
    answer = ask(wire, "DescribeCluster", version, include_cluster_authorized_operations=False, endpoint_type=1)
    (node,) = answer["brokers"]
    assert (answer["error_code"], answer["error_message"], answer["endpoint_type"]) == (0, None, 1)
    assert f"{node['host']}:{node['port']}" == msk_broker.bootstrap_servers
    assert answer["controller_id"] == node["broker_id"]
    assert answer["cluster_authorized_operations"] == NOT_ASKED


# --- groups


@every_version("JoinGroup")
def test_join_group(wire, group, version):
    first = join(wire, group, version=version)
    if version >= 4:  # a member without an id is given one, and has to come again with it
        assert (first["error_code"], first["generation_id"], first["leader"]) == (79, -1, "")
        assert first["members"] == []
        first = join(wire, group, first["member_id"], version=version)
    member = first["member_id"]
    assert member.startswith("conformance-")
    assert (first["error_code"], first["generation_id"], first["leader"]) == (0, 1, member)
    assert (first["protocol_name"], first["protocol_type"]) == ("range", "consumer" if version >= 7 else None)
    assert first["skip_assignment"] is False
    metadata = kafka_api.subscription("t")
    assert first["members"] == [{"member_id": member, "group_instance_id": None, "metadata": metadata}]
    leave(wire, group, member)


@every_version("SyncGroup")
def test_sync_group(wire, group, version):
    member = member_of(wire, group)
    answer = sync(wire, group, member, version=version)
    assert (answer["error_code"], answer["assignment"]) == (0, b"all")
    kind = ("consumer", "range") if version >= 5 else (None, None)
    assert (answer["protocol_type"], answer["protocol_name"]) == kind
    leave(wire, group, member)


@every_version("Heartbeat")
def test_heartbeat(wire, group, version):
    member = member_of(wire, group)
    sync(wire, group, member)
    assert heartbeat(wire, group, member, version=version) == 0
    assert heartbeat(wire, group, member, 7, version=version) == 22
    assert heartbeat(wire, group, "nobody", version=version) == 25
    leave(wire, group, member)


@every_version("LeaveGroup")
def test_leave_group(wire, group, version):
    member = member_of(wire, group)
    answer = leave(wire, group, member, version=version)
    left = [{"member_id": member, "group_instance_id": None, "error_code": 0}]
    assert (answer["error_code"], list(answer["members"])) == (0, left if version >= 3 else [])
    again = leave(wire, group, member, version=version)
    errors = [each["error_code"] for each in again["members"]] if version >= 3 else [again["error_code"]]
    assert errors == [25]


@every_version("OffsetCommit")
def test_offset_commit(wire, group, topic, msk_broker, version):
    name = topic(partitions=2)
    assert commit(wire, group, name, 5, partition=1, version=version) == 0
    assert msk_broker.committed(group, name) == {1: 5}
    assert commit(wire, group, name, 5, partition=2, version=version) == 3
    msk_broker.delete_group(group)


@every_version("OffsetFetch")
def test_offset_fetch(wire, group, topic, msk_broker, version):
    name = topic(partitions=2)
    commit(wire, group, name, 5, metadata="why")
    answer = committed(wire, group, {name: (0, 1)}, version)
    assert answer["error_code"] == 0
    (found,) = answer["topics"]
    known = {"index": 0, "offset": 5, "leader_epoch": -1, "metadata": "why", "error_code": 0}
    unknown = {"index": 1, "offset": -1, "leader_epoch": -1, "metadata": "", "error_code": 0}
    assert sorted(found["partitions"], key=lambda each: each["index"]) == [known, unknown]
    if version >= 2:  # null: all that there is
        everything = committed(wire, group, None, version)
        assert [(each["name"], each["partitions"]) for each in everything["topics"]] == [(name, [known])]
    msk_broker.delete_group(group)


@every_version("DescribeGroups")
def test_describe_groups(wire, group, version):
    member = member_of(wire, group)
    sync(wire, group, member)
    asked = {"groups": [group], "include_authorized_operations": False}
    (answer,) = ask(wire, "DescribeGroups", version, **asked)["groups"]
    (found,) = answer.pop("members")
    assert answer == {
        "error_code": 0,
        "error_message": None,
        "group_id": group,
        "group_state": "Stable",
        "protocol_type": "consumer",
        "protocol_data": "range",
        "authorized_operations": NOT_ASKED,
    }
    assert found.pop("client_host").startswith("/")
    assert found == {
        "member_id": member,
        "group_instance_id": None,
        "client_id": "conformance",
        "member_metadata": kafka_api.subscription("t"),
        "member_assignment": b"all",
    }
    leave(wire, group, member)


@every_version("DescribeGroups")
def test_describe_groups_of_nobody(wire, group, version):
    asked = {"groups": [group], "include_authorized_operations": False}
    (answer,) = ask(wire, "DescribeGroups", version, **asked)["groups"]
    assert answer == {
        "error_code": 69 if version >= 6 else 0,
        "error_message": f"Group {group} not found." if version >= 6 else None,
        "group_id": group,
        "group_state": "Dead",
        "protocol_type": "",
        "protocol_data": "",
        "members": [],
        "authorized_operations": NOT_ASKED,
    }


@every_version("ListGroups")
def test_list_groups(wire, group, version):
    member = member_of(wire, group)
    sync(wire, group, member)
    answer = ask(wire, "ListGroups", version, states_filter=[], types_filter=[])
    assert answer["error_code"] == 0
    (mine,) = [each for each in answer["groups"] if each["group_id"] == group]
    assert mine == {
        "group_id": group,
        "protocol_type": "consumer",
        "group_state": "Stable" if version >= 4 else "",
        "group_type": "classic" if version >= 5 else "",
    }
    leave(wire, group, member)


@every_version("DeleteGroups")
def test_delete_groups(wire, group, topic, version):
    commit(wire, group, topic(), 1)
    deleted = [ask(wire, "DeleteGroups", version, groups=[group])["results"] for _ in range(2)]
    assert deleted == [[{"group_id": group, "error_code": code}] for code in (0, 69)]


@every_version("OffsetDelete")
def test_offset_delete(wire, group, topic, msk_broker, version):
    name = topic(partitions=2)
    for partition in range(2):
        commit(wire, group, name, 5, partition=partition)
    answer = ask(
        wire,
        "OffsetDelete",
        version,
        group_id=group,
        topics=[{"name": name, "partitions": [{"index": 1}, {"index": 7}]}],
    )
    assert answer["error_code"] == 0
    (found,) = answer["topics"]
    assert {each["index"]: each["error_code"] for each in found["partitions"]} == {1: 0, 7: 3}
    assert msk_broker.committed(group, name) == {0: 5}
    msk_broker.delete_group(group)


# --- administration


@every_version("CreateTopics")
def test_create_topics(wire, new_name, msk_broker, version):
    name = new_name()
    answer = create_topic(wire, name, version=version, num_partitions=3, configs={"retention.ms": "5000"})
    assert (answer["name"], answer["error_code"], answer["error_message"]) == (name, 0, None)
    assert (answer["topic_id"] != NO_ID) is (version >= 7)
    if version >= 5:
        assert (answer["num_partitions"], answer["replication_factor"]) == (3, 1)
        configs = {config["name"]: config for config in answer["configs"]}
        kept = {"name": "retention.ms", "value": "5000", "read_only": False, "source": 1, "is_sensitive": False}
        assert configs["retention.ms"] == kept
        assert configs["cleanup.policy"]["value"] == "delete"
    until(lambda: msk_broker.partition_count(name), lambda count: count == 3)
    again = create_topic(wire, name, version=version)
    assert (again["error_code"], again["error_message"]) == (36, f"Topic '{name}' already exists.")


@every_version("DeleteTopics")
def test_delete_topics(wire, topic, msk_broker, version):
    name = topic()
    topics = [{"name": name, "topic_id": NO_ID}]

    def delete():
        (answer,) = ask(wire, "DeleteTopics", version, topics=topics, topic_names=[name], timeout_ms=10_000)[
            "responses"
        ]
        return answer

    gone = delete()
    assert (gone["name"], gone["error_code"], gone["error_message"]) == (name, 0, None)
    until(msk_broker.topics, lambda names: name not in names)
    again = delete()
    assert (again["name"], again["error_code"]) == (name, 3)


@every_version("CreatePartitions")
def test_create_partitions(wire, topic, msk_broker, version):
    name = topic()
    topics = [{"name": name, "count": 3, "assignments": None}]
    answer = ask(wire, "CreatePartitions", version, topics=topics, timeout_ms=10_000, validate_only=False)
    assert answer["results"] == [{"name": name, "error_code": 0, "error_message": None}]
    until(lambda: msk_broker.partition_count(name), lambda count: count == 3)


@every_version("DeleteRecords")
def test_delete_records(wire, topic, version):
    name = topic()
    produce(wire, name, batch(*(record(n, b"x") for n in range(5))))
    partitions = [{"index": 0, "offset": 3}, {"index": 9, "offset": 0}]
    topics = [{"name": name, "partitions": partitions}]
    (answer,) = ask(wire, "DeleteRecords", version, topics=topics, timeout_ms=10_000)["topics"]
    found = {each["index"]: (each["error_code"], each["low_watermark"]) for each in answer["partitions"]}
    assert found == {0: (0, 3), 9: (3, -1)}


@every_version("DescribeConfigs")
def test_describe_configs(wire, topic, version):
    name = topic(retention_ms=5000)
    answer = describe_configs(wire, TOPIC, name, ["retention.ms"], version=version)
    assert (answer["error_code"], answer["resource_type"], answer["resource_name"]) == (0, TOPIC, name)
    assert answer["configs"] == {
        "retention.ms": {
            "name": "retention.ms",
            "value": "5000",
            "read_only": False,
            "source": 1,
            "is_sensitive": False,
            "synonyms": [],
            "config_type": 5 if version >= 3 else 0,
            "documentation": None,
        }
    }


@every_version("AlterConfigs")
def test_alter_configs(wire, topic, version):
    name = topic(retention_ms=5000)
    resource = {
        "resource_type": TOPIC,
        "resource_name": name,
        "configs": [{"name": "max.message.bytes", "value": "777"}],
    }
    answer = ask(wire, "AlterConfigs", version, resources=[resource], validate_only=False)
    done = {"error_code": 0, "error_message": None, "resource_type": TOPIC, "resource_name": name}
    assert answer["responses"] == [done]

    def values():
        found = describe_configs(wire, TOPIC, name, ["retention.ms", "max.message.bytes"])["configs"]
        return {key: config["value"] for key, config in found.items()}

    # what is not named is taken back
    until(values, lambda seen: seen == {"retention.ms": "604800000", "max.message.bytes": "777"})


@every_version("IncrementalAlterConfigs")
def test_incremental_alter_configs(wire, topic, version):
    name = topic(retention_ms=5000)
    change = {"name": "max.message.bytes", "operation": 0, "value": "777"}
    resource = {"resource_type": TOPIC, "resource_name": name, "configs": [change]}
    answer = ask(wire, "IncrementalAlterConfigs", version, resources=[resource], validate_only=False)
    done = {"error_code": 0, "error_message": None, "resource_type": TOPIC, "resource_name": name}
    assert answer["responses"] == [done]

    def values():
        found = describe_configs(wire, TOPIC, name, ["retention.ms", "max.message.bytes"])["configs"]
        return {key: config["value"] for key, config in found.items()}

    until(values, lambda seen: seen == {"retention.ms": "5000", "max.message.bytes": "777"})


# --- transactions


@pytest.fixture
def transactional(wire, group):
    """A producer of an id of its own: the fields by which it names itself, and the id's coordinator."""

    def new():
        # asking for it is what makes a broker's first coordinator of transactions
        ask(wire, "FindCoordinator", key_type=1, coordinator_keys=[group])
        fields = {"transactional_id": group, "transaction_timeout_ms": 60_000, "producer_id": -1, "producer_epoch": -1}
        return ask(wire, "InitProducerId", **fields)

    answer = until(new, lambda answer: answer["error_code"] not in (14, 15, 16, 51))
    assert answer["error_code"] == 0
    return {"transactional_id": group, "producer_id": answer["producer_id"], "producer_epoch": answer["producer_epoch"]}


def settled(ask_again):
    """The answer when the end of the transaction before is over."""
    return until(ask_again, lambda answer: 51 not in errors_in(answer))


def errors_in(answer):
    if isinstance(answer, dict):
        return {answer.get("error_code")}.union(*map(errors_in, answer.values()))
    return set().union(*map(errors_in, answer)) if isinstance(answer, list) else set()


def add(wire, who, name, *partitions, version=None):
    return settled(
        lambda: ask(wire, "AddPartitionsToTxn", version, **who, topics=[{"name": name, "partitions": list(partitions)}])
    )


def end(wire, who, version=None, *, committed=True):
    return settled(lambda: ask(wire, "EndTxn", version, **who, committed=committed))["error_code"]


@every_version("AddPartitionsToTxn")
def test_add_partitions_to_txn(wire, topic, transactional, version):
    name = topic(partitions=2)
    (answer,) = add(wire, transactional, name, 0, 1, version=version)["topics"]
    found = {one["index"]: one["error_code"] for one in answer["partitions"]}
    assert (answer["name"], found) == (name, {0: 0, 1: 0})
    (answer,) = add(wire, transactional, name, 0, 9, version=version)["topics"]
    assert {one["index"]: one["error_code"] for one in answer["partitions"]} == {0: 55, 9: 3}
    assert end(wire, transactional, committed=False) == 0


@every_version("AddOffsetsToTxn")
def test_add_offsets_to_txn(wire, group, transactional, version):
    answer = settled(lambda: ask(wire, "AddOffsetsToTxn", version, **transactional, group_id=group))
    assert answer == {"throttle_time_ms": 0, "error_code": 0}
    assert end(wire, transactional, committed=False) == 0


@every_version("EndTxn")
def test_end_txn(wire, topic, transactional, version):
    name = topic()
    add(wire, transactional, name, 0)
    assert end(wire, transactional, version) == 0
    # the marker takes an offset
    until(lambda: list_offsets(wire, name, -1)["offset"], lambda offset: offset == 1)
    assert end(wire, {**transactional, "producer_id": transactional["producer_id"] + 1}, version) == 49


@every_version("TxnOffsetCommit")
def test_txn_offset_commit(wire, group, topic, transactional, msk_broker, version):
    name = topic()
    settled(lambda: ask(wire, "AddOffsetsToTxn", **transactional, group_id=group))
    place = {"index": 0, "offset": 7, "leader_epoch": -1, "metadata": "why"}
    fields = {"group_id": group, "generation_id": -1, "member_id": "", "group_instance_id": None}
    answer = ask(
        wire, "TxnOffsetCommit", version, **transactional, **fields, topics=[{"name": name, "partitions": [place]}]
    )
    assert answer["topics"] == [{"name": name, "partitions": [{"index": 0, "error_code": 0}]}]
    assert msk_broker.committed(group, name) == {}
    assert end(wire, transactional) == 0
    until(lambda: msk_broker.committed(group, name), lambda seen: seen == {0: 7})
    msk_broker.delete_group(group)


@every_version("WriteTxnMarkers")
def test_write_txn_markers(wire, topic, transactional, version):
    name = topic()
    add(wire, transactional, name, 0)
    marker = {
        "producer_id": transactional["producer_id"],
        "producer_epoch": transactional["producer_epoch"],
        "committed": False,
        "topics": [{"name": name, "partitions": [0]}],
        "coordinator_epoch": 0,
    }
    (answer,) = ask(wire, "WriteTxnMarkers", version, markers=[marker])["markers"]
    assert answer["producer_id"] == transactional["producer_id"]
    assert answer["topics"] == [{"name": name, "partitions": [{"index": 0, "error_code": 0}]}]
    assert list_offsets(wire, name, -1)["offset"] == 1
    assert end(wire, transactional, committed=False) == 0


@every_version("DescribeProducers")
def test_describe_producers(wire, topic, version):
    name = topic()
    number, epoch = init_producer_id(wire)
    produce(wire, name, batch(record(0, b"x"), record(1, b"y"), producer=(number, epoch, 0)))
    (answer,) = ask(wire, "DescribeProducers", version, topics=[{"name": name, "partitions": [0]}])["topics"]
    (found,) = answer["partitions"]
    assert (found["index"], found["error_code"], found["error_message"]) == (0, 0, None)
    (mine,) = found["producers"]
    assert (mine["producer_id"], mine["producer_epoch"], mine["last_sequence"]) == (number, epoch, 1)
    assert mine["transaction_start_offset"] == -1


@every_version("DescribeTransactions")
def test_describe_transactions(wire, topic, transactional, version):
    name = topic()
    add(wire, transactional, name, 0)
    asked = [transactional["transactional_id"], "x-not-there"]
    known, unknown = ask(wire, "DescribeTransactions", version, transactional_ids=asked)["transactions"]
    assert unknown["error_code"] == 105
    assert known.pop("started_ms") > 0
    assert known == {
        "error_code": 0,
        **transactional,
        "state": "Ongoing",
        "timeout_ms": 60_000,
        "topics": [{"name": name, "partitions": [0]}],
    }
    assert end(wire, transactional, committed=False) == 0


@every_version("ListTransactions")
def test_list_transactions(wire, topic, transactional, version):
    add(wire, transactional, topic(), 0)
    filters = {"state_filters": ["Ongoing", "Nonsense"], "producer_id_filters": [], "duration_filter_ms": -1}
    answer = ask(wire, "ListTransactions", version, **filters)
    assert (answer["error_code"], answer["unknown_state_filters"]) == (0, ["Nonsense"])
    mine = {key: transactional[key] for key in ("transactional_id", "producer_id")}
    assert {**mine, "state": "Ongoing"} in answer["transactions"]
    assert end(wire, transactional, committed=False) == 0


# --- the consumer protocol


def beat(wire, group, member, epoch, *topics, version=None, owned=None):
    return ask(
        wire,
        "ConsumerGroupHeartbeat",
        version,
        group_id=group,
        member_id=member,
        member_epoch=epoch,
        instance_id=None,
        rack_id=None,
        rebalance_timeout_ms=60_000 if epoch == 0 else -1,
        subscribed_topic_names=list(topics) if epoch == 0 else None,
        subscribed_topic_regex=None,
        server_assignor=None,
        topic_partitions=[] if epoch == 0 else owned,
    )


@every_version("ConsumerGroupHeartbeat")
def test_consumer_group_heartbeat(wire, group, topic, version):
    name, member = topic(partitions=2), str(uuid.uuid4())
    first = beat(wire, group, member, 0, name, version=version)
    assert (first["error_code"], first["error_message"], first["member_id"]) == (0, None, member)
    assert first["heartbeat_interval_ms"] > 0
    assert first["member_epoch"] > 0
    last = [first]

    def given():  # at once, or by a later heartbeat when the coordinator had not heard of the topic
        places = (last[0]["assignment"] or {"topic_partitions": []})["topic_partitions"]
        if not places:
            last[0] = beat(wire, group, member, last[0]["member_epoch"], version=version, owned=[])
        return places

    (place,) = until(given)
    assert place["partitions"] == [0, 1]
    epoch = last[0]["member_epoch"]
    again = beat(wire, group, member, epoch, version=version, owned=[place])
    assert (again["error_code"], again["member_epoch"], again["assignment"]) == (0, epoch, None)
    left = beat(wire, group, member, -1, version=version)
    assert (left["error_code"], left["member_epoch"]) == (0, -1)
    assert beat(wire, group, member, epoch, version=version)["error_code"] == 25


@every_version("ConsumerGroupDescribe")
def test_consumer_group_describe(wire, group, topic, version):
    name, member = topic(), str(uuid.uuid4())
    last = [beat(wire, group, member, 0, name)]

    def assigned():
        if not last[0]["assignment"] or not last[0]["assignment"]["topic_partitions"]:
            last[0] = beat(wire, group, member, last[0]["member_epoch"], owned=[])
        return last[0]["assignment"] and last[0]["assignment"]["topic_partitions"]

    until(assigned)
    asked = {"group_ids": [group, "g-not-there"], "include_authorized_operations": False}
    known, unknown = ask(wire, "ConsumerGroupDescribe", version, **asked)["groups"]
    assert (unknown["error_code"], unknown["error_message"]) == (69, "Group g-not-there not found.")
    assert (known["error_code"], known["group_state"], known["assignor_name"]) == (0, "Stable", "uniform")
    (one,) = known["members"]
    assert (one["member_id"], one["client_id"], one["subscribed_topic_names"]) == (member, "conformance", [name])
    (given,) = one["assignment"]["topic_partitions"]
    assert (given["topic_name"], given["partitions"]) == (name, [0])
    assert one["target_assignment"] == one["assignment"]
    beat(wire, group, member, -1)


# --- security


@every_version("SaslHandshake")
def test_sasl_handshake_where_there_is_no_sasl(wire, version):
    assert ask(wire, "SaslHandshake", version, mechanism="PLAIN") == {"error_code": 34, "mechanisms": []}


@every_version("SaslAuthenticate")
def test_sasl_authenticate_where_there_is_no_sasl(wire, version):
    assert ask(wire, "SaslAuthenticate", version, auth_bytes=b"x") == {
        "error_code": 34,
        "error_message": "SaslAuthenticate request received after successful authentication",
        "auth_bytes": b"",
        "session_lifetime_ms": 0,
    }


@pytest.fixture
def user(wire):
    """A user with a SCRAM credential, spoken by hand; its deletion is part of its test."""
    name = f"user-{uuid.uuid4().hex[:8]}"
    made = {"name": name, "mechanism": 2, "iterations": 4096, "salt": b"s" * 16, "salted_password": b"p" * 64}
    (answer,) = ask(wire, "AlterUserScramCredentials", deletions=[], upsertions=[made])["results"]
    assert (answer["user"], answer["error_code"]) == (name, 0)
    return name


def described_user(wire, name, version=None):
    answer = ask(wire, "DescribeUserScramCredentials", version, users=[{"name": name}])
    assert answer["error_code"] == 0
    (found,) = answer["results"]
    assert found["user"] == name
    return found


@every_version("DescribeUserScramCredentials")
def test_describe_user_scram_credentials(wire, user, version):
    found = until(lambda: described_user(wire, user, version), lambda seen: seen["error_code"] == 0)
    assert found["credential_infos"] == [{"mechanism": 2, "iterations": 4096}]
    ask(wire, "AlterUserScramCredentials", deletions=[{"name": user, "mechanism": 2}], upsertions=[])


@every_version("AlterUserScramCredentials")
def test_alter_user_scram_credentials(wire, user, version):
    until(lambda: described_user(wire, user)["error_code"], lambda code: code == 0)
    deletion = {"name": user, "mechanism": 2}
    (answer,) = ask(wire, "AlterUserScramCredentials", version, deletions=[deletion], upsertions=[])["results"]
    assert (answer["user"], answer["error_code"]) == (user, 0)
    until(lambda: described_user(wire, user)["error_code"], lambda code: code == 91)
    (answer,) = ask(wire, "AlterUserScramCredentials", version, deletions=[deletion], upsertions=[])["results"]
    assert (answer["user"], answer["error_code"]) == (user, 91)


WHOSE = {"principal": "User:somebody", "host": "*"}


@pytest.fixture
def binding(wire):
    """An ACL about a topic that is not there, deleted after the test."""
    made = {"resource_type": 2, "resource_name": f"t-{uuid.uuid4().hex[:8]}", "pattern_type": 3, **WHOSE}
    made |= {"operation": 3, "permission_type": 3}
    yield made
    ask(wire, "DeleteAcls", filters=[made])


def described_acls(wire, binding, version=None):
    answer = ask(wire, "DescribeAcls", version, **binding)
    assert answer["error_code"] == 0
    return answer["resources"]


@every_version("CreateAcls")
def test_create_acls(wire, binding, version):
    (answer,) = ask(wire, "CreateAcls", version, creations=[binding])["results"]
    assert answer["error_code"] == 0
    until(lambda: described_acls(wire, binding))


@every_version("DescribeAcls")
def test_describe_acls(wire, binding, version):
    assert described_acls(wire, binding, version) == []
    ask(wire, "CreateAcls", creations=[binding])
    (found,) = until(lambda: described_acls(wire, binding, version))
    assert found == {
        **{name: binding[name] for name in ("resource_type", "resource_name", "pattern_type")},
        "acls": [{**WHOSE, "operation": 3, "permission_type": 3}],
    }


@every_version("DeleteAcls")
def test_delete_acls(wire, binding, version):
    ask(wire, "CreateAcls", creations=[binding])
    until(lambda: described_acls(wire, binding))
    (answer,) = ask(wire, "DeleteAcls", version, filters=[binding])["results"]
    (deleted,) = answer["matching_acls"]
    assert (answer["error_code"], deleted["error_code"]) == (0, 0)
    assert {name: deleted[name] for name in binding} == binding
    until(lambda: described_acls(wire, binding), lambda seen: seen == [])


def test_every_api_is_asked_in_every_version():
    assert kafka_api.covered == set(APIS)
