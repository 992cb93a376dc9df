"""Who may do what: ACLs as Kafka judges them, and each API's answer to who may not."""

from __future__ import annotations

import ssl
import struct
import time
import uuid

import pytest
from broker_tools import PATIENCE, read
from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourcePatternType,
    ResourceType,
    ScramMechanism,
    UserScramCredentialDeletion,
)
from kafka_wire import SASL_AUTHENTICATE, SASL_HANDSHAKE, Wire, blob, string

DESCRIBE_ACLS, DESCRIBE_USERS = 29, 50
ALICE, BOB = "User:alice", "User:bob"
LITERAL, PREFIXED = ResourcePatternType.LITERAL, ResourcePatternType.PREFIXED
ALLOW, DENY = AclPermissionType.ALLOW, AclPermissionType.DENY
TOPIC, GROUP, CLUSTER = ResourceType.TOPIC, ResourceType.GROUP, ResourceType.BROKER
TRANSACTION = ResourceType.TRANSACTIONAL_ID
EVERYTHING = AclBindingFilter(
    ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY
)


@pytest.fixture
def acls(msk_broker, admin):
    """Creates ACLs that are gone after the test: `acls(*bindings)` returns when the broker goes by them."""

    def create(*bindings):
        for answer in admin.create_acls(list(bindings)).values():
            answer.result(PATIENCE)
        deadline = time.monotonic() + PATIENCE
        while not set(bindings) <= set(admin.describe_acls(EVERYTHING).result(PATIENCE)):
            assert time.monotonic() < deadline, "they were not known in time"
            time.sleep(0.005)

    with msk_broker.security_scope():
        yield create


@pytest.fixture(scope="module")
def clients(msk_broker):
    """Administrators by their names, each made once."""
    made = {}

    def get(name):
        if name not in made:
            made[name] = AdminClient(msk_broker.client_config(auth="plain", user=name, log_level=2))
        return made[name]

    return get


@pytest.fixture
def alice(clients):
    return clients("alice")


@pytest.fixture
def bob(clients):
    return clients("bob")


def acl(name, operation, *, kind=TOPIC, pattern=LITERAL, principal=ALICE, host="*", permission=ALLOW):
    return AclBinding(kind, name, pattern, principal, host, operation, permission)


def guarded(name, kind=TOPIC):
    """An ACL that makes a resource nobody's but bob's, who is not asked for anything."""
    return acl(name, AclOperation.ALL, kind=kind, principal=BOB)


def error_of(answer):
    """The name of the error of an answer; None for success."""
    error = answer.exception(PATIENCE)
    return None if error is None else error.args[0].name()


def sees(client, topic):
    """Whether a client is told of a topic by its name."""
    found = client.describe_topics(TopicCollection([topic]))[topic]
    error = error_of(found)
    assert error in (None, "TOPIC_AUTHORIZATION_FAILED")
    return error is None


# --- how ACLs are judged


def test_what_no_acl_is_about_is_everybodys(topic, alice):
    assert sees(alice, topic())


def test_what_an_acl_is_about_is_nobody_elses(topic, acls, alice, bob):
    name = topic()
    acls(acl(name, AclOperation.READ, principal=BOB))
    assert sees(bob, name)
    assert not sees(alice, name)


def test_a_super_user_is_not_asked(topic, acls, admin):
    name = topic()
    acls(acl(name, AclOperation.ALL, principal="User:*", permission=DENY))
    assert sees(admin, name)


@pytest.mark.parametrize(
    "operation",
    [AclOperation.READ, AclOperation.WRITE, AclOperation.DELETE, AclOperation.ALTER, AclOperation.ALL],
    ids=lambda operation: operation.name,
)
def test_describe_comes_along_with(topic, acls, alice, operation):
    name = topic()
    acls(acl(name, operation))
    assert sees(alice, name)


