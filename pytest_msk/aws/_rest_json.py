"""AWS's REST-JSON protocol from the server's side, by botocore's own service models: which operation a request asks
for, its parameters, and an answer that botocore reads back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape  # type: ignore[import-untyped]

__all__ = ["Answer", "ApiError", "Parameters", "answer", "failure", "members", "read"]

#: An operation's parameters or its result, under the API's names.
Parameters = dict[str, object]
_LABEL = re.compile(r"\{(\w+)(\+?)\}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """An HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes


class ApiError(Exception):
    """An error that an AWS service answers.

    Args:
        code: the API's name of the error, such as `NotFoundException`.
        message: its text.
        status: the HTTP status.
        members: further members of the error's shape, under their names on the wire.
    """

    def __init__(
        self, code: str, message: str, *, status: int = 400, members: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.members = dict(members or {})


@cache
def _service(name: str) -> ServiceModel:
    from botocore.session import Session  # type: ignore[import-untyped]

    return Session().get_service_model(name)


@cache
def _routes(service: str) -> tuple[tuple[str, re.Pattern[str], str], ...]:
    """Per operation its HTTP method, a pattern of its path, and its name."""
    found = []
    for name in _service(service).operation_names:
        http = _service(service).operation_model(name).http
        path, parts, end = http["requestUri"].partition("?")[0].rstrip("/"), [], 0
        for label in _LABEL.finditer(path):
            parts += [re.escape(path[end : label.start()]), f"(?P<{label[1]}>{'.+' if label[2] else '[^/]+'})"]
            end = label.end()
        found.append((http["method"], re.compile("".join([*parts, re.escape(path[end:])]) + "/?"), name))
    return tuple(found)


def read(service: str, method: str, url: str, headers: Mapping[str, str], body: bytes) -> tuple[str, Parameters] | None:
    """The operation that a request asks for and its parameters; `None` when the service has no such operation."""
    parts = urlsplit(url)
    for verb, pattern, name in _routes(service):
        if verb == method and (match := pattern.fullmatch(parts.path)):
            operation = _service(service).operation_model(name)
            labels = {key: unquote(value) for key, value in match.groupdict().items()}
            return name, _parameters(operation, labels, parse_qs(parts.query, keep_blank_values=True), headers, body)
    return None


def _parameters(
    operation: OperationModel,
    labels: Mapping[str, str],
    query: Mapping[str, list[str]],
    headers: Mapping[str, str],
    body: bytes,
) -> Parameters:
    shape = operation.input_shape
    if shape is None:
        return {}
    document = cast("dict[str, object]", json.loads(body)) if body.strip() else {}
    found: Parameters = {}
    for name, member in shape.members.items():
        place, key = member.serialization.get("location"), member.serialization.get("name", name)
        if place == "uri":
            found[name] = labels[key]
        elif place == "querystring":
            if key in query:
                found[name] = query[key] if member.type_name == "list" else _from_text(member, query[key][0])
        elif place == "header":
            if key in headers:
                found[name] = headers[key]
        elif document.get(key) is not None:
            found[name] = _from_json(member, document[key])
    return found


def _from_text(shape: Shape, text: str) -> object:
    if shape.type_name in ("integer", "long"):
        return int(text)
    return text == "true" if shape.type_name == "boolean" else text


def _from_json(shape: Shape, value: object) -> object:
    if shape.type_name == "structure":
        given = cast("Mapping[str, object]", value)
        members = cast("StructureShape", shape).members.items()
        keys = ((name, member, member.serialization.get("name", name)) for name, member in members)
        return {name: _from_json(member, given[key]) for name, member, key in keys if given.get(key) is not None}
    if shape.type_name == "list":
        return [_from_json(cast("ListShape", shape).member, item) for item in cast("list[object]", value)]
    if shape.type_name == "map":
        inner = cast("MapShape", shape).value
        return {key: _from_json(inner, item) for key, item in cast("Mapping[str, object]", value).items()}
    return value


def members(service: str, shape: str, value: Mapping[str, object]) -> Parameters:
    """A structure of a service as it is written on the wire, under the API's own names."""
    return cast(Parameters, _from_json(_service(service).shape_for(shape), value))


def answer(service: str, operation: str, result: Mapping[str, object]) -> Answer:
    """An operation's result as a response; members that are `None` are left out."""
    model = _service(service).operation_model(operation)
    body = _to_json(model.output_shape, result) if model.output_shape is not None else {}
    return Answer(
        status=model.http.get("responseCode", 200),
        headers={"Content-Type": "application/json"},
        body=json.dumps(body).encode(),
    )


def failure(error: ApiError) -> Answer:
    """An error as a response."""
    return Answer(
        status=error.status,
        headers={"Content-Type": "application/json", "x-amzn-errortype": error.code},
        body=json.dumps({"message": error.message, **error.members}).encode(),
    )


def _to_json(shape: Shape, value: object) -> object:
    if shape.type_name == "structure":
        members = cast("StructureShape", shape).members
        given = cast("Mapping[str, object]", value)
        return {
            members[name].serialization.get("name", name): _to_json(members[name], item)
            for name, item in given.items()
            if item is not None and name in members  # an older botocore does not read what it does not know
        }
    if shape.type_name == "list":
        return [_to_json(cast("ListShape", shape).member, item) for item in cast("list[object]", value)]
    if shape.type_name == "map":
        inner = cast("MapShape", shape).value
        return {key: _to_json(inner, item) for key, item in cast("Mapping[str, object]", value).items()}
    if isinstance(value, datetime):
        if shape.serialization.get("timestampFormat") == "iso8601":
            utc = value.astimezone(timezone.utc)
            return utc.strftime("%Y-%m-%dT%H:%M:%S.") + f"{utc.microsecond // 1000:03d}Z"
        return value.timestamp()
    return value
