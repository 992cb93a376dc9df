"""Who may connect: each listener lets in who shows who it is, and tells the others why not, without ever hanging."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ssl
import struct
import time
import uuid

import pytest
from broker_tools import PATIENCE
from confluent_kafka import Consumer, KafkaError, Producer
from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)
from kafka_wire import METADATA, SASL_AUTHENTICATE, SASL_HANDSHAKE, Wire, api_versions, array, blob, string

from pytest_msk.brokers.certificates import CertificateAuthority, session_authority

SASL = ("scram", "scram-sha-256", "plain")
EVERY = ("plaintext", "tls", "mtls", *SASL)
ILLEGAL_STATE, UNSUPPORTED_MECHANISM, AUTHENTICATION_FAILED = 34, 33, 58


@pytest.fixture
def reasons(msk_broker):
    """What a client of these settings is told when it cannot connect: (code, text), as soon as there is one."""

    def ask(auth, user=None, **settings):
        told = []
        admin = AdminClient(
            {
                **msk_broker.client_config(auth=auth, user=user, log_level=0, **settings),
                "error_cb": lambda error: told.append((error.code(), error.str())),
            }
        )
        deadline = time.monotonic() + PATIENCE
        while not told and time.monotonic() < deadline:
            admin.poll(0.05)
        return told[0]

    return ask


@pytest.fixture
def secured(msk_broker):
    """Opens connections that speak Kafka's protocol by hand, over TLS: `secured(auth)`."""
    made = []
    context = ssl.create_default_context(cafile=str(session_authority().path))

    def connect(auth, tls=context):
        made.append(Wire(msk_broker.bootstrap_servers_for(auth), tls))
        return made[-1]

    yield connect
    for one in made:
        one.socket.close()


@pytest.fixture
def user(msk_broker):
    """The name of a user that nobody else has; it is gone after the test."""
    with msk_broker.security_scope():
        yield f"user-{uuid.uuid4().hex[:8]}"


def handshake(wire, mechanism, version=1):
    answer = wire.ask(SASL_HANDSHAKE, version, string(mechanism))
    error = answer.int16()
    mechanisms = [answer.string() for _ in range(answer.int32())]
    assert answer.is_read
    return error, mechanisms


def authenticate(wire, message, version=1):
    """SaslAuthenticate: error, text, message and lifetime."""
    answer = wire.ask(SASL_AUTHENTICATE, version, blob(message))
    found = answer.int16(), answer.string(), answer.bytes(), answer.int64() if version else None
    assert answer.is_read
    return found


def scram(user, password, first, hashed="sha512", nonce="abc"):
    """The client's last message of a SCRAM conversation whose first one was answered with `first`."""
    fields = dict(part.split("=", 1) for part in first.decode().split(","))
    salted = hashlib.pbkdf2_hmac(hashed, password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
    key = hmac.digest(salted, b"Client Key", hashed)
    bare = f"c=biws,r={fields['r']}"
    signed = f"n={user},r={nonce},{first.decode()},{bare}".encode()
    signature = hmac.digest(hashlib.new(hashed, key).digest(), signed, hashed)
    proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature, strict=True))).decode()
    return f"{bare},p={proof}".encode()


# --- clients


@pytest.mark.parametrize("auth", EVERY)
def test_a_client_produces_and_consumes(msk_broker, topic, group, producer, consumer, auth):
    name = topic()
    one = producer(auth=auth)
    one.produce(name, auth.encode())
    assert one.flush(PATIENCE) == 0
    two = consumer(group, auth=auth)
    two.subscribe([name])
    message = None
    deadline = time.monotonic() + PATIENCE
    while message is None and time.monotonic() < deadline:
        message = two.poll(0.1)
    assert message is not None
    assert message.error() is None
    assert message.value() == auth.encode()


@pytest.mark.parametrize("auth", EVERY)
def test_a_client_is_sent_on_to_the_listener_on_which_it_came(msk_broker, auth):
    admin = AdminClient(msk_broker.client_config(auth=auth, log_level=0))
    known = admin.list_topics(timeout=PATIENCE).brokers.values()
    servers = msk_broker.bootstrap_servers_for(auth).split(",")
    assert {f"{broker.host}:{broker.port}" for broker in known} <= set(servers)
    nodes = admin.describe_cluster().result(PATIENCE).nodes
    assert {f"{node.host}:{node.port}" for node in nodes} <= set(servers)


def test_each_way_has_a_listener_of_its_own_but_those_that_share_one(msk_broker):
    servers = {auth: msk_broker.bootstrap_servers_for(auth) for auth in EVERY}
    assert servers["plaintext"] == msk_broker.bootstrap_servers
    assert servers["tls"] == servers["mtls"]
    assert servers["plain"] == servers["scram-sha-256"]
    assert len(set(servers.values())) == 4


