"""Calling a handler as Lambda's Python runtime does, and judging what it does."""

from __future__ import annotations

import bdb
import functools
import json
import sys
from decimal import Decimal
from unittest.mock import Mock

import pytest

from pytest_msk import LambdaContext, LambdaFunction, VirtualClock
from pytest_msk.functions import FunctionError, Invocation

PAYLOAD = b'{"eventSource":"aws:kafka","records":{"t-0":[]}}'


def handle(event, context):
    return {"done": True}


def invoke(handler, **settings) -> Invocation:
    return LambdaFunction(handler, **settings).invoke(PAYLOAD, VirtualClock(0))


def test_a_handler_that_returns_has_succeeded():
    invocation = invoke(handle)
    assert (invocation.result, invocation.error) == ({"done": True}, None)


def test_each_call_gets_an_event_of_its_own():
    seen = []

    def spoil(event, context):
        seen.append(json.dumps(event))
        event["records"].clear()

    function = LambdaFunction(spoil)
    for _ in range(2):
        assert function.invoke(PAYLOAD, VirtualClock(0)).error is None
    assert [json.loads(text) for text in seen] == [json.loads(PAYLOAD)] * 2


def test_the_context_is_that_of_lambdas_python_runtime():
    contexts: list[LambdaContext] = []
    function = LambdaFunction(lambda event, context: contexts.append(context), name="charge", memory_size=512)
    first, second = function.invoke(PAYLOAD, VirtualClock(0)), function.invoke(PAYLOAD, VirtualClock(0))
    context = contexts[0]
    assert context.function_name == "charge"
    assert context.function_version == "$LATEST"
    assert context.invoked_function_arn == function.arn == "arn:aws:lambda:us-east-1:123456789012:function:charge"
    assert context.memory_limit_in_mb == "512"
    assert context.log_group_name == "/aws/lambda/charge"
    assert "[$LATEST]" in context.log_stream_name
    assert (context.identity, context.client_context) == (None, None)
    assert [c.aws_request_id for c in contexts] == [first.request_id, second.request_id]
    assert first.request_id != second.request_id


def test_the_remaining_time_follows_the_mappings_clock():
    clock, remaining = VirtualClock(5_000), []

    def slow(event, context):
        remaining.append(context.get_remaining_time_in_millis())
        clock.advance(2.5)
        remaining.append(context.get_remaining_time_in_millis())
        clock.advance(60)
        remaining.append(context.get_remaining_time_in_millis())

    LambdaFunction(slow, timeout=10).invoke(PAYLOAD, clock)
    assert remaining == [10_000, 7_500, 0]


def test_a_call_may_last_as_long_as_the_timeout_and_no_longer():
    clock = VirtualClock(0)

    def slow(event, context):
        clock.advance(seconds)
        return "a result"

    function = LambdaFunction(slow, timeout=2.5)
    seconds = 2.5
    assert function.invoke(PAYLOAD, clock).error is None
    seconds = 2.501
    invocation = function.invoke(PAYLOAD, clock)
    assert invocation.error == FunctionError(type="Sandbox.Timedout", message="Task timed out after 2.50 seconds")
    assert invocation.result is None


def test_a_timeout_hides_the_exception_that_came_after_it():
    clock = VirtualClock(0)

    def slow(event, context):
        clock.advance(901)
        raise ValueError("too late")

    error = LambdaFunction(slow).invoke(PAYLOAD, clock).error
    assert str(error) == "Sandbox.Timedout: Task timed out after 840.00 seconds"


def test_an_exception_is_the_functions_error_and_tells_where():
    def fail(event, context):
        raise LookupError("no such order")

    error = invoke(fail).error
    assert str(error) == "LookupError: no such order"
    assert isinstance(error.exception, LookupError)
    assert error.location() == f"{__file__}:{fail.__code__.co_firstlineno + 1}"


def test_an_error_without_a_text_is_named_by_its_type():
    def fail(event, context):
        raise LookupError

    assert str(invoke(fail).error) == "LookupError"


def test_an_error_that_no_code_raised_has_no_place():
    assert FunctionError(type="Sandbox.Timedout", message="late").location() is None


@pytest.mark.parametrize("code", [0, 3, None])
def test_leaving_the_process_is_a_function_error(code):
    error = invoke(lambda event, context: sys.exit(code)).error
    assert (error.type, error.message) == ("Runtime.ExitError", f"Runtime exited with code {code!r}.")


