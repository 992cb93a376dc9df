"""How a mapping's pollers show the cluster who they are: secrets, certificates, tokens, and what is said when they are
refused (spec 8)."""

from __future__ import annotations

import json

import boto3
import moto
import pytest

from pytest_msk import BrokerError, assert_at_least_once
from pytest_msk.brokers.certificates import session_authority

SASL = "PROBLEM: SASL authentication failed."
SECRETS = (
    "PROBLEM: Connection error. Your event source VPC must be able to connect to Lambda and STS, Secrets Manager (if "
    "event source authentication is required), and the OnFailure Destination (if one is configured)."
)


@pytest.fixture
def secrets():
    """Secrets Manager of moto: `secrets(name, **members)` gives the ARN."""
    with moto.mock_aws():
        client = boto3.client("secretsmanager", region_name="us-east-1")

        def keep(name, text=None, **members):
            text = json.dumps(members) if text is None else text
            return client.create_secret(Name=name, SecretString=text)["ARN"]

        keep.client = client
        yield keep


@pytest.fixture
def orders(msk_topic):
    topic = msk_topic()
    topic.produce_many(range(5))
    return topic


@pytest.fixture
def certificate():
    """The PEM texts of a client's certificate and of its key."""
    found = session_authority().client("lambda")
    return {"certificate": found.path.read_text("ascii"), "privateKey": found.key_path.read_text("ascii")}


def access(kind, arn, *others):
    return {"source_access_configurations": [{"Type": kind, "URI": arn}, *others]}


def self_managed(msk_broker, auth, *configurations):
    servers = msk_broker.bootstrap_servers_for(auth).split(",")
    return {
        "self_managed_event_source": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": servers}},
        "source_access_configurations": [{"Type": kind, "URI": arn} for kind, arn in configurations],
    }


@pytest.fixture
def root_ca(secrets):
    return ("SERVER_ROOT_CA_CERTIFICATE", secrets("ca", certificate=session_authority().path.read_text("ascii")))


def drained(msk_esm, topic, **parameters):
    events = []
    esm = msk_esm(lambda event, context: events.append(event), topic, **parameters)
    esm.drain()
    assert_at_least_once(esm)
    assert esm.last_processing_result == "OK"
    return events[0]


# --- what lets the pollers in


def test_scram_on_msk(msk_broker, msk_esm, orders, secrets):
    arn = secrets("AmazonMSK_orders", username="alice", password="alice's secret")
    event = drained(msk_esm, orders, **access("SASL_SCRAM_512_AUTH", arn))
    assert event["bootstrapServers"] == msk_broker.bootstrap_servers_for("scram")


def test_a_client_certificate_on_msk_wins_over_a_password(msk_broker, msk_esm, orders, secrets, certificate):
    scram = secrets("AmazonMSK_orders", username="alice", password="wrong")
    arn = secrets("certificate", **certificate)
    other = {"Type": "SASL_SCRAM_512_AUTH", "URI": scram}
    event = drained(msk_esm, orders, **access("CLIENT_CERTIFICATE_TLS_AUTH", arn, other))
    assert event["bootstrapServers"] == msk_broker.bootstrap_servers_for("mtls")


def test_tls_without_a_certificate(msk_broker, msk_esm, orders):
    event = drained(msk_esm, orders, authentication="tls")
    assert event["bootstrapServers"] == msk_broker.bootstrap_servers_for("tls")


@pytest.mark.msk(broker="embedded")
def test_iam(msk_broker, msk_esm, orders):
    event = drained(msk_esm, orders, authentication="iam")
    assert event["bootstrapServers"] == msk_broker.bootstrap_servers_for("iam")


@pytest.mark.parametrize(
    ("kind", "auth"),
    [("BASIC_AUTH", "plain"), ("SASL_SCRAM_256_AUTH", "scram-sha-256"), ("SASL_SCRAM_512_AUTH", "scram")],
)
def test_passwords_on_a_self_managed_cluster(msk_broker, msk_esm, orders, secrets, root_ca, kind, auth):
    arn = secrets("orders", username="alice", password="alice's secret")
    event = drained(msk_esm, orders, **self_managed(msk_broker, auth, (kind, arn), root_ca))
    assert event["eventSource"] == "SelfManagedKafka"


def test_a_certificate_on_a_self_managed_cluster(msk_broker, msk_esm, orders, secrets, root_ca, certificate):
    arn = secrets("certificate", **certificate)
    drained(msk_esm, orders, **self_managed(msk_broker, "mtls", ("CLIENT_CERTIFICATE_TLS_AUTH", arn), root_ca))


# --- what is said when they are not let in


def refused(msk_esm, topic, *, text=".", **parameters):
    esm = msk_esm(lambda event, context: None, topic, **parameters)
    with pytest.raises(BrokerError, match=text):
        esm.drain()
    return esm