@pytest.mark.parametrize("name", ["alice", "bob"])
@pytest.mark.parametrize("auth", SASL)
def test_a_user_is_chosen_by_name(msk_broker, auth, name):
    admin = AdminClient(msk_broker.client_config(auth=auth, user=name, log_level=0))
    assert admin.list_topics(timeout=PATIENCE).brokers


# --- refusals


@pytest.mark.parametrize("how", [{"sasl_password": "wrong"}, {"sasl_username": "nobody"}], ids=["password", "user"])
@pytest.mark.parametrize(
    ("auth", "text"),
    [
        ("scram", "invalid credentials with SASL mechanism SCRAM-SHA-512"),
        ("scram-sha-256", "invalid credentials with SASL mechanism SCRAM-SHA-256"),
        ("plain", "Authentication failed: Invalid username or password"),
    ],
)
def test_a_wrong_password_is_an_authentication_failure(reasons, auth, text, how):
    code, told = reasons(auth, **how)
    assert code == KafkaError._AUTHENTICATION
    assert text in told


def test_a_mechanism_that_the_listener_does_not_have_is_named_with_those_that_it_has(reasons):
    code, told = reasons("scram", sasl_mechanism="PLAIN")
    assert code == KafkaError._AUTHENTICATION
    assert "Unsupported SASL mechanism: broker's supported mechanisms: SCRAM-SHA-512" in told


def test_a_client_that_does_not_trust_the_broker_does_not_connect(reasons, tmp_path):
    code, told = reasons("tls", ssl_ca_location=str(CertificateAuthority(tmp_path / "other").path))
    assert code in (KafkaError._SSL, KafkaError._TRANSPORT)
    assert "certificate verify failed" in told


def test_a_forged_certificate_is_refused(reasons, tmp_path):
    # By an authority of the same name: another one's would not even be shown to the broker.
    forged = CertificateAuthority(tmp_path / "forged").client("alice")
    code, told = reasons("mtls", ssl_certificate_location=str(forged.path), ssl_key_location=str(forged.key_path))
    assert code in (KafkaError._TRANSPORT, KafkaError._SSL)
    assert "alert" in told


def test_a_tls_client_on_the_plaintext_port_does_not_connect(reasons, msk_broker):
    code, _ = reasons("tls", bootstrap_servers=msk_broker.bootstrap_servers)
    assert code in (KafkaError._TRANSPORT, KafkaError._SSL)


def test_a_plaintext_client_on_a_tls_port_is_disconnected(msk_broker):
    with Wire(msk_broker.bootstrap_servers_for("tls")) as wire:
        wire.send(METADATA, 1, array([]))
        seen = b""
        while piece := wire.socket.recv(100):
            seen += piece
        assert len(seen) < 100, "an alert at most"


def test_no_tls_at_all_on_a_tls_port_harms_nobody(msk_broker, secured):
    with Wire(msk_broker.bootstrap_servers_for("tls")) as wire:
        wire.socket.sendall(b"\x16\x03\x01\x02\x00half a hello")
    assert api_versions(secured("tls"))


# --- the protocol


@pytest.mark.parametrize("auth", ["scram", "plain"])
def test_the_versions_are_told_before_the_client_is_known(secured, auth):
    wire = secured(auth)
    assert {SASL_HANDSHAKE, SASL_AUTHENTICATE} <= api_versions(wire).keys()
    assert handshake(wire, "SCRAM-SHA-512")[0] == 0


@pytest.mark.parametrize("auth", ["scram", "plain"])
def test_nothing_else_is_answered_before_the_client_is_known(secured, auth):
    wire = secured(auth)
    wire.send(METADATA, 1, array([]))
    assert wire.is_closed()


def test_nothing_else_is_answered_within_an_authentication(secured):
    wire = secured("scram")
    handshake(wire, "SCRAM-SHA-512")
    wire.send(METADATA, 1, array([]))
    # Kafka has an empty answer for it, the embedded broker none: either is the last thing that comes.
    seen = b""
    while piece := wire.socket.recv(1_000):
        seen += piece
    assert len(seen) < 100


def test_messages_before_a_mechanism_is_agreed_close_the_connection(secured):
    wire = secured("scram")
    wire.send(SASL_AUTHENTICATE, 1, blob(b"n,,n=alice,r=abc"))
    assert wire.is_closed()


@pytest.mark.parametrize(
    ("auth", "offered"),
    [("scram", ["SCRAM-SHA-512"]), ("plain", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])],
)
def test_an_unknown_mechanism_is_an_error_with_a_list_and_the_end(secured, auth, offered):
    wire = secured(auth)
    error, mechanisms = handshake(wire, "ROT-13")
    assert error == UNSUPPORTED_MECHANISM
    assert sorted(mechanisms) == offered
    assert wire.is_closed()


