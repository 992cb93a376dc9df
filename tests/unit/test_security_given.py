"""What is given about users, keys and certificates: good input is found, bad input is an error that says so."""

from __future__ import annotations

import ssl
import stat

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from pytest_msk.brokers.certificates import CertificateAuthority, session_authority
from pytest_msk.brokers.client_security import client_security
from pytest_msk.brokers.embedded.security.principals import PrincipalRules
from pytest_msk.brokers.security import AUTHENTICATIONS, IamKey, Security
from pytest_msk.errors import BrokerError

KEYS = [IamKey(access_key_id=name, secret_access_key="s") for name in ("first", "second")]


# --- users and keys


@pytest.mark.parametrize(
    "arn",
    ["", "arn:aws:kafka:us-east-1:1:topic/c/u", "arn:aws:s3:::bucket", "arn:aws:kafka:us-east-1:1:cluster/c"],
)
def test_an_arn_of_something_else_is_refused(arn):
    with pytest.raises(BrokerError, match="is no ARN of an MSK cluster"):
        Security(cluster_arn=arn)


@pytest.mark.parametrize("users", [{"": "x"}, {"x": ""}])
def test_a_user_without_name_or_password_is_refused(users):
    with pytest.raises(BrokerError, match="needs a name and a password"):
        Security(users=users)


def test_a_key_that_is_given_twice_is_refused():
    with pytest.raises(BrokerError, match="'first' is given twice"):
        Security(iam_keys=[KEYS[0], KEYS[0]])


def test_the_first_user_and_key_are_taken_when_none_is_asked_for():
    security = Security(users={"a": "1", "b": "2"}, iam_keys=KEYS)
    assert security.password() == ("a", "1")
    assert security.password("b") == ("b", "2")
    assert security.iam_key() is KEYS[0]
    assert security.iam_key("second") is KEYS[1]


def test_one_that_is_not_there_is_an_error_with_those_that_are():
    security = Security(users={"a": "1"}, iam_keys=KEYS)
    with pytest.raises(BrokerError, match=r"no user 'x'; it has: a\. Give users with"):
        security.password("x")
    with pytest.raises(BrokerError, match=r"no IAM key 'x'; it has: first, second\."):
        security.iam_key("x")
    with pytest.raises(BrokerError, match="no IAM key at all; it has: none"):
        Security(iam_keys=[]).iam_key()


@pytest.mark.parametrize("auth", ["plaintext", "tls"])
def test_an_anonymous_way_takes_no_user(auth):
    with pytest.raises(BrokerError, match=f"auth='{auth}' takes no user, and 'x' was given"):
        client_security(auth, "x", Security(), session_authority)


@pytest.mark.parametrize("auth", AUTHENTICATIONS)
def test_settings_hold_no_secret_of_another_user(auth):
    security = Security(users={"a": "own", "b": "other"}, iam_keys=KEYS)
    settings = client_security(auth, None, security, session_authority)
    assert "other" not in settings.values()
    assert settings.get("sasl.password", "own") == "own"


# --- certificates


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return CertificateAuthority(tmp_path_factory.mktemp("ca") / "files")


def read(path):
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_a_server_certificate_is_for_its_names(authority):
    one = authority.server("localhost", "127.0.0.1")
    names = read(one.path).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert read(one.path).issuer == read(authority.path).subject
    ssl.create_default_context(cafile=str(authority.path)).load_cert_chain(one.path, one.key_path)
    ssl.create_default_context().load_cert_chain(one.chain_path)


def test_a_certificate_is_made_once_for_each_subject(authority):
    assert authority.client("orders") is authority.client("CN=orders")
    assert authority.client("orders") is not authority.client("other")
    assert session_authority() is session_authority()


@pytest.mark.parametrize(
    ("given_as", "subject"),
    [("orders", "CN=orders"), ("CN=orders,OU=shop,O=Example", "CN=orders,OU=shop,O=Example"), ("O=x", "O=x")],
)
def test_a_subject_is_a_name_or_all_of_it(authority, given_as, subject):
    one = authority.client(given_as)
    assert one.subject == read(one.path).subject.rfc4514_string() == subject


def test_a_subject_that_cannot_be_read_is_refused(authority):
    with pytest.raises(BrokerError, match="'=nothing' is no subject of a certificate"):
        authority.client("=nothing")


def test_keys_are_their_owners_alone(authority):
    one = authority.client("orders")
    for path in (one.key_path, one.chain_path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "PRIVATE KEY" not in repr(one)


# --- principals


@pytest.mark.parametrize(
    ("rules", "subject", "name"),
    [
        ("DEFAULT", "CN=orders,OU=shop", "CN=orders,OU=shop"),
        ("RULE:^CN=(.*?),.*$/$1/", "CN=Orders,OU=shop", "Orders"),
        ("RULE:^CN=(.*?),.*$/$1/L", "CN=Orders,OU=shop", "orders"),
        ("RULE:^CN=(.*?),.*$/$1/U,DEFAULT", "CN=Orders,OU=shop", "ORDERS"),
        ("RULE:^CN=(.*?),OU=(.*?)$/$2-$1/", "CN=orders,OU=shop", "shop-orders"),
        ("RULE:^O=(.*)$/$1/, RULE:^CN=(.*)$/$1/", "CN=orders", "orders"),
        ("RULE:^O=(.*)$/$1/", "CN=orders", "CN=orders"),
        (r"RULE:^CN=(a\/b)$/x\/$1/", "CN=a/b", r"x\/a/b"),
    ],
)
def test_the_first_rule_that_fits_gives_the_name(rules, subject, name):
    assert PrincipalRules(rules).apply(subject) == name


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ("nonsense", "'nonsense' is neither DEFAULT nor RULE:"),
        ("RULE:^CN=(.*)$", "is neither DEFAULT nor RULE:"),
        ("DEFAULT,", None),
        ("RULE:(/$1/", "is no pattern"),
        ("RULE:^CN=.*$/$1/", "names a group that"),
        ("RULE:^CN=(.*)$/$1/X", "is neither DEFAULT nor RULE:"),
    ],
)
def test_rules_that_cannot_be_read_are_refused(rules, reason):
    if reason is None:
        PrincipalRules(rules)
        return
    with pytest.raises(BrokerError, match=reason):
        PrincipalRules(rules)


@given(subject=st.text(max_size=20))
def test_a_subject_that_no_rule_fits_is_the_name(subject):
    assert PrincipalRules("RULE:never fits anything here/x/").apply(subject) == subject
