"""Connection: where a mapping's pollers read from, and their credentials, as Secrets Manager keeps them (spec 8.3)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from .._guard import ADVICE, refusing_others
from ..brokers import Broker, ClientSetting
from ..errors import BrokerError, MskError
from .access import Access

if TYPE_CHECKING:
    from confluent_kafka import Consumer

__all__ = ["Connection", "SecretReader", "read_secret", "secret_members"]

#: Gives the text of a secret by its ARN.
SecretReader = Callable[[str], str]

#: Codes of errors that are none of Kafka's; see `mapping.problems`.
_NO_SECRET, _NO_CERTIFICATE = "SECRET_NOT_READABLE", "INVALID_CERTIFICATE"


@dataclass(frozen=True, kw_only=True)
class Connection:
    """How the pollers' consumers reach the broker.

    Args:
        broker: where the topic is.
        access: the way in.
        bootstrap_servers: the addresses for that way.
        settings: librdkafka's, with `_` for `.`.
    """

    broker: Broker
    access: Access
    bootstrap_servers: str
    settings: Mapping[str, ClientSetting] = field(default_factory=dict, repr=False)

    @classmethod
    def open(cls, broker: Broker, access: Access, read: SecretReader) -> Connection:
        """The connection of this way in; its secrets are read now.

        Raises:
            BrokerError: a secret cannot be read, or does not hold what it has to.
        """
        servers = access.bootstrap_servers(broker)
        settings = _settings(access, read)
        return cls(broker=broker, access=access, bootstrap_servers=servers, settings=settings)

    def consumer(self, group: str, **settings: ClientSetting) -> Consumer:
        """A new consumer of the group.

        Raises:
            BrokerError: a certificate or key is none that a client can use.
        """
        from confluent_kafka import KafkaException

        # A certificate that is shown comes from the secret; the listener is that of TLS in any case.
        auth = "tls" if self.access.auth == "mtls" else self.access.auth
        try:
            return self.broker.consumer(group, auth=auth, user=None, **self.settings, **settings)
        except KafkaException as raised:
            error = raised.args[0]
            code = _NO_CERTIFICATE if "ssl." in error.str() else error.name()
            raise BrokerError(f"The mapping's consumer cannot be made: {error.str()}.", code=code) from raised

    def advice(self, name: str) -> str:
        """What to do when the cluster and the pollers do not trust each other; empty where nothing is known.

        Args:
            name: the client's error, by its name.
        """
        if name == "_AUTHENTICATION" and self.access.secret is not None:
            return (
                f" It came with the user and password of the secret {self.access.secret}: let the broker know them, by "
                "msk_broker.set_password(user, password) or the fixture msk_security."
            )
        if name == "_SSL" and self.access.public_ca:
            return (
                " Without a SERVER_ROOT_CA_CERTIFICATE a self-managed cluster's certificate has to come from a public "
                "authority: give a secret with the test's own one, {'certificate': PEM}; the PEM is in the file "
                f"msk_broker.client_config(auth={self.access.auth!r})['ssl.ca.location']."
            )
        return ""


def _settings(access: Access, read: SecretReader) -> dict[str, ClientSetting]:
    settings: dict[str, ClientSetting] = {}
    if access.auth is None:
        return settings
    if access.root_ca is not None:
        settings["ssl_ca_pem"] = secret_members(access.root_ca, read, "certificate")["certificate"]
    if access.root_ca is not None or access.public_ca:
        settings["ssl_ca_location"] = "probe"  # the authorities that the system trusts, instead of the kit's own
    if access.auth == "mtls":
        assert access.secret is not None
        found = secret_members(access.secret, read, "certificate", "privateKey")
        settings["ssl_certificate_pem"] = found["certificate"]
        settings["ssl_key_pem"] = found["privateKey"]
        if "privateKeyPassword" in found:
            settings["ssl_key_password"] = found["privateKeyPassword"]
    elif access.secret is not None:
        found = secret_members(access.secret, read, "username", "password")
        settings |= {"sasl_username": found["username"], "sasl_password": found["password"]}
    return settings


def secret_members(arn: str, read: SecretReader, *needed: str) -> dict[str, str]:
    """The texts in a secret, by name.

    Args:
        arn: the secret's.
        read: gives its text.
        needed: the names of those that have to be there.

    Raises:
        BrokerError: it cannot be read, is no JSON, or lacks one of them.
    """
    code = _NO_CERTIFICATE if "certificate" in needed else _NO_SECRET
    try:
        found = json.loads(read(arn))
    except ValueError as error:
        raise BrokerError(f"The secret {arn} is no JSON.", code=code) from error
    missing = [name for name in needed if not (isinstance(found, Mapping) and isinstance(found.get(name), str))]
    if missing:
        raise BrokerError(f"The secret {arn} has no {' and no '.join(missing)} (spec 8.3).", code=code)
    return {name: value for name, value in cast("Mapping[str, object]", found).items() if isinstance(value, str)}


def read_secret(arn: str, *, allow_aws: bool) -> str:
    """The text of a secret in Secrets Manager, by boto3: under moto, at a loopback endpoint, or with `msk_allow_aws`.

    Raises:
        BrokerError: there is no such secret.
        MskError: the request would have gone to another machine, or could not be made at all.
    """
    import boto3  # type: ignore[import-untyped]
    from botocore import exceptions  # type: ignore[import-untyped]

    def refused(host: str) -> str:
        return f"The secret {arn} is at {host}, which is not this machine. {ADVICE}"

    try:
        client = boto3.session.Session().client("secretsmanager", region_name=arn.split(":")[3])
        with nullcontext() if allow_aws else refusing_others(client, refused):
            return str(client.get_secret_value(SecretId=arn)["SecretString"])
    except (exceptions.ClientError, KeyError) as error:
        text = str(error).rstrip(".")
        raise BrokerError(
            f"The secret {arn} cannot be read: {text}. Create it in the test, where moto is active: "
            'boto3.client("secretsmanager").create_secret(...).',
            code=_NO_SECRET,
        ) from error
    except exceptions.BotoCoreError as error:
        raise MskError(f"The secret {arn} cannot be asked for: {error}. {ADVICE}") from error
