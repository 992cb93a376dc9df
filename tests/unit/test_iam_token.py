"""IAM tokens: AWS's own signers' are taken, and no other ones."""

from __future__ import annotations

import base64
import datetime
import re
import time
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from pytest_msk.brokers.client_security import iam_token
from pytest_msk.brokers.embedded.security.iam import IamServer, InvalidToken, verify_token
from pytest_msk.brokers.embedded.security.scram import SaslFailed
from pytest_msk.brokers.security import IamKey, Security

REGION = "eu-central-1"
KEY = IamKey(access_key_id="AKIDEXAMPLE", secret_access_key="wJalr/XUtnFEMI+K7MDENG")
OTHER = IamKey(access_key_id="AKIDOTHER", secret_access_key="other")


def now_ms():
    return int(time.time() * 1000)


def verify(token, *, keys=(OTHER, KEY), region=REGION, now=None):
    return verify_token(token, keys=keys, region=region, now_ms=now_ms() if now is None else now)


def encode(url):
    return base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


def decode(token):
    return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()


def sign(*, key=KEY, region=REGION, host=None, service="kafka-cluster", action="kafka-cluster:Connect", seconds=900):
    """A token that is signed as AWS's signers do it, with anything wrong about it."""
    url = f"https://{host or f'kafka.{region}.amazonaws.com'}/"
    request = AWSRequest(method="GET", url=url, params={"Action": action})
    credentials = Credentials(key.access_key_id, key.secret_access_key, key.session_token)
    SigV4QueryAuth(credentials, service, region, expires=seconds).add_auth(request)
    return encode(request.prepare().url)


def test_a_token_of_awss_own_signer_is_taken(monkeypatch):
    reason = "needs aws-msk-iam-sasl-signer-python"
    signer = pytest.importorskip("aws_msk_iam_sasl_signer.MSKAuthTokenProvider", reason=reason)
    for name, value in KEY.environment(REGION).items():
        monkeypatch.setenv(name, value)
    token, expires_ms = signer.generate_auth_token(REGION)
    verified = verify(token)
    assert verified.key is KEY
    assert verified.expires_ms == expires_ms


def test_the_kits_own_token_is_taken():
    token, expires_ms = iam_token(KEY, REGION)
    verified = verify(token)
    assert (verified.key, verified.expires_ms) == (KEY, expires_ms)
    assert parse_qs(urlsplit(decode(token)).query)["Action"] == ["kafka-cluster:Connect"]


def test_temporary_credentials_have_a_session_token():
    key = IamKey(access_key_id="ASIA", secret_access_key="secret", session_token="a+session/token==")
    token, _ = iam_token(key, REGION)
    assert verify(token, keys=[key]).key is key
    changed = IamKey(access_key_id="ASIA", secret_access_key="secret", session_token="another")
    with pytest.raises(InvalidToken, match="its session token is not the one"):
        verify(token, keys=[changed])
    lasting = IamKey(access_key_id="ASIA", secret_access_key="secret")
    with pytest.raises(InvalidToken, match="its session token is not the one"):
        verify(token, keys=[lasting])
    with pytest.raises(InvalidToken, match="its session token is not the one"):
        verify(iam_token(lasting, REGION)[0], keys=[key])


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"action": "kafka-cluster:AlterCluster"}, "its action is 'kafka-cluster:AlterCluster'"),
        ({"service": "kafka"}, "is not KEY/DATE/REGION/kafka-cluster/aws4_request"),
        ({"region": "us-east-1"}, "it is signed for region 'us-east-1' and kafka.us-east-1.amazonaws.com"),
        ({"host": "kafka.us-east-1.amazonaws.com"}, "it is signed for region 'eu-central-1' and kafka.us-east-1"),
        ({"host": "evil.example"}, "and evil.example; the cluster is in 'eu-central-1'"),
        (
            {"key": IamKey(access_key_id="AKIDNOBODY", secret_access_key="x")},
            "its access key 'AKIDNOBODY' is not known",
        ),
        ({"key": IamKey(access_key_id="AKIDEXAMPLE", secret_access_key="x")}, "its signature is not made with"),
        ({"seconds": 604_801}, "out of range"),
        ({"seconds": 0}, "out of range"),
        ({"seconds": -5}, "out of range"),
    ],
    ids=str,
)
def test_a_token_for_something_else_is_not(wrong, reason):
    with pytest.raises(InvalidToken, match=re.escape(reason)):
        verify(sign(**wrong))


def test_a_token_ends_to_the_millisecond():
    token, expires_ms = iam_token(KEY, REGION)
    assert verify(token, now=expires_ms - 1)
    with pytest.raises(InvalidToken, match=r"it has expired: it was signed at \d{8}T\d{6}Z for 900 s"):
        verify(token, now=expires_ms)


