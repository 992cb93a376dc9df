"""What only the embedded broker can show of security: IAM, sessions that end, wanted certificates, TLS's edges."""

from __future__ import annotations

import os
import socket
import ssl
import struct
import time

import pytest
from confluent_kafka import KafkaError, TopicCollection
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)
from wire_client import WireClient, batch

from pytest_msk import BrokerError, NotSupported
from pytest_msk.brokers.certificates import CertificateAuthority, session_authority
from pytest_msk.brokers.client_security import iam_token
from pytest_msk.brokers.embedded import EmbeddedBroker
from pytest_msk.brokers.embedded.errors import ErrorCode
from pytest_msk.brokers.embedded.messages.admin import CREATE_TOPICS
from pytest_msk.brokers.embedded.messages.groups import HEARTBEAT
from pytest_msk.brokers.embedded.messages.metadata import API_VERSIONS, METADATA
from pytest_msk.brokers.embedded.messages.security import SASL_AUTHENTICATE, SASL_HANDSHAKE
from pytest_msk.brokers.security import AUTHENTICATIONS, IamKey, Security
from pytest_msk.clock import VirtualClock
from pytest_msk.sandbox import Sandbox

PATIENCE = 10.0
VERSIONS = {"client_software_name": "test", "client_software_version": "1"}
EVERY_TOPIC = {"topics": None, "allow_auto_topic_creation": False, "include_topic_authorized_operations": False}


def log_in(client, mechanism, message):
    """One round of a mechanism; the answer."""
    client.ask(SASL_HANDSHAKE, {"mechanism": mechanism})
    return client.ask(SASL_AUTHENTICATE, {"auth_bytes": message})


def bearer(token):
    return b"n,,\x01auth=Bearer " + token.encode() + b"\x01\x01"


def reasons(config):
    """What a client is told when it cannot connect, as soon as there is something."""
    told = []
    admin = AdminClient({**config, "log_level": 0, "error_cb": lambda error: told.append((error.code(), error.str()))})
    deadline = time.monotonic() + PATIENCE
    while not told and time.monotonic() < deadline:
        admin.poll(0.05)
    return told[0]


def seen_topics(config):
    return set(AdminClient({**config, "log_level": 0}).list_topics(timeout=PATIENCE).topics)


# --- IAM


def policy(*actions, resource="*"):
    return {
        "Statement": {"Effect": "Allow", "Action": [f"kafka-cluster:{each}" for each in actions], "Resource": resource}
    }


@pytest.fixture(scope="module")
def iam():
    """A broker with keys of different rights; their ids are what they are for."""
    topics = "arn:aws:kafka:*:*:topic/*/*/orders"
    keys = {
        "everything": None,
        "reader": policy("Connect", "DescribeTopic", "ReadData", "DescribeGroup", "AlterGroup"),
        "writer": {
            "Statement": [
                policy("Connect")["Statement"],
                policy("DescribeTopic", "WriteData", resource=topics)["Statement"],
            ]
        },
        "nobody": policy("DescribeTopic"),
        "denied": {"Statement": [policy("*")["Statement"], {**policy("WriteData")["Statement"], "Effect": "Deny"}]},
    }
    security = Security(
        iam_keys=[
            IamKey(
                access_key_id=name, secret_access_key=f"{name}'s", policy=document, arn=f"arn:aws:iam::1:user/{name}"
            )
            for name, document in keys.items()
        ]
    )
    with EmbeddedBroker(security=security) as broker:
        broker.create_topic("orders")
        broker.create_topic("other")
        yield broker


def test_a_client_of_confluent_kafka_produces_and_consumes(iam):
    producer = iam.producer(auth="iam")
    producer.produce("orders", b"signed")
    assert producer.flush(PATIENCE) == 0
    consumer = iam.consumer("g", auth="iam", user="reader")
    consumer.subscribe(["orders"])
    message = consumer.poll(PATIENCE)
    assert message.value() == b"signed"


