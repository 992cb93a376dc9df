"""What Lambda's Python runtime does by itself: find the handler by its name, and make JSON of its result.

Its own code (awslambdaric 4) is the source of types and texts.
"""

from __future__ import annotations

import importlib
import inspect
import json
import math
import sys
from collections.abc import Callable
from decimal import Decimal
from types import ModuleType
from typing import TypeAlias, cast

from .error import Fault

__all__ = ["Handler", "find_handler", "import_handler_module", "marshal", "module_name", "unmarshal"]

#: A handler as Lambda's Python runtime calls it: event, context.
Handler: TypeAlias = "Callable[..., object]"


def module_name(handler: str) -> str:
    """The full name of the module in a handler's name; Lambda takes `folder/module.handler` too."""
    return handler.rpartition(".")[0].replace("/", ".")


def import_handler_module(name: str) -> ModuleType:
    """Import the module in which a handler is.

    Args:
        name: the handler's name, `package.module.handler`.

    Raises:
        Fault: it cannot be imported.
    """
    __tracebackhide__ = True
    module = module_name(name)
    if module.partition(".")[0] in sys.builtin_module_names:
        raise Fault("Runtime.BuiltInModuleConflict", f"Cannot use built-in module {module} as a handler module")
    try:
        return importlib.import_module(module)
    except ImportError as error:
        text = f"Unable to import module '{name.rpartition('.')[0]}': {error}"
        raise Fault("Runtime.ImportModuleError", text) from error
    except SyntaxError as error:
        text = f"Syntax error in module '{name.rpartition('.')[0]}': {error}"
        trace = (f'  File "{error.filename}" Line {error.lineno}\n    {error.text}',)
        raise Fault("Runtime.UserCodeSyntaxError", text, trace) from error


def find_handler(module: ModuleType, name: str) -> Handler:
    """The handler in its module.

    Raises:
        Fault: the module has no such name.
    """
    __tracebackhide__ = True
    module_text, _, attribute = name.rpartition(".")
    try:
        return cast(Handler, getattr(module, attribute))
    except AttributeError as error:
        text = f"Handler '{attribute}' missing on module '{module_text}'"
        raise Fault("Runtime.HandlerNotFound", text) from error


def marshal(result: object) -> str | None:
    """A handler's result as JSON text; `None` stands for `null`.

    The rules are those of the standard library's JSON, and `Decimal` is a number.

    Raises:
        Fault: the result is nothing that these rules can say.
    """
    __tracebackhide__ = True
    if result is None:
        return None
    try:
        text = _encode(result)
        text.encode()
    except (TypeError, ValueError, RecursionError) as raised:
        message = f"Unable to marshal response: {raised}"
        if inspect.iscoroutine(result):
            result.close()
            message += (
                f" (the handler is `async def {result.__name__}`, and Lambda's Python runtime awaits nothing: "
                "give it a plain function that calls asyncio.run)"
            )
        raise Fault("Runtime.MarshalError", message) from raised
    return text


def unmarshal(text: str | None) -> object:
    """What a result reads as, from its JSON text without white space before it; `None` stands for `null`."""
    return None if text is None else _decode(text)[0]


def _decimal(value: object) -> object:
    """What a reader makes of a Decimal, which Lambda writes digit by digit."""
    if isinstance(value, Decimal):
        return math.nan if value.is_nan() else json.loads(str(value))
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


# The functions of `json` would take twice the time: they look at their arguments, or make an encoder, at every call.
_encode = json.JSONEncoder(default=_decimal, ensure_ascii=False).encode
_decode = json.JSONDecoder().raw_decode