def test_a_signer_may_be_five_minutes_ahead():
    token, expires_ms = iam_token(KEY, REGION)
    assert verify(token, now=expires_ms - 900_000 - 300_000)
    with pytest.raises(InvalidToken, match="it is not valid yet"):
        verify(token, now=expires_ms - 900_000 - 300_001)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("X-Amz-Expires", "901"),
        ("X-Amz-Date", "20990101T000000Z"),
        ("X-Amz-Signature", "0" * 64),
        ("X-Amz-SignedHeaders", "host%3Bx"),
        ("X-Amz-Algorithm", "AWS4-ECDSA-P256-SHA256"),
        ("X-Amz-Expires", "soon"),
        ("X-Amz-Date", "yesterday"),
    ],
)
def test_a_parameter_that_was_changed_after_signing(parameter, value):
    url = decode(sign())
    with pytest.raises(InvalidToken):
        verify(encode(re.sub(rf"{parameter}=[^&]*", f"{parameter}={value}", url)))


def test_a_parameter_that_was_added_after_signing_but_for_the_user_agent():
    url = decode(sign())
    assert verify(encode(f"{url}&User-Agent=anything/1.0"))
    for more in ("&Version=1", "&Action=kafka-cluster:Connect", "&X-Amz-Expires=99999"):
        with pytest.raises(InvalidToken):
            verify(encode(url + more))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "not a url",
        "http://kafka.eu-central-1.amazonaws.com/?Action=kafka-cluster:Connect",
        "https://kafka.eu-central-1.amazonaws.com:444/?X-Amz-Signature=x",
        "https://user@kafka.eu-central-1.amazonaws.com/?X-Amz-Signature=x",
        "https://kafka.eu-central-1.amazonaws.com/path?X-Amz-Signature=x",
        "https://[kafka/",
        "HTTPS://kafka.eu-central-1.amazonaws.com/?X-Amz-Signature=x",
        "https://KAFKA.eu-central-1.amazonaws.com/?X-Amz-Signature=x",
        "https://kafka.eu-central-1.amazonaws.com/?X-Amz-Signature=x#more",
        "https://kafka.eu-central-1.amazonaws.com/",
    ],
)
def test_what_is_no_such_url(url):
    with pytest.raises(InvalidToken):
        verify(encode(url))


@given(token=st.text(st.characters(codec="ascii"), max_size=80) | st.binary(max_size=60).map(lambda b: encode(repr(b))))
def test_garbage_is_an_invalid_token_and_nothing_else(token):
    with pytest.raises(InvalidToken):
        verify(token)


@given(at=st.integers(0, 10_000), change=st.integers(1, 255))
def test_no_byte_of_the_signed_url_may_change(at, change):
    url = bytearray(decode(TOKEN).encode())
    at %= len(url)
    url[at] ^= change
    with pytest.raises(InvalidToken):
        verify(base64.urlsafe_b64encode(bytes(url)).decode().rstrip("="), now=SIGNED_MS)


TOKEN = sign()
SIGNED_MS = int(
    datetime.datetime.strptime(parse_qs(urlsplit(decode(TOKEN)).query)["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ")
    .replace(tzinfo=datetime.timezone.utc)
    .timestamp()
    * 1000
)


# --- the conversation


def conversation(may_connect=True):
    return IamServer(lambda token: verify(token), lambda key: may_connect)


def hello(token, header=b"n,,"):
    return header + b"\x01auth=Bearer " + token.encode() + b"\x01\x01"


@pytest.mark.parametrize("header", [b"n,,", b"n,a=me,", b"y,,"])
def test_a_good_token_is_answered_with_nothing(header):
    one = conversation()
    assert one.respond(hello(TOKEN, header)) == b""
    assert one.user == KEY.arn
    assert one.key is KEY
    assert one.expires_ms == SIGNED_MS + 900_000


@pytest.mark.parametrize(
    ("token", "may_connect", "status"),
    [(sign(action="x"), True, b"invalid_token"), (TOKEN, False, b"access_denied")],
    ids=["token", "policy"],
)
def test_a_bad_one_is_answered_as_json_that_the_client_confirms(token, may_connect, status):
    one = conversation(may_connect)
    answer = one.respond(hello(token))
    assert answer == b'{"status":"%s"}' % status
    assert one.user is None
    with pytest.raises(SaslFailed) as raised:
        one.respond(b"\x01")
    assert raised.value.message == answer.decode()


@given(message=st.binary(max_size=40))
def test_what_is_no_oauthbearer_message_fails(message):
    with pytest.raises(SaslFailed, match="malformed"):
        conversation().respond(message)


# --- what is given


def test_secrets_are_not_shown():
    key = IamKey(access_key_id="A", secret_access_key="hidden", session_token="hidden too")
    shown = repr(Security(users={"user": "hidden"}, iam_keys=[key])) + repr(key)
    assert "hidden" not in shown
    assert "user" in shown


def test_a_region_comes_from_the_clusters_arn():
    assert Security(cluster_arn="arn:aws-cn:kafka:cn-north-1:1:cluster/c/u-1").region == "cn-north-1"


def test_the_environment_is_what_awss_libraries_read():
    assert KEY.environment(REGION) == {
        "AWS_ACCESS_KEY_ID": KEY.access_key_id,
        "AWS_SECRET_ACCESS_KEY": KEY.secret_access_key,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
    }