@pytest.mark.parametrize(
    "outcome",
    [
        KeyboardInterrupt(),
        pytest.fail.Exception("no"),
        pytest.skip.Exception("no"),
        pytest.exit.Exception("no"),
        bdb.BdbQuit(),
    ],
    ids=lambda outcome: type(outcome).__name__,
)
def test_what_ends_the_test_is_no_function_error(outcome):
    def end(event, context):
        raise outcome

    with pytest.raises(type(outcome)) as raised:
        invoke(end)
    assert raised.value is outcome


class Opaque:
    pass


@pytest.mark.parametrize(
    "result",
    [
        None,
        "text",
        1,
        1.5,
        True,
        [1, (2, 3)],
        {"a": {"b": None}},
        {1: "int", None: "null"},
        Decimal("1.5"),
        float("nan"),
    ],
    ids=repr,
)
def test_a_result_that_lambda_can_serialize_is_a_success(result):
    invocation = invoke(lambda event, context: result)
    assert invocation.error is None
    assert invocation.result is result


def circle() -> list:
    found: list = []
    found.append(found)
    return found


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (b"bytes", "Unable to marshal response: Object of type bytes is not JSON serializable"),
        ({"a": {1, 2}}, "Unable to marshal response: Object of type set is not JSON serializable"),
        (Opaque(), "Unable to marshal response: Object of type Opaque is not JSON serializable"),
        (circle(), "Unable to marshal response: Circular reference detected"),
        ({(1, 2): 3}, "Unable to marshal response: keys must be str, int, float, bool or None, not tuple"),
        ("\ud800", "Unable to marshal response: 'utf-8' codec can't encode character '\\ud800'"),
    ],
    ids=["bytes", "set", "object", "circle", "key", "surrogate"],
)
def test_a_result_that_lambda_cannot_serialize_is_a_function_error(result, text):
    invocation = invoke(lambda event, context: result)
    assert invocation.error.type == "Runtime.MarshalError"
    assert invocation.error.message.startswith(text)
    assert invocation.result is None


def test_a_result_that_is_nested_too_deeply_is_a_function_error():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    assert invoke(lambda event, context: deep).error.type == "Runtime.MarshalError"


def test_the_name_is_the_handlers_made_legal():
    assert LambdaFunction(handle).name == "handle"
    assert LambdaFunction(lambda event, context: None).name == "-lambda-"
    assert LambdaFunction(functools.partial(handle)).name == "partial"
    assert LambdaFunction(handle, name="orders_v2").name == "orders_v2"
    handler = Mock()
    handler.__name__ = "größe." + "x" * 80
    assert LambdaFunction(handler).name == "gr--e-" + "x" * 58


def test_a_functions_repr_names_it():
    assert repr(LambdaFunction(handle)) == "LambdaFunction('handle')"


@pytest.mark.parametrize("timeout", [0.001, 840])
def test_a_timeout_within_lambdas_bounds_is_taken(timeout):
    assert LambdaFunction(handle, timeout=timeout).timeout == timeout


@pytest.mark.parametrize("timeout", [0, -1, 840.001, float("nan")])
def test_a_timeout_outside_lambdas_bounds_is_refused(timeout):
    with pytest.raises(ValueError, match="more than 0 and at most 840") as raised:
        LambdaFunction(handle, timeout=timeout)
    assert str(raised.value).startswith(f"timeout={timeout!r}:")


async def wait(event, context):
    raise AssertionError("never awaited")


@pytest.mark.parametrize("handler", [wait, functools.partial(wait)], ids=["async def", "partial of async def"])
def test_an_async_handler_is_refused(handler):
    with pytest.raises(
        TypeError, match=r"is async, which Lambda's Python runtime never awaits: give a plain function\."
    ):
        LambdaFunction(handler)


@pytest.mark.parametrize("handler", ["app.handler", None, {}])
def test_what_cannot_be_called_is_refused(handler):
    with pytest.raises(TypeError) as raised:
        LambdaFunction(handler)
    assert str(raised.value) == f"A function is a handler called with (event, context), not {handler!r}."


def test_a_handler_that_does_not_take_two_arguments_is_refused():
    def lonely(event):
        raise AssertionError("never called")

    with pytest.raises(TypeError) as raised:
        LambdaFunction(lonely)
    assert str(raised.value) == f"A handler is called with (event, context), but {lonely!r} takes (event)."


@pytest.mark.parametrize(
    "handler",
    [
        lambda *arguments: None,
        lambda event, context, retries=3: None,
        lambda event, _=None: None,
        Mock(return_value=None),
    ],
    ids=["any", "more", "optional", "mock"],
)
def test_a_handler_that_takes_two_arguments_in_its_own_way_is_called(handler):
    assert invoke(handler).error is None