def test_the_signer_of_aws_is_let_in(iam, monkeypatch):
    reason = "needs aws-msk-iam-sasl-signer-python"
    signer = pytest.importorskip("aws_msk_iam_sasl_signer.MSKAuthTokenProvider", reason=reason)
    for name, value in iam.security.iam_key("writer").environment(iam.security.region).items():
        monkeypatch.setenv(name, value)

    def token(_config):
        text, expires_ms = signer.generate_auth_token(iam.security.region)
        return text, expires_ms / 1000

    config = {
        "bootstrap.servers": iam.bootstrap_servers_for("iam"),
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "OAUTHBEARER",
        "ssl.ca.location": str(session_authority().path),
        "oauth_cb": token,
    }
    assert seen_topics(config) == {"orders"}


@pytest.fixture
def key_holder(iam):
    """Opens a connection that has logged in with a key: `key_holder(id)`; librdkafka takes a second for its token."""
    made = []

    def connect(key):
        made.append(WireClient(iam.bootstrap_servers_for("iam"), tls=True))
        token, _ = iam_token(iam.security.iam_key(key), iam.security.region)
        assert log_in(made[-1], "OAUTHBEARER", bearer(token))["auth_bytes"] == b""
        return made[-1]

    yield connect
    for one in made:
        one.__exit__(None, None, None)


@pytest.mark.parametrize(
    ("key", "topics"),
    [("everything", ["orders", "other"]), ("reader", ["orders", "other"]), ("writer", ["orders"])],
)
def test_metadata_shows_what_a_policy_lets_be_described(key_holder, key, topics):
    assert sorted(topic["name"] for topic in key_holder(key).ask(METADATA, EVERY_TOPIC)["topics"]) == topics


@pytest.mark.parametrize(
    ("key", "topic", "error"),
    [
        ("everything", "orders", ErrorCode.NONE),
        ("writer", "orders", ErrorCode.NONE),
        ("writer", "other", ErrorCode.TOPIC_AUTHORIZATION_FAILED),
        ("reader", "orders", ErrorCode.TOPIC_AUTHORIZATION_FAILED),
        ("denied", "orders", ErrorCode.TOPIC_AUTHORIZATION_FAILED),
    ],
)
def test_a_policy_says_who_produces(key_holder, key, topic, error):
    assert key_holder(key).produce(topic, batch(b"x"))["error_code"] == error


@pytest.mark.parametrize(
    ("key", "error"), [("writer", ErrorCode.TOPIC_AUTHORIZATION_FAILED), ("reader", ErrorCode.NONE)]
)
def test_a_policy_says_who_fetches(key_holder, key, error):
    assert key_holder(key).fetch("orders", 0)["error_code"] == error


@pytest.mark.parametrize(
    ("key", "error"), [("writer", ErrorCode.GROUP_AUTHORIZATION_FAILED), ("reader", ErrorCode.UNKNOWN_MEMBER_ID)]
)
def test_a_policy_says_who_is_in_a_group(key_holder, key, error):
    body = {"group_id": "g", "generation_id": 1, "member_id": "m", "group_instance_id": None}
    assert key_holder(key).ask(HEARTBEAT, body)["error_code"] == error


def test_a_policy_says_who_creates_topics(key_holder):
    topic = {"name": "new", "num_partitions": 1, "replication_factor": 1, "assignments": [], "configs": []}
    answer = key_holder("reader").ask(CREATE_TOPICS, {"topics": [topic], "timeout_ms": 1000, "validate_only": False})
    assert answer["topics"][0]["error_code"] == ErrorCode.TOPIC_AUTHORIZATION_FAILED


def test_a_policy_without_connect_lets_nobody_in(iam):
    code, text = reasons(iam.client_config(auth="iam", user="nobody"))
    assert code == KafkaError._AUTHENTICATION
    assert "access_denied" in text
    assert any("user/nobody does not allow kafka-cluster:Connect" in each for each in iam.rejections)


def test_acls_do_not_touch_iam_identities(iam, key_holder):
    admin = AdminClient(iam.client_config(log_level=0))
    binding = AclBinding(
        ResourceType.TOPIC,
        "orders",
        ResourcePatternType.LITERAL,
        "User:*",
        "*",
        AclOperation.ALL,
        AclPermissionType.DENY,
    )
    with iam.security_scope():
        admin.create_acls([binding])[binding].result(PATIENCE)
        assert len(key_holder("everything").ask(METADATA, EVERY_TOPIC)["topics"]) == 2
        assert seen_topics(iam.client_config(auth="scram")) == {"other"}