@pytest.mark.parametrize(
    "operation",
    [AclOperation.CREATE, AclOperation.DESCRIBE_CONFIGS, AclOperation.ALTER_CONFIGS],
    ids=lambda operation: operation.name,
)
def test_describe_does_not_come_along_with(topic, acls, alice, operation):
    name = topic()
    acls(acl(name, operation))
    assert not sees(alice, name)


def test_a_denial_wins(topic, acls, alice, bob):
    name = topic()
    acls(
        acl(name, AclOperation.ALL, principal="User:*"),
        acl(name, AclOperation.DESCRIBE, permission=DENY),
    )
    assert not sees(alice, name)
    assert sees(bob, name)


def test_a_denial_brings_nothing_along(topic, acls, alice):
    name = topic()
    acls(acl(name, AclOperation.ALL), acl(name, AclOperation.READ, permission=DENY))
    assert sees(alice, name)


def test_a_prefix_is_about_what_begins_with_it(topic, acls, alice, bob):
    name = topic()
    acls(acl(name[:-3], AclOperation.DESCRIBE, pattern=PREFIXED))
    assert sees(alice, name)
    assert not sees(bob, name)


def test_a_literal_is_about_one_name_alone(topic, acls, alice, bob):
    name = topic()
    acls(acl(name[:-3], AclOperation.DESCRIBE))
    assert sees(bob, name), "that one is still everybody's"


def test_a_denied_prefix_wins_over_an_allowed_name(topic, acls, alice):
    name = topic()
    acls(acl(name, AclOperation.ALL), acl(name[:-3], AclOperation.DESCRIBE, pattern=PREFIXED, permission=DENY))
    assert not sees(alice, name)


def test_a_star_is_about_every_name(topic, acls, alice, bob):
    name = topic()
    acls(acl("*", AclOperation.DESCRIBE))
    assert sees(alice, name)
    assert not sees(bob, name)


def test_a_host_is_the_clients_address(topic, acls, alice):
    name = topic()
    acls(acl(name, AclOperation.ALL, host="203.0.113.9"))
    assert not sees(alice, name)


def test_acls_of_another_type_do_not_count(topic, acls, alice):
    name = topic()
    acls(guarded(name, GROUP))
    assert sees(alice, name)


def test_an_acl_that_is_deleted_counts_no_more(topic, acls, admin, alice):
    name = topic()
    acls(guarded(name))
    assert not sees(alice, name)
    only = AclBindingFilter(TOPIC, name, LITERAL, BOB, "*", AclOperation.ALL, ALLOW)
    (deleted,) = admin.delete_acls([only]).values()
    assert list(deleted.result(PATIENCE)) == [guarded(name)]
    deadline = time.monotonic() + PATIENCE
    while not sees(alice, name):
        assert time.monotonic() < deadline


@pytest.mark.parametrize(("auth", "principal"), [("scram", ALICE), ("mtls", "User:CN=alice"), ("plain", ALICE)])
def test_the_principal_is_who_has_authenticated(msk_broker, topic, acls, auth, principal):
    name = topic()
    acls(acl(name, AclOperation.DESCRIBE, principal=principal))
    assert sees(AdminClient(msk_broker.client_config(auth=auth, user="alice", log_level=2)), name)
    assert not sees(AdminClient(msk_broker.client_config(auth=auth, user="bob", log_level=2)), name)


def test_a_certificates_whole_subject_is_its_principal(msk_broker, topic, acls):
    name = topic()
    acls(acl(name, AclOperation.DESCRIBE, principal="User:CN=orders,OU=shop,O=Example"))
    config = msk_broker.client_config(auth="mtls", user="CN=orders,OU=shop,O=Example", log_level=2)
    assert sees(AdminClient(config), name)
    assert not sees(AdminClient(msk_broker.client_config(auth="mtls", user="CN=orders,OU=shop", log_level=2)), name)


# --- listing and changing ACLs