def test_a_known_mechanism_is_answered_with_the_list(secured):
    assert handshake(secured("scram"), "SCRAM-SHA-512") == (0, ["SCRAM-SHA-512"])


def test_scram_by_hand(secured):
    wire = secured("scram")
    handshake(wire, "SCRAM-SHA-512")
    error, text, first, lifetime = authenticate(wire, b"n,,n=msk-user,r=abc")
    assert (error, text, lifetime) == (0, "", 0)
    assert first.startswith(b"r=abc")
    error, text, last, lifetime = authenticate(wire, scram("msk-user", "msk-password", first))
    assert (error, text, lifetime) == (0, "", 0), "without connections.max.reauth.ms a session has no end"
    assert last.startswith(b"v=")
    assert api_versions(wire)
    assert wire.ask(METADATA, 1, array([])).int32() > 0


@pytest.fixture(autouse=True)
def scram_users(msk_broker):
    """On a container the users of SCRAM are made when they are first asked for."""
    msk_broker.client_config(auth="scram")


def test_plain_by_hand(secured):
    wire = secured("plain")
    handshake(wire, "PLAIN")
    assert authenticate(wire, b"\0msk-user\0msk-password") == (0, "", b"", 0)
    assert wire.ask(METADATA, 1, array([])).int32() > 0


def test_the_old_handshake_is_followed_by_bare_messages(secured):
    wire = secured("plain")
    assert handshake(wire, "PLAIN", version=0)[0] == 0
    wire.frame(b"\0msk-user\0msk-password")
    assert wire.receive().data == b""
    assert api_versions(wire)


def test_a_bare_message_that_fails_closes_the_connection(secured):
    wire = secured("plain")
    handshake(wire, "PLAIN", version=0)
    wire.frame(b"\0msk-user\0wrong")
    assert wire.is_closed()


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (b"\0msk-user\0wrong", "Authentication failed: Invalid username or password"),
        (b"\0nobody\0msk-password", "Authentication failed: Invalid username or password"),
        (b"\0\0msk-password", "Authentication failed: username not specified"),
        (b"\0msk-user\0", "Authentication failed: password not specified"),
        (
            b"alice\0msk-user\0msk-password",
            "Authentication failed: Client requested an authorization id that is different from username",
        ),
    ],
    ids=["password", "user", "no user", "no password", "somebody else"],
)
def test_plain_says_what_is_wrong(secured, message, text):
    wire = secured("plain")
    handshake(wire, "PLAIN")
    error, told, _, _ = authenticate(wire, message)
    assert (error, told) == (AUTHENTICATION_FAILED, text)
    assert wire.is_closed()


@pytest.mark.parametrize(
    "message",
    [b"", b"n,,n=nobody,r=abc", b"p=tls-unique,,n=alice,r=abc", b"\xff\xfe", b"n,,n=alice", b"n,,r=abc,n=alice"],
    ids=["empty", "unknown user", "channel binding", "no text", "no nonce", "wrong order"],
)
def test_scram_refuses_a_first_message(secured, message):
    wire = secured("scram")
    handshake(wire, "SCRAM-SHA-512")
    error, told, _, _ = authenticate(wire, message)
    assert error == AUTHENTICATION_FAILED
    assert (
        told
        == "Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512"
    )
    assert wire.is_closed()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda last: last.replace(b"r=abc", b"r=abd"),
        lambda last: last.replace(b"c=biws", b"c=eSws"),
        lambda last: last[:-8] + b"AAAAAA==",
        lambda last: last.partition(b",p=")[0],
        lambda last: b"",
    ],
    ids=["nonce", "header", "proof", "no proof", "empty"],
)
def test_scram_refuses_a_last_message(secured, spoil):
    wire = secured("scram")
    handshake(wire, "SCRAM-SHA-512")
    _, _, first, _ = authenticate(wire, b"n,,n=msk-user,r=abc")
    error, told, _, _ = authenticate(wire, spoil(scram("msk-user", "msk-password", first)))
    assert error == AUTHENTICATION_FAILED
    assert "invalid credentials" in told
    assert wire.is_closed()


@pytest.mark.parametrize("auth", ["plaintext", "tls"])
def test_a_listener_without_sasl_has_nothing_to_agree_on(msk_broker, secured, wire, auth):
    one = wire if auth == "plaintext" else secured(auth)
    assert handshake(one, "PLAIN") == (ILLEGAL_STATE, [])
    error, text, _, _ = authenticate(one, b"\0msk-user\0msk-password")
    assert (error, text) == (ILLEGAL_STATE, "SaslAuthenticate request received after successful authentication")
    assert api_versions(one), "the connection goes on"


