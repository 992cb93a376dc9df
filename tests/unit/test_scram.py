"""SCRAM and PLAIN, the server's side: the vectors of the RFCs, and what no client should be let in with."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_msk.brokers.embedded.security.plain import PlainServer
from pytest_msk.brokers.embedded.security.scram import SaslFailed, ScramServer, derive, from_salted

MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-512")
names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)
passwords = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)


def escaped(name):
    return name.replace("=", "=3D").replace(",", "=2C")


def proof(mechanism, name, password, first, nonce="client", extension=""):
    """What a client that follows RFC 5802 sends last."""
    hashed = mechanism.removeprefix("SCRAM-").replace("-", "").lower()
    fields = dict(part.split("=", 1) for part in first.decode().split(","))
    salted = hashlib.pbkdf2_hmac(hashed, password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
    client_key = hmac.digest(salted, b"Client Key", hashed)
    bare = f"c=biws,r={fields['r']}{extension}"
    exchange = f"n={escaped(name)},r={nonce},{first.decode()},{bare}".encode()
    signature = hmac.digest(hashlib.new(hashed, client_key).digest(), exchange, hashed)
    sent = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
    server = hmac.digest(hmac.digest(salted, b"Server Key", hashed), exchange, hashed)
    return f"{bare},p={base64.b64encode(sent).decode()}".encode(), b"v=" + base64.b64encode(server)


def server(users, mechanism="SCRAM-SHA-256", iterations=1):
    found = {name: derive(mechanism, password, iterations=iterations) for name, password in users.items()}
    return ScramServer(mechanism, found.get)


def test_the_conversation_of_rfc_7677():
    credential = derive("SCRAM-SHA-256", "pencil", salt=base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="), iterations=4096)
    one = ScramServer("SCRAM-SHA-256", {"user": credential}.get, nonce="%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
    assert one.respond(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO") == (
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    )
    assert one.user is None
    last = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    assert one.respond(last) == b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    assert one.user == "user"


@pytest.mark.parametrize("mechanism", MECHANISMS)
@given(name=names, password=passwords)
def test_who_knows_the_password_is_let_in(mechanism, name, password):
    one = server({name: password}, mechanism)
    first = one.respond(f"n,,n={escaped(name)},r=client".encode())
    last, expected = proof(mechanism, name, password, first)
    assert one.respond(last) == expected
    assert one.user == name


@given(password=passwords, other=passwords)
def test_nobody_else_is(password, other):
    one = server({"user": password})
    last, _ = proof("SCRAM-SHA-256", "user", other, one.respond(b"n,,n=user,r=client"))
    if other == password:
        one.respond(last)
        return
    with pytest.raises(SaslFailed, match="the password of user 'user' is wrong"):
        one.respond(last)
    assert one.user is None


@given(message=st.binary(max_size=60) | st.text(",=nyarp-0", max_size=40).map(str.encode))
def test_what_is_no_first_message_fails_and_nothing_else(message):
    one = server({"user": "secret"})
    with pytest.raises(SaslFailed):
        one.respond(message)


@given(message=st.binary(max_size=60) | st.text(",=cbiwsrclient", max_size=40).map(str.encode))
def test_what_is_no_last_message_fails_and_nothing_else(message):
    one = server({"user": "secret"})
    one.respond(b"n,,n=user,r=client")
    with pytest.raises(SaslFailed):
        one.respond(message)
    assert one.user is None


def test_extensions_are_let_through():
    one = server({"user": "secret"})
    first = one.respond(b"n,,n=user,r=client,tokenauth=false")
    # What is signed is the whole first message, extension and all.
    with pytest.raises(SaslFailed, match="wrong"):
        one.respond(proof("SCRAM-SHA-256", "user", "secret", first)[0])
    one = server({"user": "secret"})
    first = one.respond(b"n,,n=user,r=client")
    last, expected = proof("SCRAM-SHA-256", "user", "secret", first, extension=",x=y")
    assert one.respond(last) == expected


@pytest.mark.parametrize("authzid", ["a=user,", "a=us=65r,"])
def test_acting_as_oneself_is_allowed_and_as_another_is_not(authzid):
    one = server({"user": "secret"})
    if authzid == "a=user,":
        assert one.respond(b"n,a=user,n=user,r=client").startswith(b"r=client")
        return
    with pytest.raises(SaslFailed):
        one.respond(b"n,a=admin,n=user,r=client")


def test_a_third_message_fails():
    one = server({"user": "secret"})
    last, _ = proof("SCRAM-SHA-256", "user", "secret", one.respond(b"n,,n=user,r=client"))
    one.respond(last)
    with pytest.raises(SaslFailed):
        one.respond(last)


def test_a_proof_of_another_length_is_wrong():
    one = server({"user": "secret"})
    last, _ = proof("SCRAM-SHA-256", "user", "secret", one.respond(b"n,,n=user,r=client"))
    bare, _, sent = last.partition(b",p=")
    with pytest.raises(SaslFailed, match="wrong"):
        one.respond(bare + b",p=" + base64.b64encode(base64.b64decode(sent) + b"more"))


def test_two_servers_have_two_nonces_and_two_salts():
    firsts = {server({"user": "secret"}).respond(b"n,,n=user,r=client") for _ in range(20)}
    assert len({first.split(b",")[0] for first in firsts}) == 20
    assert len({first.split(b",")[1] for first in firsts}) == 20


def test_a_salted_password_is_as_good_as_the_password():
    salted = hashlib.pbkdf2_hmac("sha512", b"secret", b"salt", 4096)
    assert from_salted("SCRAM-SHA-512", salted, salt=b"salt", iterations=4096) == derive(
        "SCRAM-SHA-512", "secret", salt=b"salt", iterations=4096
    )


def test_nothing_of_a_credential_is_shown():
    assert repr(derive("SCRAM-SHA-256", "secret", iterations=1)) == "ScramCredential(iterations=1)"


# --- PLAIN


@given(name=names, password=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_plain_takes_name_and_password(name, password):
    one = PlainServer({name: password}.get)
    assert one.respond(f"\0{name}\0{password}".encode()) == b""
    assert one.user == name


@given(message=st.binary(max_size=30) | st.text("\0user secr", max_size=20).map(str.encode))
def test_plain_takes_nothing_else(message):
    one = PlainServer({"user": "secret"}.get)
    if message in (b"\0user\0secret", b"user\0user\0secret"):
        return
    with pytest.raises(SaslFailed):
        one.respond(message)
    assert one.user is None