def test_acls_are_described_as_they_were_created(acls, admin):
    name = f"t-{uuid.uuid4().hex[:8]}"
    bindings = [
        acl(name, AclOperation.READ),
        acl(name, AclOperation.WRITE, pattern=PREFIXED, host="203.0.113.9"),
        acl(name, AclOperation.DESCRIBE, kind=GROUP, permission=DENY),
    ]
    acls(*bindings)
    found = {each for each in admin.describe_acls(EVERYTHING).result(PATIENCE) if each.name == name}
    assert found == set(bindings)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"restype": GROUP}, ["group"]),
        ({"name": "orders-eu"}, ["name"]),
        ({"name": "orders-eu", "resource_pattern_type": ResourcePatternType.MATCH}, ["name", "prefix", "star"]),
        ({"name": "orders-", "resource_pattern_type": PREFIXED}, ["prefix"]),
        ({"resource_pattern_type": PREFIXED}, ["prefix"]),
        ({"principal": BOB}, ["star"]),
        ({"host": "203.0.113.9"}, ["group"]),
        ({"operation": AclOperation.WRITE}, ["prefix"]),
        ({"permission_type": DENY}, ["star"]),
        ({"name": "nothing"}, []),
    ],
    ids=str,
)
def test_a_filter_finds(acls, admin, wanted, expected):
    made = {
        "name": acl("orders-eu", AclOperation.READ),
        "prefix": acl("orders-", AclOperation.WRITE, pattern=PREFIXED),
        "star": acl("*", AclOperation.READ, principal=BOB, permission=DENY),
        "group": acl("orders", AclOperation.READ, kind=GROUP, host="203.0.113.9"),
    }
    acls(*made.values())
    fields = {
        "restype": ResourceType.ANY,
        "name": None,
        "resource_pattern_type": ResourcePatternType.ANY,
        "principal": None,
        "host": None,
        "operation": AclOperation.ANY,
        "permission_type": AclPermissionType.ANY,
        **wanted,
    }
    found = admin.describe_acls(AclBindingFilter(**fields)).result(PATIENCE)
    assert [name for name, binding in made.items() if binding in found] == expected
    assert len(found) == len(expected)


@pytest.mark.parametrize(
    "binding",
    [
        acl("some-cluster", AclOperation.ALTER, kind=CLUSTER),
        acl("t", AclOperation.READ, principal="alice"),
    ],
    ids=["another cluster", "no principal type"],
)
def test_an_acl_that_makes_no_sense_is_refused(acls, admin, binding):
    (answer,) = admin.create_acls([binding]).values()
    assert error_of(answer) == "INVALID_REQUEST"


# --- what each API answers


@pytest.fixture
def closed(topic, acls):
    """A topic with a record's room that is none of alice's business."""
    name = topic(partitions=2)
    acls(guarded(name))
    return name


def test_metadata_of_all_topics_leaves_out_what_may_not_be_seen(closed, topic, alice):
    open_one = topic()
    listed = alice.list_topics(timeout=PATIENCE).topics
    assert open_one in listed
    assert closed not in listed


def test_metadata_of_one_topic_is_an_error(closed, alice):
    assert alice.list_topics(closed, timeout=PATIENCE).topics[closed].error.code() == (
        KafkaError.TOPIC_AUTHORIZATION_FAILED
    )


@pytest.mark.parametrize(
    ("ask"),
    [
        pytest.param(lambda a, t: a.delete_topics([t]), id="DeleteTopics"),
        pytest.param(lambda a, t: a.create_partitions([NewPartitions(t, 5)]), id="CreatePartitions"),
        pytest.param(lambda a, t: a.describe_configs([ConfigResource(TOPIC, t)]), id="DescribeConfigs"),
        pytest.param(
            lambda a, t: a.incremental_alter_configs(
                [
                    ConfigResource(
                        TOPIC,
                        t,
                        incremental_configs=[
                            ConfigEntry("retention.ms", "1", incremental_operation=AlterConfigOpType.SET)
                        ],
                    )
                ]
            ),
            id="IncrementalAlterConfigs",
        ),
        pytest.param(lambda a, t: a.create_topics([NewTopic(t, 1)]), id="CreateTopics"),
    ],
)
def test_a_topic_that_is_not_allowed(closed, acls, alice, ask):
    acls(guarded("kafka-cluster", CLUSTER), acl(closed, AclOperation.DESCRIBE))
    (answer,) = ask(alice, closed).values()
    assert error_of(answer) == "TOPIC_AUTHORIZATION_FAILED"


