"""Java's clients on every listener: they show who they are, and are turned away when they cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

LOGIN = "org.apache.kafka.common.security"
EVERY = ("tls", "mtls", "scram", "scram-sha-256", "plain", "iam")


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@pytest.fixture
def properties(msk_broker, tmp_path):
    """Writes a Java client's settings for a way to authenticate, from those of librdkafka: the path of the file."""

    def write(auth, **changes):
        given = {**msk_broker.client_config(auth=auth), **changes}
        lines = {
            "security.protocol": given["security.protocol"],
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": given["ssl.ca.location"],
        }
        if auth == "mtls":
            pem = tmp_path / "client.pem"
            pem.write_text("".join(Path(given[f"ssl.{what}.location"]).read_text() for what in ("key", "certificate")))
            lines |= {"ssl.keystore.type": "PEM", "ssl.keystore.location": str(pem)}
        elif auth == "iam":
            token, _ = given["oauth_cb"]("")
            module = f"{LOGIN}.oauthbearer.OAuthBearerLoginModule required token={quoted(token)};"
            handler = "Tools$Token"
            lines |= {"sasl.jaas.config": module, "sasl.login.callback.handler.class": handler}
        elif "sasl.username" in given:
            kind = "plain.Plain" if auth == "plain" else "scram.Scram"
            who = f"username={quoted(given['sasl.username'])} password={quoted(given['sasl.password'])}"
            lines["sasl.jaas.config"] = f"{LOGIN}.{kind}LoginModule required {who};"
        if "sasl.mechanism" in given:
            lines["sasl.mechanism"] = given["sasl.mechanism"]
        path = tmp_path / f"{auth}.properties"
        path.write_text("".join(f"{key}={value}\n".replace("\\", "\\\\") for key, value in lines.items()))
        return path

    return write


def skip_where_left_out(msk_broker, auth):
    if auth == "iam" and msk_broker.kind != "embedded":
        pytest.skip("Kafka's official image does not know MSK's IAM tokens.")


@pytest.mark.parametrize("auth", EVERY)
def test_the_console_clients_come_in(run, topic, group, msk_broker, properties, auth):
    skip_where_left_out(msk_broker, auth)
    name, server, config = topic(), msk_broker.bootstrap_servers_for(auth), properties(auth)
    run("kafka-console-producer", "--topic", name, "--command-config", config, server=server, stdin="a\nb\n")
    arguments = ("--topic", name, "--group", group, "--from-beginning", "--max-messages", 2)
    read = run("kafka-console-consumer", *arguments, "--command-config", config, server=server)
    assert read.lines == ["a", "b"]
    assert msk_broker.committed(group, name) == {0: 2}
    assert name in run("kafka-topics", "--list", "--command-config", config, server=server).lines


@pytest.mark.parametrize("auth", ["scram", "scram-sha-256", "plain"])
def test_a_wrong_password_is_told(start, topic, msk_broker, properties, auth):
    config = properties(auth, **{"sasl.password": "wrong"})
    server = msk_broker.bootstrap_servers_for(auth)
    tool = start("kafka-topics", "--list", "--command-config", config, server=server).wait()
    assert tool.status == 1
    assert any("SaslAuthenticationException" in line or "uthentication failed" in line for line in tool.errors), tool


def test_a_client_that_does_not_trust_the_broker_stays_out(start, msk_broker, properties, tmp_path):
    config = properties("tls")
    lines = [line for line in config.read_text().splitlines() if "truststore" not in line]
    config.write_text("\n".join(lines))
    server = msk_broker.bootstrap_servers_for("tls")
    tool = start("kafka-topics", "--list", "--command-config", config, server=server).wait()
    assert tool.status == 1
    assert any("SslAuthenticationException" in line for line in tool.errors), tool
