"""Certificates: an authority of this process, and what it issues to brokers and clients.

cryptography, which moto brings along, is enough: a principal is the whole subject of a certificate, so a test must be
able to choose all of it, and makers of test certificates put names of their own into it. Keys are EC: quick to make.
"""

from __future__ import annotations

import atexit
import datetime
import ipaddress
import os
import shutil
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BrokerError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

__all__ = ["Certificate", "CertificateAuthority", "session_authority"]

# The span of real time in which they hold: a test may stop the machine's clock at any date of this century.
_FROM = datetime.datetime(2000, 1, 1, tzinfo=datetime.timezone.utc)
_UNTIL = datetime.datetime(2100, 1, 1, tzinfo=datetime.timezone.utc)


class Certificate:
    """A certificate and its private key, as PEM files.

    Args:
        path: the certificate's file.
        key_path: the key's file.
        chain_path: both in one file.
        subject: whom it is for, as RFC 4514 writes it and as Kafka names its principal.
    """

    def __init__(self, *, path: Path, key_path: Path, chain_path: Path, subject: str) -> None:
        self.path = path
        self.key_path = key_path
        self.chain_path = chain_path
        self.subject = subject

    def __repr__(self) -> str:
        return f"Certificate({self.subject!r}, {str(self.path)!r})"


class CertificateAuthority:
    """Issues certificates that are signed by one key, and keeps them in files.

    Args:
        directory: where the files go; made if it is not there.
        name: the common name of the authority.
    """

    def __init__(self, directory: Path, name: str = "pytest_msk CA") -> None:
        from cryptography import x509
        from cryptography.x509.oid import NameOID

        self._directory = directory
        self._key = _new_key()
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usage = x509.BasicConstraints(ca=True, path_length=None)
        # Serves as its own issuer: a root.
        certificate = self._sign(self._name, self._key, usage, None)
        self._issued: dict[str, Certificate] = {}
        self._lock = threading.Lock()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        #: The certificate of the authority, which clients trust.
        self.path = self._write("ca.pem", _pem(certificate))

    def server(self, *hosts: str) -> Certificate:
        """A broker's certificate for these host names and addresses; made once."""
        return self._get(f"CN={hosts[0]}", hosts)

    def client(self, subject: str) -> Certificate:
        """A client's certificate; made once for each subject.

        Args:
            subject: a common name such as `orders`, or a whole subject such as `CN=orders,OU=shop`.

        Raises:
            BrokerError: the subject cannot be read.
        """
        return self._get(subject if "=" in subject else f"CN={subject}", ())

    def _get(self, subject: str, hosts: tuple[str, ...]) -> Certificate:
        with self._lock:
            found = self._issued.get(subject)
            if found is None:
                found = self._issued[subject] = self._issue(subject, hosts, f"certificate-{len(self._issued)}")
            return found

    def _issue(self, subject: str, hosts: tuple[str, ...], stem: str) -> Certificate:
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization

        try:
            name = x509.Name.from_rfc4514_string(subject)
        except ValueError as error:
            raise BrokerError(
                f"{subject!r} is no subject of a certificate: give a common name such as 'orders', or all of it as in "
                f"'CN=orders,OU=shop' ({error})."
            ) from error
        key = _new_key()
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts]) if hosts else None
        certificate = self._sign(name, key, x509.BasicConstraints(ca=False, path_length=None), names)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Certificate(
            path=self._write(f"{stem}.pem", _pem(certificate)),
            key_path=self._write(f"{stem}.key", private),
            chain_path=self._write(f"{stem}-with-key.pem", private + _pem(certificate)),
            subject=name.rfc4514_string(),
        )

    def _sign(
        self,
        subject: x509.Name,
        key: EllipticCurvePrivateKey,
        constraints: x509.BasicConstraints,
        names: x509.SubjectAlternativeName | None,
    ) -> x509.Certificate:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes

        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(_FROM)
            .not_valid_after(_UNTIL)
            .add_extension(constraints, critical=True)
            # Python 3.13 and later check certificates strictly and want both identifiers.
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(_key_usage(ca=constraints.ca), critical=True)
        )
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def _write(self, name: str, data: bytes) -> Path:
        path = self._directory / name
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
        return path


@cache
def session_authority() -> CertificateAuthority:
    """The authority of this process; its files go when the process ends."""
    directory = Path(tempfile.mkdtemp(prefix="pytest-msk-certificates-"))
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # a fork's child must leave its parent's files
            shutil.rmtree(directory, ignore_errors=True)

    atexit.register(remove)
    return CertificateAuthority(directory)


def _new_key() -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _pem(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return certificate.public_bytes(serialization.Encoding.PEM)


def _general_name(host: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
