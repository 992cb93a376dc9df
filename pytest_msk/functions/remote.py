"""Functions that run elsewhere: behind a boto3 Lambda client, or in a runtime interface emulator.

Nothing reaches the real AWS by accident: a request goes to this machine, or to a library that answers in its place
(moto, botocore's Stubber), unless the function allows more.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from io import BytesIO
from typing import Literal, Protocol, cast
from urllib.parse import urlsplit

from .._guard import is_this_machine, refusing_others
from ..errors import MskError
from .error import FunctionError, timeout_error

__all__ = ["Answer", "BehindClient", "Emulator", "LambdaClient", "RemoteFunction", "ServiceError", "is_lambda_client"]

_EMULATORS_PATH = "/2015-03-31/functions/function/invocations"
#: Members of an error payload, over all of Lambda's runtimes; a result that has others too is no error.
_ERROR_MEMBERS = frozenset({"errorMessage", "errorType", "requestId", "stackTrace", "trace", "cause"})
_TIMED_OUT = re.compile(rb'"?(?:.* )?(Task timed out after [\d.]+ seconds)"?\s*')


class ServiceError(MskError):
    """The function was not called: it was throttled, or the service failed; AWS calls again (spec 4.1).

    Args:
        code: AWS's name of the error, or the HTTP status.
        message: its text.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.code = code
        self.message = message


class LambdaClient(Protocol):
    """A boto3 Lambda client: `boto3.client("lambda", ...)`."""

    @property
    def meta(self) -> object:
        """What botocore knows of the client."""

    def invoke(
        self,
        *,
        FunctionName: str,  # noqa: N803 - boto3's names
        InvocationType: Literal["RequestResponse"],  # noqa: N803
        LogType: Literal["Tail"],  # noqa: N803
        Payload: bytes,  # noqa: N803
    ) -> Mapping[str, object]:
        """Call the function."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What came back from a function.

    Args:
        request_id: the id under which it ran, `None` if it was not told.
        result: the result's JSON text; `None` for `null`.
        error: why it failed.
        log: the end of its log, if the service tells it.
    """

    request_id: str | None
    result: str | None = None
    error: FunctionError | None = None
    log: str = ""


class RemoteFunction(Protocol):
    """A function that runs elsewhere."""

    def invoke(self, payload: bytes, seconds: float) -> Answer:
        """Call it, and wait for the answer at most so many seconds of real time.

        Raises:
            ServiceError: it was not called, but may be another time.
            MskError: it cannot be called.
        """


def is_lambda_client(target: object) -> bool:
    """Whether this is a boto3 client for Lambda."""
    model = getattr(getattr(target, "meta", None), "service_model", None)
    return getattr(model, "service_name", None) == "lambda"


class BehindClient:
    """A function that a boto3 client calls.

    Args:
        client: the client.
        name: the function's name or ARN, with an alias or version if it has one.
        allow_remote: let requests go to other machines, the real AWS among them.
    """

    def __init__(self, client: LambdaClient, name: str, *, allow_remote: bool) -> None:
        self._client = client
        self._name = name
        self._allow_remote = allow_remote

    def invoke(self, payload: bytes, seconds: float) -> Answer:  # noqa: ARG002 - the client has its own time limit
        """See `RemoteFunction`."""
        from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

        try:
            with nullcontext() if self._allow_remote else refusing_others(self._client, self._refused):
                answer = self._client.invoke(
                    FunctionName=self._name, InvocationType="RequestResponse", LogType="Tail", Payload=payload
                )
                body = cast("BytesIO", answer["Payload"]).read()
        except ClientError as raised:
            raise self._judge(raised.response) from raised
        except BotoCoreError as raised:
            raise MskError(f"The Lambda client could not call {self._name!r}: {raised}") from raised
        metadata = cast("Mapping[str, str]", answer.get("ResponseMetadata", {}))
        log = _log_text(answer.get("LogResult"))
        if "FunctionError" in answer:
            return Answer(request_id=metadata.get("RequestId"), error=_read_error(body), log=log)
        return Answer(request_id=metadata.get("RequestId"), result=_read_result(body), log=log)

    def _judge(self, response: Mapping[str, Mapping[str, object]]) -> MskError:
        """A throttle or a failure of the service, which comes to an end, or a request that will never do."""
        error = response.get("Error", {})
        code, message = str(error.get("Code", "")), str(error.get("Message", ""))
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if isinstance(status, int) and (status == 429 or status >= 500):
            return ServiceError(code, message)
        return MskError(f"Lambda refuses to call {self._name!r}: {code}: {message}")

    def _refused(self, host: str) -> str:
        return (
            f"The Lambda client would call {self._name!r} at {host}, which is not this machine: call it under moto "
            "(mock_aws), or give the client a loopback endpoint_url; LambdaFunction(..., allow_remote=True) lets it go."
        )