def test_records_are_not_deleted_and_offsets_not_told(closed, alice):
    # The client asks for the leader first, and is not told of it.
    not_told = ("_NOENT", "TOPIC_AUTHORIZATION_FAILED")
    (answer,) = alice.delete_records([TopicPartition(closed, 0, 0)]).values()
    assert error_of(answer) in not_told
    (answer,) = alice.list_offsets({TopicPartition(closed, 0): OffsetSpec.latest()}).values()
    assert error_of(answer) in not_told


def test_offsets_are_told_to_who_may_describe_and_records_deleted_by_who_may_delete(closed, acls, alice):
    acls(acl(closed, AclOperation.DESCRIBE))
    (answer,) = alice.list_offsets({TopicPartition(closed, 0): OffsetSpec.latest()}).values()
    assert answer.result(PATIENCE).offset == 0
    (answer,) = alice.delete_records([TopicPartition(closed, 0, 0)]).values()
    assert error_of(answer) == "TOPIC_AUTHORIZATION_FAILED"
    acls(acl(closed, AclOperation.DELETE))
    (answer,) = alice.delete_records([TopicPartition(closed, 0, 0)]).values()
    assert error_of(answer) is None


@pytest.mark.parametrize(
    "binding",
    [
        lambda name: acl("kafka-cluster", AclOperation.CREATE, kind=CLUSTER),
        lambda name: acl(name, AclOperation.CREATE),
        lambda name: acl(name[:5], AclOperation.CREATE, pattern=PREFIXED),
    ],
    ids=["cluster", "topic", "prefix"],
)
def test_a_topic_is_created_by_who_may_create_it_or_any(new_name, acls, alice, bob, binding):
    name = new_name()
    acls(guarded("kafka-cluster", CLUSTER), acl(name, AclOperation.READ), binding(name))
    (answer,) = alice.create_topics([NewTopic(name, 1)]).values()
    assert error_of(answer) is None


def produced(msk_broker, topic, **settings):
    """The errors of one record that alice sends."""
    told = []
    producer = Producer(msk_broker.client_config(auth="plain", user="alice", log_level=0, **settings))
    producer.produce(topic, b"x", on_delivery=lambda error, _: told.append(error and error.name()))
    assert producer.flush(PATIENCE) == 0
    return told


def test_who_may_write_produces(msk_broker, closed, acls):
    acls(acl(closed, AclOperation.WRITE))
    assert produced(msk_broker, closed) == [None]


def test_who_may_not_see_a_topic_does_not_produce(msk_broker, closed):
    assert produced(msk_broker, closed) == ["TOPIC_AUTHORIZATION_FAILED"]


def test_who_may_only_read_does_not_produce(msk_broker, closed, acls):
    acls(acl(closed, AclOperation.READ))
    assert produced(msk_broker, closed) == ["TOPIC_AUTHORIZATION_FAILED"]


def test_who_may_write_something_may_do_so_idempotently(msk_broker, closed, acls):
    acls(guarded("kafka-cluster", CLUSTER), guarded("*"), acl(closed, AclOperation.WRITE))
    assert produced(msk_broker, closed, enable_idempotence=True) == [None]