@pytest.mark.parametrize(
    ("key", "region", "reason"),
    [
        (IamKey(access_key_id="everything", secret_access_key="forged"), "us-east-1", "its signature is not made with"),
        (IamKey(access_key_id="unknown", secret_access_key="x"), "us-east-1", "its access key 'unknown' is not known"),
        (IamKey(access_key_id="everything", secret_access_key="everything's"), "eu-west-1", "the cluster is in"),
    ],
    ids=["forged", "unknown", "region"],
)
def test_a_token_that_is_no_good_is_refused_and_its_reason_kept(iam, key, region, reason):
    token, _ = iam_token(key, region)
    with WireClient(iam.bootstrap_servers_for("iam"), tls=True) as client:
        answer = log_in(client, "OAUTHBEARER", bearer(token))
        assert (answer["error_code"], answer["auth_bytes"]) == (0, b'{"status":"invalid_token"}')
        answer = client.ask(SASL_AUTHENTICATE, {"auth_bytes": b"\x01"})
        assert answer["error_code"] == ErrorCode.SASL_AUTHENTICATION_FAILED
        assert answer["error_message"] == '{"status":"invalid_token"}'
        assert client.is_closed()
    assert any(reason in each for each in iam.rejections)
    assert not any(key.secret_access_key in each for each in iam.rejections if len(key.secret_access_key) > 1)


def test_a_session_lasts_as_long_as_its_token(iam):
    token, expires_ms = iam_token(iam.security.iam_key("everything"), iam.security.region)
    with WireClient(iam.bootstrap_servers_for("iam"), tls=True) as client:
        answer = log_in(client, "OAUTHBEARER", bearer(token))
        left = expires_ms - time.time() * 1000
        assert answer["error_code"] == 0
        assert abs(answer["session_lifetime_ms"] - left) < 5_000
        assert 0 < answer["session_lifetime_ms"] <= 900_000


# --- sessions that end


@pytest.fixture(scope="module")
def brief():
    """A broker whose sessions last for 1.2 seconds."""
    with EmbeddedBroker({"connections.max.reauth.ms": "1200"}) as broker:
        broker.create_topic("t")
        yield broker


def test_a_session_that_is_over_closes_the_connection(brief, monkeypatch):
    with WireClient(brief.bootstrap_servers_for("plain"), tls=True) as client:
        answer = log_in(client, "PLAIN", b"\0msk-user\0msk-password")
        assert answer["session_lifetime_ms"] == 1200
        client.ask(METADATA, EVERY_TOPIC)
        later(brief, monkeypatch, 1_201)
        client.send(METADATA, 12, EVERY_TOPIC)
        assert client.is_closed()
    assert any("The session of User:msk-user is over" in each for each in brief.rejections)


def later(broker, monkeypatch, milliseconds):
    """Let the sessions' clock be ahead."""
    now_ms = broker._security._clock.now_ms
    monkeypatch.setattr(broker._security._clock, "now_ms", lambda: now_ms() + milliseconds, raising=False)


def test_a_session_is_renewed(brief, monkeypatch):
    with WireClient(brief.bootstrap_servers_for("plain"), tls=True) as client:
        log_in(client, "PLAIN", b"\0msk-user\0msk-password")
        for _ in range(3):
            later(brief, monkeypatch, 1_100)
            answer = log_in(client, "PLAIN", b"\0msk-user\0msk-password")
            assert (answer["error_code"], answer["session_lifetime_ms"]) == (0, 1200)
            assert client.ask(METADATA, EVERY_TOPIC)["topics"]


def test_a_session_that_is_over_may_still_be_renewed(brief, monkeypatch):
    with WireClient(brief.bootstrap_servers_for("plain"), tls=True) as client:
        log_in(client, "PLAIN", b"\0msk-user\0msk-password")
        later(brief, monkeypatch, 5_000)
        assert log_in(client, "PLAIN", b"\0msk-user\0msk-password")["error_code"] == 0


