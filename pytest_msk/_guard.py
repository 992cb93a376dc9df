"""Guard: what a boto3 client may reach. Nothing reaches the real AWS by accident.

A request goes to this machine, or to a library that answers in the network's place (moto, botocore's Stubber); any
other is answered here with an error, at the last step before the network.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .errors import MskError

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest, AWSResponse  # type: ignore[import-untyped]

__all__ = ["ADVICE", "is_this_machine", "refusing_others"]

#: What to do about a request that would have left this machine.
ADVICE = (
    "Run the test under moto (with mock_aws(): ...), set AWS_ENDPOINT_URL to a loopback address, or let requests go to "
    "the real AWS with --msk-allow-aws=true."
)

#: The header, in an answer that takes the place of a request to another machine, that names the machine.
_REFUSED = "x-pytest-msk-refused"
#: An error in XML: clients that expect JSON take a body that is none for the message.
_ERROR = b"<ErrorResponse><Error><Code>RefusedByPytestMsk</Code><Message>refused</Message></Error></ErrorResponse>"


def is_this_machine(host: str) -> bool:
    """Whether a host name or address is a loopback one."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextmanager
def refusing_others(client: object, text: Callable[[str], str]) -> Generator[None, None, None]:
    """Within the block, refuse the requests of a client that nobody else answers and that leave this machine.

    Args:
        client: a boto3 client.
        text: makes the error's text from the name of the other machine.

    Raises:
        MskError: such a request was made.
    """
    from botocore.exceptions import ClientError  # type: ignore[import-untyped]

    events = client.meta.events  # type: ignore[attr-defined]
    guard = {"unique_id": f"{_REFUSED}-{id(client)}", "unique_id_uses_count": True}
    events.register_last("before-send", _answer_others, **guard)
    try:
        yield
    except ClientError as raised:
        host = _refused(raised.response)
        if host is None:
            raise
        raise MskError(text(host)) from None
    finally:
        events.unregister("before-send", _answer_others, **guard)


def _answer_others(request: AWSPreparedRequest, **_: object) -> AWSResponse | None:
    """An error for a request that leaves this machine; the first answer counts, and moto's comes before this one."""
    from botocore.awsrequest import AWSResponse

    host = urlsplit(request.url).hostname or ""
    if is_this_machine(host):
        return None
    return AWSResponse(request.url, 400, {_REFUSED: host}, _Body(_ERROR))


def _refused(response: Mapping[str, Mapping[str, Mapping[str, str]]]) -> str | None:
    return response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get(_REFUSED)


class _Body(BytesIO):
    """The body of a response as botocore reads it."""

    def stream(self) -> Iterator[bytes]:
        yield self.read()
