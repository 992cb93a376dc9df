"""AwsFunctions: the Lambda functions that moto knows, as functions that run in this process."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import MskError
from ..functions import Handler, LambdaFunction
from ._interception import Call

if TYPE_CHECKING:
    from moto.awslambda.models import LambdaFunction as MotoFunction

__all__ = ["AwsFunctions"]

_NAME = re.compile(
    r"(?:arn:[a-z-]+:lambda:(?P<region>[a-z0-9-]+):|)(?:(?P<account>\d{12}):function:|)"
    r"(?P<name>[a-zA-Z0-9-_]+)(?::(?P<qualifier>\$LATEST|[a-zA-Z0-9-_]+))?"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Name:
    region: str
    account_id: str
    name: str
    qualifier: str | None


class AwsFunctions:
    """Finds a function by any form of its name.

    Args:
        unpack: gets the name of a function without a bound handler and its deployment package, and returns the folder
            into which it was unpacked, from which modules can be imported.
    """

    def __init__(self, unpack: Callable[[str, zipfile.ZipFile], Path]) -> None:
        self._unpack = unpack
        self._unpacked: dict[bytes, Path] = {}
        self._handlers: dict[tuple[str, str, str], Handler | str] = {}

    def bind(self, name: str, handler: Handler | str, *, region: str, account_id: str) -> None:
        """Let a function of moto's run a handler of this process, whatever its deployment package holds."""
        if not callable(handler) and not isinstance(handler, str):
            raise TypeError(f"handler={handler!r}: a handler, or its name such as 'package.module.handler'.")
        self._handlers[account_id, region, name] = handler

    def find(self, text: str, call: Call) -> LambdaFunction | None:
        """The function of a `FunctionName`; `None` when there is none.

        Raises:
            MskError: it has no handler that could run here.
        """
        name = _parse(text, call)
        found = None if name is None else self._moto(name)
        return None if name is None or found is None else self._made(name, found)

    def arn(self, text: str, call: Call) -> str | None:
        """The ARN of a `FunctionName`, with the qualifier that it has; `None` when there is no such function."""
        name = _parse(text, call)
        found = None if name is None else self._moto(name)
        return None if name is None or found is None else _arn(name, found)

    def role(self, text: str, call: Call) -> str:
        """The ARN of the execution role of a function that there is."""
        name = _parse(text, call)
        found = None if name is None else self._moto(name)
        assert found is not None
        return str(found.role)

    @staticmethod
    def _moto(name: _Name) -> MotoFunction | None:
        from moto.awslambda.exceptions import LambdaClientError
        from moto.awslambda.models import lambda_backends

        try:
            return lambda_backends[name.account_id][name.region].get_function(name.name, name.qualifier)
        except LambdaClientError:  # there is no such function, version or alias
            return None

    def _made(self, name: _Name, found: MotoFunction) -> LambdaFunction:
        handler = self._handlers.get((name.account_id, name.region, name.name))
        if handler is None:
            handler = self._deployed(name.name, found)
        return LambdaFunction(
            handler,
            name=_arn(name, found),
            timeout=float(found.timeout),
            memory_size=int(found.memory_size),
            version=str(found.version),
            environment={key: str(value) for key, value in found.environment_vars.items()} or None,
        )

    def _deployed(self, name: str, found: MotoFunction) -> str:
        package = getattr(found, "code_bytes", None)
        runtime = str(found.run_time or "")
        if not package or not found.handler or not runtime.startswith("python"):
            what = f"runs {runtime}" if package and runtime else "has no Python deployment package"
            raise MskError(
                f"The function {name!r} {what}, so that it cannot run in this process: bind a handler to it with "
                f"msk_cluster.bind({name!r}, handler)."
            )
        if package not in self._unpacked:
            self._unpacked[package] = self._unpack(name, zipfile.ZipFile(io.BytesIO(package)))
        return str(found.handler).replace("/", ".")


def _parse(text: str, call: Call) -> _Name | None:
    match = _NAME.fullmatch(text)
    if match is None:
        return None
    return _Name(
        region=match["region"] or call.region,
        account_id=match["account"] or call.account_id,
        name=match["name"],
        qualifier=match["qualifier"],
    )


def _arn(name: _Name, found: MotoFunction) -> str:
    arn = f"{found.function_arn.partition(':function:')[0]}:function:{name.name}"
    return arn if name.qualifier is None else f"{arn}:{name.qualifier}"