def test_a_session_is_not_renewed_at_once(brief):
    with WireClient(brief.bootstrap_servers_for("plain"), tls=True) as client:
        log_in(client, "PLAIN", b"\0msk-user\0msk-password")
        answer = client.ask(SASL_HANDSHAKE, {"mechanism": "PLAIN"})
        assert answer["error_code"] == ErrorCode.ILLEGAL_SASL_STATE


def test_a_session_is_renewed_by_nobody_else(brief, monkeypatch):
    brief.set_password("somebody", "else")
    with WireClient(brief.bootstrap_servers_for("plain"), tls=True) as client:
        log_in(client, "PLAIN", b"\0msk-user\0msk-password")
        later(brief, monkeypatch, 1_100)
        answer = log_in(client, "PLAIN", b"\0somebody\0else")
        assert answer["error_code"] == ErrorCode.SASL_AUTHENTICATION_FAILED
        assert answer["error_message"].startswith("Cannot change principals during re-authentication")
        assert client.is_closed()


def test_a_session_is_renewed_by_the_same_mechanism(brief, monkeypatch):
    with WireClient(brief.bootstrap_servers_for("plain"), tls=True) as client:
        log_in(client, "PLAIN", b"\0msk-user\0msk-password")
        later(brief, monkeypatch, 1_100)
        answer = client.ask(SASL_HANDSHAKE, {"mechanism": "SCRAM-SHA-512"})
        assert answer["error_code"] == ErrorCode.SASL_AUTHENTICATION_FAILED
        assert client.is_closed()


def test_a_client_of_librdkafka_outlives_its_sessions():
    with EmbeddedBroker({"connections.max.reauth.ms": "1100"}) as broker:
        broker.create_topic("t")
        producer = broker.producer(auth="scram", log_level=0)
        began = time.monotonic()
        sent = 0
        while time.monotonic() - began < 1.5:
            producer.produce("t", b"x")
            assert producer.flush(PATIENCE) == 0
            sent += 1
        assert broker.watermarks("t")[0].high == sent
        assert broker.rejections == ()


# --- certificates


@pytest.mark.parametrize(("wanted", "tls"), [("required", False), ("requested", True), ("none", True)])
def test_whether_a_client_needs_a_certificate(wanted, tls):
    with EmbeddedBroker({"ssl.client.auth": wanted}) as broker:
        broker.create_topic("t")
        assert seen_topics(broker.client_config(auth="mtls")) == {"t"}
        if tls:
            assert seen_topics(broker.client_config(auth="tls")) == {"t"}
        else:
            code, text = reasons(broker.client_config(auth="tls"))
            assert code in (KafkaError._SSL, KafkaError._TRANSPORT)
            assert "certificate" in text
            assert any("did not return a certificate" in each for each in broker.rejections), broker.rejections


def test_an_authority_of_the_tests_own_is_trusted_when_it_is_given(tmp_path):
    other = CertificateAuthority(tmp_path / "other", name="our own CA")
    mine = other.client("CN=orders,OU=shop")
    shown = {"ssl_certificate_location": str(mine.path), "ssl_key_location": str(mine.key_path)}
    with EmbeddedBroker({"ssl.client.auth": "required"}, security=Security(client_cas=[other.path])) as broker:
        broker.create_topic("t")
        assert seen_topics(broker.client_config(auth="mtls", **shown)) == {"t"}
    with EmbeddedBroker({"ssl.client.auth": "required"}) as broker:
        assert reasons(broker.client_config(auth="mtls", **shown))[0] in (KafkaError._SSL, KafkaError._TRANSPORT)


def test_principals_follow_the_mapping_rules():
    rules = "RULE:^CN=(.*?),OU=.*$/$1/L,DEFAULT"
    with EmbeddedBroker({"ssl.principal.mapping.rules": rules, "super.users": "User:orders"}) as broker:
        broker.create_topic("t")
        config = broker.client_config(auth="mtls", user="CN=Orders,OU=shop", log_level=0)
        admin = AdminClient(config)
        assert admin.describe_topics(TopicCollection(["t"]))["t"].result(PATIENCE).name == "t"
        with EmbeddedBroker({"allow.everyone.if.no.acl.found": "false", "super.users": "User:orders"}) as strict:
            strict.create_topic("t")
            assert seen_topics(strict.client_config(auth="mtls", user="CN=Orders,OU=shop")) == set()
            assert seen_topics(strict.client_config(auth="mtls", user="orders")) == set()
            assert seen_topics(strict.client_config()) == set(), "not even the plaintext listener's"
        with EmbeddedBroker(
            {
                "ssl.principal.mapping.rules": rules,
                "allow.everyone.if.no.acl.found": "false",
                "super.users": "User:a;User:orders",
            }
        ) as strict:
            strict.create_topic("t")
            assert seen_topics(strict.client_config(auth="mtls", user="CN=Orders,OU=shop")) == {"t"}