def test_a_producer_of_one_request_is_told_of_each_topic(msk_broker, closed, topic):
    open_one, told = topic(), {}
    producer = Producer(msk_broker.client_config(auth="plain", user="alice", log_level=0, linger_ms=50))
    for name in (open_one, closed):
        producer.produce(name, b"x", on_delivery=lambda error, m: told.update({m.topic(): error and error.name()}))
    assert producer.flush(PATIENCE) == 0
    assert told == {open_one: None, closed: "TOPIC_AUTHORIZATION_FAILED"}
    assert msk_broker.watermarks(closed)[0].high == 0


@pytest.fixture
def reader(msk_broker):
    """Makes consumers of alice: `reader(group)`; closed after the test."""
    made = []

    def make(group):
        config = msk_broker.client_config(
            auth="plain", user="alice", log_level=0, group_id=group, auto_offset_reset="earliest"
        )
        made.append(Consumer({**config, "enable.auto.commit": False}))
        return made[-1]

    yield make
    for one in made:
        one.close()


def first_error(consumer):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        message = consumer.poll(0.1)
        if message is not None and message.error() is not None:
            return message.error().name()
        assert message is None, "a record came"
    return None


def test_who_may_read_topic_and_group_consumes(closed, acls, send, group, reader):
    send(closed, b"x", partition=0)
    acls(acl(closed, AclOperation.READ), acl(group, AclOperation.READ, kind=GROUP))
    one = reader(group)
    one.subscribe([closed])
    assert read(one, 1)[0].value() == b"x"
    one.commit(asynchronous=False)
    assert one.committed([TopicPartition(closed, 0)], timeout=PATIENCE)[0].offset == 1


def test_who_may_not_see_a_topic_does_not_consume(closed, group, reader):
    one = reader(group)
    one.subscribe([closed])
    assert first_error(one) == "TOPIC_AUTHORIZATION_FAILED"


def test_who_may_only_see_a_topic_does_not_consume(closed, acls, send, group, reader):
    send(closed, b"x", partition=0)
    acls(acl(closed, AclOperation.DESCRIBE))
    one = reader(group)
    one.assign([TopicPartition(closed, 0, 0)])
    assert first_error(one) == "TOPIC_AUTHORIZATION_FAILED"


def test_who_may_not_read_a_group_does_not_join(topic, acls, group, reader):
    acls(guarded(group, GROUP))
    one = reader(group)
    one.subscribe([topic()])
    assert first_error(one) == "GROUP_AUTHORIZATION_FAILED"


def test_who_may_only_see_a_group_does_not_join(topic, acls, group, reader):
    acls(guarded(group, GROUP), acl(group, AclOperation.DESCRIBE, kind=GROUP))
    one = reader(group)
    one.subscribe([topic()])
    assert first_error(one) == "GROUP_AUTHORIZATION_FAILED"


@pytest.fixture
def used(msk_broker, topic, group, consumer):
    """A group with a committed offset in a topic, and the topic."""
    name = topic()
    one = consumer(group)
    one.subscribe([name])
    deadline = time.monotonic() + PATIENCE
    while not one.assignment() and time.monotonic() < deadline:
        one.poll(0.05)
    one.commit(offsets=[TopicPartition(name, 0, 0)], asynchronous=False)
    one.close()
    return group, name


@pytest.mark.parametrize(
    ("operation", "ask"),
    [
        pytest.param(None, lambda a, g, t: a.describe_consumer_groups([g]), id="DescribeGroups"),
        pytest.param(AclOperation.DESCRIBE, lambda a, g, t: a.delete_consumer_groups([g]), id="DeleteGroups"),
        pytest.param(
            None,
            lambda a, g, t: a.list_consumer_group_offsets([ConsumerGroupTopicPartitions(g)]),
            id="OffsetFetch",
        ),
        pytest.param(
            AclOperation.DESCRIBE,
            lambda a, g, t: a.alter_consumer_group_offsets(
                [ConsumerGroupTopicPartitions(g, [TopicPartition(t, 0, 0)])]
            ),
            id="OffsetCommit",
        ),
    ],
)
def test_a_group_that_is_not_allowed(used, acls, alice, operation, ask):
    group, topic = used
    acls(guarded(group, GROUP))
    if operation is not None:
        acls(acl(group, operation, kind=GROUP))
    (answer,) = ask(alice, group, topic).values()
    if error_of(answer) is None:  # OffsetCommit's errors are those of its partitions
        assert [each.error.name() for each in answer.result().topic_partitions] == ["GROUP_AUTHORIZATION_FAILED"]
    else:
        assert error_of(answer) == "GROUP_AUTHORIZATION_FAILED"


