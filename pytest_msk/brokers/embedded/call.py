"""A request that wants an answer, as its handler sees it, and those who change the answer on its way out."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

from .wire import Api, Buffer, Struct

if TYPE_CHECKING:
    from .connection import Connection

__all__ = ["Call"]

_LENGTH = struct.Struct(">i")
_API_VERSIONS = 18


class Call:
    """A request that wants an answer."""

    __slots__ = (
        "_changes",
        "_closes",
        "_connection",
        "_correlation_id",
        "_detached",
        "answered",
        "api",
        "client_id",
        "version",
    )

    def __init__(self, connection: Connection, api: Api, version: int, correlation_id: int, client_id: str) -> None:
        self.api = api
        self.version = version
        self.client_id = client_id
        self.answered = False
        self._connection = connection
        self._correlation_id = correlation_id
        self._detached = False
        self._closes = False
        self._changes: tuple[Callable[[Struct], Struct | None], ...] = ()

    @property
    def connection(self) -> Connection:
        """Where the request came from."""
        return self._connection

    @property
    def detached(self) -> bool:
        """Whether the connection's next requests do not wait for this one."""
        return self._detached

    def amend(self, change: Callable[[Struct], Struct | None]) -> None:
        """Change the answer before it is sent; None in place of it lets the client wait for ever.

        Who asks first changes last: what stands in front of all others has the last word.
        """
        self._changes = (change, *self._changes)

    def answer(self, body: Struct) -> None:
        """Send the answer; nothing happens when the client is gone."""
        self.answer_version(self.version, body)

    def answer_version(self, version: int, body: Struct) -> None:
        """Send the answer in another version's form: the one to an ApiVersions of an unknown version is version 0's."""
        amended = self._amended(body)
        if amended is not None:
            self._send(version, amended)

    def answer_as_it_is(self, body: Struct) -> None:
        """Send this answer, whatever was asked to be changed."""
        self._send(self.version, body)

    def _amended(self, body: Struct) -> Struct | None:
        for change in self._changes:
            changed = change(body)
            if changed is None:
                return None
            body = changed
        return body

    def _send(self, version: int, body: Struct) -> None:
        out: list[Buffer] = [b"", _LENGTH.pack(self._correlation_id)]
        # The header of ApiVersions' answer never has tagged fields: its reader does not know the version yet.
        if self.api.is_flexible(version) and self.api.key != _API_VERSIONS:
            out.append(b"\0")
        out += self.api.encode_response(version, body)
        size = sum(map(len, out))
        out[0] = _LENGTH.pack(size)
        self._connection.send(out, size + _LENGTH.size)
        self._done()

    def answer_nothing(self) -> None:
        """The request wants no answer: a Produce with acks=0."""
        if self._amended({}) is None:
            return
        if self._closes:
            self.close()
        else:
            self._done()

    def close_unanswered(self) -> None:
        """Close the connection if the request wants no answer: a part of it was refused."""
        self._closes = True

    def detach(self) -> None:
        """Let the connection's next requests go ahead of this one."""
        self._detached = True
        self._connection.next_request()

    def close(self) -> None:
        """Close the connection instead of an answer, as Kafka does where it has no answer to give."""
        self._connection.finish()

    def take_no_more(self, delay_ms: int) -> None:
        """Take nothing more from this client, whose connection is closed when it does so, or after a while."""
        self._connection.finish_later(delay_ms)

    def _done(self) -> None:
        if not self.answered:
            self.answered = True
            if not self._detached:
                self._connection.next_request()