# --- TLS


def test_a_record_that_comes_byte_by_byte_is_read(broker):
    context = ssl.create_default_context(cafile=str(session_authority().path))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    host, port = broker.bootstrap_servers_for("tls").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def pump(action):
            while True:
                try:
                    result = action()
                except ssl.SSLWantReadError:
                    result = None
                for byte in outgoing.read():
                    sock.sendall(bytes([byte]))
                if result is not None:
                    return result
                incoming.write(sock.recv(1))

        pump(lambda: tls.do_handshake() or True)
        request = struct.pack(">hhih", 18, 0, 7, -1)
        pump(lambda: tls.write(struct.pack(">i", len(request)) + request))
        (size,) = struct.unpack(">i", pump(lambda: tls.read(4)))
        assert struct.unpack(">i", pump(lambda: tls.read(4))) == (7,)
        assert size > 4


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_of_tls_are_spoken(broker, version):
    context = ssl.create_default_context(cafile=str(session_authority().path))
    context.minimum_version = context.maximum_version = version
    host, port = broker.bootstrap_servers_for("tls").split(":")
    with (
        socket.create_connection((host, int(port)), timeout=PATIENCE) as sock,
        context.wrap_socket(sock, server_hostname="localhost") as tls,
    ):
        assert tls.version() == version.name.replace("v1_", "v1.")
        tls.sendall(struct.pack(">ihhih", 10, 18, 0, 1, -1))
        assert len(tls.recv(4)) == 4


def test_large_answers_arrive_whole_at_a_slow_reader(broker):
    broker.create_topic("t", config={"max.message.bytes": "40000000"})
    value = os.urandom(5_000_000)
    with WireClient(broker.bootstrap_servers_for("tls"), tls=True) as client:
        assert client.produce("t", batch(value))["error_code"] == 0
        records = client.fetch("t", 0, partition_max_bytes=40_000_000)["records"]
        assert value in bytes(records)


def test_a_goodbye_of_tls_closes_the_connection(broker):
    with WireClient(broker.bootstrap_servers_for("tls"), tls=True) as client:
        assert client.ask(API_VERSIONS, VERSIONS, 3)["error_code"] == 0
        client._socket.unwrap().close()
    deadline = time.monotonic() + PATIENCE
    while broker._listeners[1].connections:
        assert time.monotonic() < deadline


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "What came in on a TLS listener is not TLS: http request"),
        (struct.pack(">ihhih", 10, 18, 0, 1, -1), "What came in on a TLS listener is not TLS"),
        (b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", "A TLS connection failed"),
    ],
    ids=["http", "kafka", "half a hello"],
)
def test_what_is_not_tls_is_told_from_it(broker, sent, reason):
    with WireClient(broker.bootstrap_servers_for("tls")) as client:
        client.send_raw(sent)
        while client._socket.recv(100):
            pass
    assert any(each.startswith(reason) for each in broker.rejections), broker.rejections


def test_clients_that_say_nothing_do_not_keep_others_waiting(broker):
    silent = [WireClient(broker.bootstrap_servers_for("scram")) for _ in range(20)]
    silent += [WireClient(broker.bootstrap_servers_for("scram"), tls=True) for _ in range(5)]
    with WireClient(broker.bootstrap_servers_for("scram"), tls=True) as client:
        assert client.ask(API_VERSIONS, VERSIONS, 3)["error_code"] == 0
    for one in silent:
        one._socket.close()