def test_groups_that_may_not_be_seen_are_not_listed(used, acls, alice, bob):
    group, _ = used
    acls(guarded("kafka-cluster", CLUSTER), guarded(group, GROUP))
    assert group not in [each.group_id for each in alice.list_consumer_groups().result(PATIENCE).valid]
    assert group in [each.group_id for each in bob.list_consumer_groups().result(PATIENCE).valid]


def test_who_may_describe_the_cluster_sees_every_group(used, acls, alice):
    group, _ = used
    acls(guarded(group, GROUP), acl("kafka-cluster", AclOperation.DESCRIBE, kind=CLUSTER))
    assert group in [each.group_id for each in alice.list_consumer_groups().result(PATIENCE).valid]


def test_offsets_of_topics_that_may_not_be_seen_are_left_out(used, acls, alice):
    group, topic = used
    acls(guarded(topic))
    (answer,) = alice.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]).values()
    assert answer.result(PATIENCE).topic_partitions == []


def test_an_offset_of_a_topic_that_may_not_be_read_is_not_committed(used, acls, alice):
    group, topic = used
    acls(guarded(topic), acl(topic, AclOperation.DESCRIBE))
    changes = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 0)])
    (answer,) = alice.alter_consumer_group_offsets([changes]).values()
    assert [each.error.name() for each in answer.result(PATIENCE).topic_partitions] == ["TOPIC_AUTHORIZATION_FAILED"]


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda a: a.create_acls([acl("t", AclOperation.READ)]).values(), id="CreateAcls"),
        pytest.param(lambda a: a.delete_acls([EVERYTHING]).values(), id="DeleteAcls"),
        pytest.param(
            lambda a: a.alter_user_scram_credentials(
                [UserScramCredentialDeletion("nobody", ScramMechanism.SCRAM_SHA_512)]
            ).values(),
            id="AlterUserScramCredentials",
        ),
        pytest.param(
            lambda a: a.describe_configs([ConfigResource(ResourceType.BROKER, "1")]).values(), id="DescribeConfigs"
        ),
    ],
)
def test_the_cluster_that_is_not_allowed(acls, alice, ask):
    acls(guarded("kafka-cluster", CLUSTER))
    assert [error_of(answer) for answer in ask(alice)] == ["CLUSTER_AUTHORIZATION_FAILED"]


@pytest.fixture
def alice_by_hand(msk_broker):
    """Alice's connection, spoken by hand: confluent-kafka passes these errors on as successes, or dies of them."""
    context = ssl.create_default_context(cafile=msk_broker.client_config(auth="plain")["ssl.ca.location"])
    with Wire(msk_broker.bootstrap_servers_for("plain"), context) as wire:
        assert wire.ask(SASL_HANDSHAKE, 1, string("PLAIN")).int16() == 0
        assert wire.ask(SASL_AUTHENTICATE, 0, blob(b"\0alice\0alice's secret")).int16() == 0
        yield wire


def test_acls_are_not_told_to_who_may_not_describe_the_cluster(acls, alice_by_hand):
    acls(guarded("kafka-cluster", CLUSTER))
    anything = struct.pack(">b", 1) + string(None) + b"\x01" + string(None) * 2 + b"\x01\x01"
    answer = alice_by_hand.ask(DESCRIBE_ACLS, 1, anything)
    answer.int32()
    assert answer.int16() == 31
    assert answer.string()
    assert answer.int32() == 0
    assert answer.is_read