def test_a_wrong_password_stops_the_mapping_until_it_is_mended(msk_esm, orders, secrets):
    arn = secrets("AmazonMSK_orders", username="alice", password="wrong")
    text = r"the user and password of the secret arn:.*AmazonMSK_orders.*msk_broker\.set_password"
    esm = refused(msk_esm, orders, text=text, **access("SASL_SCRAM_512_AUTH", arn))
    assert esm.last_processing_result == SASL
    assert (esm.state, esm.state_transition_reason) == ("Disabled", "EVENT_SOURCE_AUTHN_ERROR")
    secrets.client.put_secret_value(
        SecretId=arn, SecretString=json.dumps({"username": "alice", "password": "alice's secret"})
    )
    esm.enable()
    esm.drain()
    assert_at_least_once(esm)
    assert esm.last_processing_result == "OK"


def test_a_wrong_password_stops_the_mapping_in_the_background_too_until_it_is_mended(msk_esm, orders, secrets):
    arn = secrets("AmazonMSK_orders", username="alice", password="wrong")
    esm = msk_esm(lambda event, context: None, orders, **access("SASL_SCRAM_512_AUTH", arn))
    with esm.running():
        with pytest.raises(BrokerError):
            esm.wait_until(lambda: esm.metrics.invocations)
        assert esm.last_processing_result == SASL
        assert (esm.state, esm.state_transition_reason) == ("Disabled", "EVENT_SOURCE_AUTHN_ERROR")
        secrets.client.put_secret_value(
            SecretId=arn, SecretString=json.dumps({"username": "alice", "password": "alice's secret"})
        )
        esm.enable()
        esm.wait_until(lambda: esm.metrics.committed_event_count == 5)
    assert esm.last_processing_result == "OK"
    assert esm.state == "Enabled"


def test_a_self_managed_cluster_of_an_unknown_authority_is_not_trusted(msk_broker, msk_esm, orders, secrets):
    arn = secrets("orders", username="alice", password="alice's secret")
    parameters = self_managed(msk_broker, "scram", ("SASL_SCRAM_512_AUTH", arn))
    esm = refused(msk_esm, orders, text="give a secret with the test's own one", **parameters)
    assert esm.last_processing_result == "PROBLEM: Lambda failed to authenticate server."


@pytest.mark.parametrize("text", [None, "no JSON", '{"certificate": "no PEM", "privateKey": "none"}', "{}"])
def test_a_certificate_that_cannot_be_read(msk_esm, orders, secrets, text):
    arn = secrets("certificate", text) if text else secrets("certificate", certificate="x")
    esm = refused(msk_esm, orders, **access("CLIENT_CERTIFICATE_TLS_AUTH", arn))
    assert esm.last_processing_result == "PROBLEM: Provided certificate or private key is invalid."


# Kafka names the authorities that it trusts, and librdkafka then shows no certificate of another one: where none is
# required, it is let in as anonymous.
@pytest.mark.msk(broker="embedded")
def test_a_certificate_of_an_authority_that_the_brokers_do_not_trust(msk_esm, orders, secrets, tmp_path):
    from pytest_msk.brokers.certificates import CertificateAuthority

    found = CertificateAuthority(tmp_path, "stranger").client("lambda")
    arn = secrets(
        "certificate", certificate=found.path.read_text("ascii"), privateKey=found.key_path.read_text("ascii")
    )
    esm = refused(msk_esm, orders, **access("CLIENT_CERTIFICATE_TLS_AUTH", arn))
    assert esm.last_processing_result == "PROBLEM: Server failed to authenticate Lambda."


def test_a_secret_that_is_not_there(msk_esm, orders, secrets):
    arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:nothing-a1b2c3"
    text = r"can't find the specified secret\. Create it in the test"
    esm = refused(msk_esm, orders, text=text, **access("SASL_SCRAM_512_AUTH", arn))
    assert esm.last_processing_result == SECRETS
    assert esm.state == "Enabled"


def test_a_user_without_the_right_to_read(msk_broker, msk_esm, orders, secrets):
    from confluent_kafka.admin import (
        AclBinding,
        AclOperation,
        AclPermissionType,
        AdminClient,
        ResourcePatternType,
        ResourceType,
    )

    bobs = AclBinding(
        ResourceType.TOPIC,
        orders.name,
        ResourcePatternType.LITERAL,
        "User:bob",
        "*",
        AclOperation.READ,
        AclPermissionType.ALLOW,
    )
    admin = AdminClient(msk_broker.client_config())
    for future in admin.create_acls([bobs]).values():
        future.result(10)
    arn = secrets("AmazonMSK_orders", username="alice", password="alice's secret")
    esm = refused(msk_esm, orders, **access("SASL_SCRAM_512_AUTH", arn))
    assert esm.last_processing_result == "PROBLEM: Cluster failed to authorize Lambda."
    assert esm.state_transition_reason == "EVENT_SOURCE_AUTHZ_ERROR"