def test_a_client_that_failed_is_closed_after_the_delay():
    with EmbeddedBroker({"connection.failed.authentication.delay.ms": "50"}) as broker:
        with WireClient(broker.bootstrap_servers_for("plain"), tls=True) as client:
            log_in(client, "PLAIN", b"\0msk-user\0wrong")
            began = time.monotonic()
            client.send(METADATA, 12, EVERY_TOPIC)  # nobody reads it
            assert client.is_closed()
            assert time.monotonic() - began < 2
        assert "SASL authentication by PLAIN failed: the password of user 'msk-user' is wrong." in broker.rejections


# --- the Python face


def test_a_client_that_is_refused_does_not_come_back_at_once(broker, tmp_path):
    stranger = CertificateAuthority(tmp_path)
    producers = [
        broker.producer(auth="scram", sasl_password="wrong", log_level=0),
        broker.producer(auth="tls", ssl_ca_location=str(stranger.path), log_level=0),
    ]
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline:
        for producer in producers:
            producer.poll(0.05)
    assert 2 <= len(broker.rejections) <= 6


def test_a_listener_is_opened_by_its_first_use(broker):
    assert len(broker._listeners[1].servers) == 1
    first = broker.bootstrap_servers_for("scram")
    assert broker.bootstrap_servers_for("scram") == first
    assert len(broker._listeners[1].servers) == 2


def test_four_listeners_are_ready_in_no_time():
    session_authority().server("localhost", "127.0.0.1")
    took = []
    for _ in range(5):
        began = time.perf_counter()
        with EmbeddedBroker() as broker:
            for auth in ("plaintext", "tls", "scram", "iam"):
                broker.bootstrap_servers_for(auth)
            took.append(time.perf_counter() - began)
    assert min(took) < 0.05


def test_a_way_that_is_not_there_is_an_error_with_those_that_are(broker):
    with pytest.raises(BrokerError, match="There is no auth='kerberos': there are plaintext, tls, mtls, scram"):
        broker.client_config(auth="kerberos")


def test_a_user_without_a_way_is_an_error(broker):
    with pytest.raises(BrokerError, match="user='x' was given without auth"):
        broker.client_config(user="x")


@pytest.mark.parametrize("auth", AUTHENTICATIONS)
def test_the_callers_settings_win(broker, auth):
    assert broker.client_config(auth=auth, client_id="mine")["client.id"] == "mine"
    assert broker.client_config(auth=auth, security_protocol="X")["security.protocol"] == "X"


def test_a_broker_does_not_show_its_users(broker):
    assert "msk-password" not in repr(broker) + repr(broker.security)


def test_a_cluster_of_somebody_else_has_no_users_of_the_kit(broker):
    from pytest_msk.brokers.external import ExternalBroker

    external = ExternalBroker(broker.bootstrap_servers)
    try:
        for ask in (
            lambda: external.client_config(auth="scram"),
            lambda: external.bootstrap_servers_for("tls"),
            lambda: external.set_password("x", "y"),
        ):
            with pytest.raises(NotSupported, match="its owner's"):
                ask()
        with external.security_scope():
            assert external.client_config()["bootstrap.servers"] == broker.bootstrap_servers
    finally:
        external.close()


def test_a_test_leaves_no_users_and_acls_behind(broker):
    admin = AdminClient(broker.client_config(log_level=0))
    binding = AclBinding(
        ResourceType.TOPIC,
        "t",
        ResourcePatternType.LITERAL,
        "User:x",
        "*",
        AclOperation.ALL,
        AclPermissionType.ALLOW,
    )
    with Sandbox(broker, VirtualClock(), "test", timeout=PATIENCE):
        broker.set_password("new", "secret")
        broker.set_password("msk-user", "changed")
        admin.create_acls([binding])[binding].result(PATIENCE)
        assert len(broker._security.acls) == 1
    assert len(broker._security.acls) == 0
    assert broker._security.users() == {"msk-user"}
    with WireClient(broker.bootstrap_servers_for("plain"), tls=True) as client:
        assert log_in(client, "PLAIN", b"\0msk-user\0msk-password")["error_code"] == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forks_child_leaves_the_certificates_alone(broker):
    path = session_authority().path
    child = os.fork()
    if child == 0:
        import atexit

        atexit._run_exitfuncs()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert path.exists()