def test_users_are_not_told_to_who_may_not_describe_the_cluster(acls, alice_by_hand):
    acls(guarded("kafka-cluster", CLUSTER))
    alice_by_hand.send(DESCRIBE_USERS, 0, b"\x02\x07nobody\x00\x00", flexible=True)
    answer = alice_by_hand.receive()
    answer.int32()
    assert answer.int8() == 0
    answer.int32()
    assert answer.int16() == 31


def test_a_transaction_that_is_not_allowed(msk_broker, acls):
    name = f"x-{uuid.uuid4().hex[:8]}"
    acls(guarded(name, TRANSACTION))
    config = msk_broker.client_config(auth="plain", user="alice", log_level=0, transactional_id=name)
    with pytest.raises(KafkaException) as raised:
        Producer(config).init_transactions(PATIENCE)
    assert raised.value.args[0].name() == "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"


# --- what is allowed is told


def operations(found):
    return {operation.name for operation in found.authorized_operations}


def test_a_topics_allowed_operations_are_told(closed, acls, alice):
    acls(acl(closed, AclOperation.WRITE), acl(closed, AclOperation.ALTER_CONFIGS))
    asked = alice.describe_topics(TopicCollection([closed]), include_authorized_operations=True)[closed]
    assert operations(asked.result(PATIENCE)) == {"WRITE", "DESCRIBE", "ALTER_CONFIGS", "DESCRIBE_CONFIGS"}


def test_a_groups_allowed_operations_are_told(used, acls, alice):
    group, _ = used
    acls(guarded(group, GROUP), acl(group, AclOperation.READ, kind=GROUP))
    asked = alice.describe_consumer_groups([group], include_authorized_operations=True)[group]
    assert operations(asked.result(PATIENCE)) == {"READ", "DESCRIBE"}


def test_the_clusters_allowed_operations_are_told(acls, alice):
    acls(guarded("kafka-cluster", CLUSTER), acl("kafka-cluster", AclOperation.CREATE, kind=CLUSTER))
    asked = alice.describe_cluster(include_authorized_operations=True)
    assert not asked.result(PATIENCE).authorized_operations, "who may not describe it is not even told that"
    acls(acl("kafka-cluster", AclOperation.DESCRIBE, kind=CLUSTER))
    asked = alice.describe_cluster(include_authorized_operations=True)
    assert operations(asked.result(PATIENCE)) == {"CREATE", "DESCRIBE"}


def test_a_super_user_is_told_of_everything(topic, admin):
    name = topic()
    asked = admin.describe_topics(TopicCollection([name]), include_authorized_operations=True)[name]
    assert operations(asked.result(PATIENCE)) == {
        *("READ", "WRITE", "CREATE", "DELETE", "ALTER", "DESCRIBE"),
        *("DESCRIBE_CONFIGS", "ALTER_CONFIGS"),
    }


def test_users_and_acls_of_a_scope_are_gone_behind_it(msk_broker, admin):
    before = set(admin.describe_acls(EVERYTHING).result(PATIENCE))
    name = f"user-{uuid.uuid4().hex[:8]}"
    with msk_broker.security_scope():
        msk_broker.set_password(name, "secret")
        (answer,) = admin.create_acls([acl("left-behind", AclOperation.READ)]).values()
        answer.result(PATIENCE)
        deadline = time.monotonic() + PATIENCE
        while set(admin.describe_acls(EVERYTHING).result(PATIENCE)) == before and time.monotonic() < deadline:
            time.sleep(0.005)
    deadline = time.monotonic() + PATIENCE
    while set(admin.describe_acls(EVERYTHING).result(PATIENCE)) != before:
        assert time.monotonic() < deadline
    answer = admin.describe_user_scram_credentials([name])[name]
    while error_of(answer) != "RESOURCE_NOT_FOUND":
        assert time.monotonic() < deadline
        answer = admin.describe_user_scram_credentials([name])[name]