class Emulator:
    """A function that a runtime interface emulator calls: Lambda's own container images have one.

    Args:
        url: where it listens, `http://localhost:9000`; the path of its one function is added if there is none.
        allow_remote: let it be on another machine.

    Raises:
        ValueError: the URL is none, or leads to another machine.
    """

    def __init__(self, url: str, *, allow_remote: bool) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no URL of a runtime interface emulator, such as http://localhost:9000.")
        if not allow_remote and not is_this_machine(parts.hostname):
            raise ValueError(
                f"The emulator at {url!r} is not on this machine; LambdaFunction(..., allow_remote=True) lets it be."
            )
        self._parts = parts
        self._path = parts.path if parts.path.strip("/") else _EMULATORS_PATH
        self.url = f"{parts.scheme}://{parts.netloc}{self._path}"

    def invoke(self, payload: bytes, seconds: float) -> Answer:
        """See `RemoteFunction`."""
        from http.client import HTTPConnection, HTTPException, HTTPSConnection

        kind = HTTPSConnection if self._parts.scheme == "https" else HTTPConnection
        connection = kind(self._parts.hostname or "", self._parts.port, timeout=seconds)
        try:
            connection.request("POST", self._path, payload, {"Content-Type": "application/json"})
            response = connection.getresponse()
            body = response.read()
        except TimeoutError:
            return Answer(request_id=None, error=timeout_error(seconds))
        except (OSError, HTTPException) as error:
            raise MskError(
                f"The runtime interface emulator at {self.url} did not answer: {type(error).__name__}: {error}. "
                "Start the function's container before the test, with its port 8080 on this one."
            ) from error
        finally:
            connection.close()
        failed = response.headers.get("X-Amz-Function-Error") is not None
        return self._judge(response.status, body, response.headers.get("X-Amzn-RequestId"), failed=failed)

    def _judge(self, status: int, body: bytes, request_id: str | None, *, failed: bool) -> Answer:
        """Tell results, function errors and the emulator's own errors apart: it answers 200 to the first two."""
        timed_out = _TIMED_OUT.fullmatch(body)
        if status == 200 and timed_out:
            error = FunctionError(type="Sandbox.Timedout", message=timed_out[1].decode())
            return Answer(request_id=request_id, error=error)
        if failed or (status in (200, 502) and _is_error(body)):  # 502: the runtime ended, or never began
            return Answer(request_id=request_id, error=_read_error(body))
        if status == 200:
            return Answer(request_id=request_id, result=_read_result(body))
        text = body.decode(errors="replace").strip()
        if status in (400, 429) or status >= 500:  # 400: it is busy with another call
            raise ServiceError(f"HTTP {status}", text)
        raise MskError(f"The runtime interface emulator at {self.url} refuses the call: HTTP {status} {text}")


def _is_error(body: bytes) -> bool:
    """Whether this is an error payload; a result may look like one only if it has nothing else."""
    try:
        payload = json.loads(body)
    except ValueError:
        return False
    return isinstance(payload, dict) and {"errorMessage", "errorType"} <= payload.keys() <= _ERROR_MEMBERS


def _read_error(body: bytes) -> FunctionError:
    try:
        payload = json.loads(body)
    except ValueError:
        payload = None
    if isinstance(payload, dict):
        return FunctionError.from_payload(payload)
    return FunctionError(type="Error", message=body.decode(errors="replace"))


def _read_result(body: bytes) -> str | None:
    """A result as JSON text without white space around it; what is no JSON is text."""
    text = body.decode(errors="replace")
    try:
        return None if not text or json.loads(text) is None else text.strip()
    except ValueError:
        return json.dumps(text)


def _log_text(encoded: object) -> str:
    return b64decode(encoded).decode(errors="replace") if isinstance(encoded, str) else ""