def test_who_is_known_is_not_asked_again(secured):
    wire = secured("plain")
    handshake(wire, "PLAIN")
    authenticate(wire, b"\0msk-user\0msk-password")
    assert handshake(wire, "PLAIN") == (ILLEGAL_STATE, [])
    assert authenticate(wire, b"\0msk-user\0msk-password")[0] == ILLEGAL_STATE
    assert api_versions(wire), "the connection goes on"


def test_a_stranger_may_not_send_much(secured):
    wire = secured("scram")
    wire.socket.sendall(struct.pack(">i", 524_289))
    assert wire.is_closed()


# --- users


def test_a_user_is_made_with_a_password_and_gets_another_one(msk_broker, user, reasons):
    for password in ("first", "second"):
        msk_broker.set_password(user, password)
        config = msk_broker.client_config(auth="scram", sasl_username=user, sasl_password=password, log_level=0)
        assert AdminClient(config).list_topics(timeout=PATIENCE).brokers
    code, _ = reasons("scram", sasl_username=user, sasl_password="first")
    assert code == KafkaError._AUTHENTICATION


def alter(admin, *changes):
    answers = admin.alter_user_scram_credentials(list(changes))
    return {name: error_of(answer) for name, answer in answers.items()}


def error_of(answer):
    error = answer.exception(PATIENCE)
    return None if error is None else error.args[0].name()


def described(admin, name):
    answer = admin.describe_user_scram_credentials([name])[name]
    if (error := error_of(answer)) is not None:
        return error
    return {info.mechanism: info.iterations for info in answer.result().scram_credential_infos}


def wait_until(seen, expected):
    deadline = time.monotonic() + PATIENCE
    while seen() != expected and time.monotonic() < deadline:
        time.sleep(0.01)
    assert seen() == expected


def upsertion(name, iterations=4096, mechanism=ScramMechanism.SCRAM_SHA_512):
    return UserScramCredentialUpsertion(name, ScramCredentialInfo(mechanism, iterations), b"made by admin", b"salt")


def test_users_are_administered_by_clients(msk_broker, admin, user):
    assert described(admin, user) == "RESOURCE_NOT_FOUND"
    assert alter(admin, upsertion(user, 8192)) == {user: None}
    wait_until(lambda: described(admin, user), {ScramMechanism.SCRAM_SHA_512: 8192})
    config = msk_broker.client_config(auth="scram", sasl_username=user, sasl_password="made by admin", log_level=0)
    assert AdminClient(config).list_topics(timeout=PATIENCE).brokers
    assert alter(admin, UserScramCredentialDeletion(user, ScramMechanism.SCRAM_SHA_512)) == {user: None}
    wait_until(lambda: described(admin, user), "RESOURCE_NOT_FOUND")


@pytest.mark.parametrize(("iterations", "error"), [(1, "UNACCEPTABLE_CREDENTIAL"), (16385, "UNACCEPTABLE_CREDENTIAL")])
def test_the_number_of_iterations_is_bounded(admin, user, iterations, error):
    assert alter(admin, upsertion(user, iterations)) == {user: error}


def test_a_user_who_is_not_there_cannot_be_deleted(admin, user):
    assert alter(admin, UserScramCredentialDeletion(user, ScramMechanism.SCRAM_SHA_256)) == {user: "RESOURCE_NOT_FOUND"}


def test_one_user_is_altered_once_in_a_request(admin, user):
    changes = upsertion(user), upsertion(user, mechanism=ScramMechanism.SCRAM_SHA_256)
    assert alter(admin, *changes) == {user: "DUPLICATE_RESOURCE"}


def test_a_producer_that_cannot_authenticate_delivers_nothing(msk_broker, topic):
    config = msk_broker.client_config(auth="scram", sasl_password="wrong", log_level=0, message_timeout_ms=300)
    producer = Producer(config)
    failed = []
    producer.produce(topic(), b"x", on_delivery=lambda error, _: failed.append(error.code()))
    assert producer.flush(PATIENCE) == 0
    assert failed == [KafkaError._MSG_TIMED_OUT]


def test_a_consumer_that_cannot_authenticate_reads_nothing(msk_broker, topic, group):
    told = []
    config = msk_broker.client_config(auth="plain", sasl_password="wrong", log_level=0, group_id=group)
    one = Consumer({**config, "error_cb": lambda error: told.append(error.code())})
    one.subscribe([topic()])
    deadline = time.monotonic() + PATIENCE
    while not told and time.monotonic() < deadline:
        assert one.poll(0.05) is None
    one.close()
    assert told[0] == KafkaError._AUTHENTICATION
