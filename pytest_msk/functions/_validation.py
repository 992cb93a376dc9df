"""What a function may be given: Lambda's own bounds, and handlers that can be called as Lambda calls them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from types import NoneType

from .remote import is_lambda_client

__all__ = ["MAX_TIMEOUT", "VERSION", "check_settings", "check_variables", "function_name", "refuse_handler"]

#: The longest timeout of a function, seconds.
MAX_TIMEOUT = 900
#: A function's version.
VERSION = re.compile(r"\$LATEST|[0-9]+")

_HANDLER_NAME = re.compile(r"[^\s.:]+(\.[^\s.:]+)+")
#: A variable that the operating system takes.
_VARIABLE = re.compile(r"[^=\0]+")
#: Variables that the runtime sets itself and Lambda lets no one set; the credentials among them are the role's.
_RESERVED = frozenset(
    {
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_LAMBDA_RUNTIME_API",
        "LAMBDA_TASK_ROOT",
        "LAMBDA_RUNTIME_DIR",
    }
)
_ALIAS = re.compile(r"(?![0-9]+$)[a-zA-Z0-9_-]{1,128}")


def check_settings(
    timeout: float, memory_size: int, version: str, alias: str | None, real_time_limit: float | None
) -> None:
    """Refuse settings that are of another type, and those that Lambda refuses."""
    _refuse_type("timeout", timeout, (int, float), "a number of seconds")
    _refuse_type("memory_size", memory_size, (int,), "a whole number of megabytes")
    _refuse_type("version", version, (str,), "'$LATEST' or a number, as text")
    _refuse_type("alias", alias, (str, NoneType), "a name, as text")
    _refuse_type("real_time_limit", real_time_limit, (int, float, NoneType), "a number of seconds")
    if not 0 < timeout <= MAX_TIMEOUT:
        raise ValueError(f"timeout={timeout!r}: seconds, more than 0 and at most {MAX_TIMEOUT}.")
    if not 128 <= memory_size <= 10_240:
        raise ValueError(f"memory_size={memory_size!r}: megabytes, 128 to 10,240.")
    if not VERSION.fullmatch(version):
        raise ValueError(f"version={version!r}: '$LATEST' or a number, as text.")
    if alias is not None and not _ALIAS.fullmatch(alias):
        raise ValueError(f"alias={alias!r}: letters, digits, '-' and '_', at most 128, and not only digits.")
    if real_time_limit is not None and not 0 < real_time_limit < float("inf"):
        raise ValueError(f"real_time_limit={real_time_limit!r}: seconds, more than 0.")


def _refuse_type(name: str, value: object, types: tuple[type, ...], wanted: str) -> None:
    if not isinstance(value, types) or isinstance(value, bool):
        raise TypeError(f"{name}={value!r}: {wanted}, not {type(value).__name__}.")


def check_variables(given: Mapping[str, str]) -> None:
    """Refuse environment variables that are none, and those that Lambda reserves."""
    if not isinstance(given, Mapping):
        raise TypeError(f"environment={given!r}: a dict of names and values.")
    for variable, value in given.items():
        if not isinstance(variable, str) or not isinstance(value, str):
            raise TypeError(f"environment[{variable!r}] is {value!r}: an environment variable is text.")
        if not _VARIABLE.fullmatch(variable) or "\0" in value:
            raise ValueError(f"environment[{variable!r}] is {value!r}: no process can have such a variable.")
    reserved = [variable for variable in given if variable in _RESERVED]
    if reserved:
        raise ValueError(
            "Lambda was unable to configure your environment variables because the environment variables you have "
            "provided contains reserved keys that are currently not supported for modification. Reserved keys used in "
            f"this request: {', '.join(reserved)}"
        )


def refuse_handler(target: object) -> None:
    """Refuse what is no handler, and a handler that cannot be called as one."""
    if isinstance(target, str):
        if not _HANDLER_NAME.fullmatch(target):
            raise ValueError(f"{target!r} is no handler's name, 'package.module.handler', and no URL.")
        return
    if not callable(target):
        raise TypeError(
            f"A function is a handler called with (event, context), a handler's name, a boto3 Lambda client or a URL, "
            f"not {target!r}."
        )
    try:
        signature = inspect.signature(target)
    except ValueError:
        return  # a builtin that does not tell: its first call will
    try:
        signature.bind(None, None)
    except TypeError as error:
        raise TypeError(f"A handler is called with (event, context), but {target!r} takes {signature}.") from error


def function_name(target: object, given: str | None) -> str:
    """The name that was given, or one that Lambda would accept, made from the handler's or the URL's."""
    if given is not None:
        _refuse_type("name", given, (str,), "a function's name or ARN, as text")
        if not given:
            raise ValueError("name='': a function has a name.")
        return given
    if is_lambda_client(target):
        raise TypeError("Which function is the client to call? LambdaFunction(client, name=...) says it.")
    if isinstance(target, str) and "://" in target:
        found = re.search(r"/functions/([^/]+)/invocations", target)
        return found[1] if found else "function"
    text = target if isinstance(target, str) else getattr(target, "__name__", type(target).__name__)
    return "".join(c if (c.isalnum() and c.isascii()) or c in "-_" else "-" for c in text)[:64]
