"""Calling a handler as Lambda's Python runtime does, and judging what it does."""

from __future__ import annotations

import bdb
import functools
import json
import math
import re
import sys
import uuid
import warnings
from decimal import Decimal
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    assert re.fullmatch(r"1970/01/01/\[\$LATEST\][0-9a-f]{32}", context.log_stream_name)
    assert contexts[1].log_stream_name == context.log_stream_name, "one environment, one stream"
    assert (context.identity.cognito_identity_id, context.identity.cognito_identity_pool_id) == (None, None)
    assert (context.client_context, context.tenant_id) == (None, None)
    assert [c.aws_request_id for c in contexts] == [first.request_id, second.request_id]
    assert first.request_id != second.request_id
    assert uuid.UUID(first.request_id).version == 4


@pytest.mark.parametrize(
    ("settings", "version", "arn"),
    [
        ({}, "$LATEST", "function:charge"),
        ({"version": "7"}, "7", "function:charge:7"),
        ({"version": "7", "alias": "live"}, "7", "function:charge:live"),
        ({"alias": "live"}, "$LATEST", "function:charge:live"),
        ({"name": "charge:live"}, "$LATEST", "function:charge:live"),
        ({"name": "charge:7"}, "7", "function:charge:7"),
        ({"name": "charge:$LATEST"}, "$LATEST", "function:charge"),
        ({"name": "myfunction:7"}, "7", "function:myfunction:7"),
    ],
    ids=str,
)
def test_version_and_alias_are_in_the_context(settings, version, arn):
    contexts: list[LambdaContext] = []
    LambdaFunction(lambda event, context: contexts.append(context), **{"name": "charge", **settings}).invoke(PAYLOAD)
    (context,) = contexts
    assert context.function_version == version
    assert context.invoked_function_arn == f"arn:aws:lambda:us-east-1:123456789012:{arn}"
    assert f"/[{version}]" in context.log_stream_name


def test_an_arn_is_a_name():
    arn = "arn:aws-cn:lambda:cn-north-1:999999999999:function:charge:live"
    function = LambdaFunction(handle, name=arn)
    assert (function.name, function.alias, function.arn) == ("charge", "live", arn)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"memory_size": 127}, "memory_size=127: megabytes, 128 to 10,240."),
        ({"memory_size": 10_241}, "memory_size=10241: megabytes, 128 to 10,240."),
        ({"version": "live"}, "version='live': '$LATEST' or a number, as text."),
        ({"alias": "7"}, "alias='7': letters, digits, '-' and '_', at most 128, and not only digits."),
        ({"alias": "a b"}, "alias='a b': letters, digits, '-' and '_', at most 128, and not only digits."),
        ({"name": ""}, "name='': a function has a name."),
        ({"real_time_limit": 0}, "real_time_limit=0: seconds, more than 0."),
    ],
    ids=str,
)
def test_settings_that_lambda_refuses_are_refused(settings, text):
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - its text is compared whole
        LambdaFunction(handle, **settings)
    assert str(raised.value) == text


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"timeout": "30"}, "timeout='30': a number of seconds, not str."),
        ({"timeout": None}, "timeout=None: a number of seconds, not NoneType."),
        ({"timeout": True}, "timeout=True: a number of seconds, not bool."),
        ({"memory_size": "512"}, "memory_size='512': a whole number of megabytes, not str."),
        ({"memory_size": 512.5}, "memory_size=512.5: a whole number of megabytes, not float."),
        ({"real_time_limit": "1"}, "real_time_limit='1': a number of seconds, not str."),
        ({"version": 7}, "version=7: '$LATEST' or a number, as text, not int."),
        ({"alias": 7}, "alias=7: a name, as text, not int."),
        ({"name": 7}, "name=7: a function's name or ARN, as text, not int."),
        ({"on_cold_start": "app.reset"}, "on_cold_start='app.reset': a callable, not str."),
    ],
    ids=str,
)
def test_settings_of_another_type_are_refused_with_a_sentence(settings, text):
    with pytest.raises(TypeError) as raised:
        LambdaFunction(handle, **settings)
    assert str(raised.value) == text


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

    error = LambdaFunction(slow, timeout=900).invoke(PAYLOAD, clock).error
    assert str(error) == "Sandbox.Timedout: Task timed out after 900.00 seconds"


def test_the_timeout_is_three_seconds_unless_it_is_set():
    clock = VirtualClock(0)
    error = LambdaFunction(lambda event, context: clock.advance(3.001)).invoke(PAYLOAD, clock).error
    assert str(error) == "Sandbox.Timedout: Task timed out after 3.00 seconds"


def test_an_invocation_tells_when_it_began_and_how_long_it_took():
    clock = VirtualClock(7_000)
    invocation = LambdaFunction(lambda event, context: clock.advance(1.25)).invoke(PAYLOAD, clock)
    assert (invocation.started_ms, invocation.duration) == (7_000, 1.25)


def test_an_exception_is_the_functions_error_and_tells_where():
    def fail(event, context):
        raise LookupError("no such order")

    error = invoke(fail).error
    assert str(error) == "LookupError: no such order"
    assert isinstance(error.exception, LookupError)
    line = fail.__code__.co_firstlineno + 1
    frame = f'  File "{__file__}", line {line}, in fail\n    raise LookupError("no such order")\n'
    assert error.payload("id-1") == {
        "errorMessage": "no such order",
        "errorType": "LookupError",
        "requestId": "id-1",
        "stackTrace": [frame],
    }
    assert error.location() == f"{__file__}:{fail.__code__.co_firstlineno + 1}"


def test_an_error_without_a_text_is_named_by_its_type():
    def fail(event, context):
        raise LookupError

    assert str(invoke(fail).error) == "LookupError"


def test_an_error_that_no_code_raised_has_no_place():
    assert FunctionError(type="Sandbox.Timedout", message="late").location() is None


def test_an_error_whose_text_fails_is_an_error_all_the_same():
    class Mute(Exception):
        def __str__(self):
            raise ValueError("no text")

    def fail(event, context):
        raise Mute

    assert str(invoke(fail).error) == "Mute: <its text raised ValueError>"


def test_each_place_that_fails_has_its_own_stack_trace():
    lines = iter([1, 2, 1])

    def fail(event, context):
        if next(lines) == 1:
            raise ValueError("one")
        raise ValueError("two")

    function = LambdaFunction(fail)
    first, second, third = (function.invoke({}).error.stack_trace for _ in range(3))
    assert first == third != second
    assert [trace[-1].splitlines()[1].strip() for trace in (first, second)] == [
        'raise ValueError("one")',
        'raise ValueError("two")',
    ]


def test_a_stack_trace_keeps_its_innermost_frames():
    def deeper(event, context):
        deeper(event, context)

    error = invoke(deeper).error
    assert error.type == "RecursionError"
    assert error.stack_trace[-1] == "  [Previous line repeated 97 more times]\n"


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0, "Runtime exited without providing a reason"),
        (None, "Runtime exited without providing a reason"),
        (3, "Runtime exited with error: exit status 3"),
        (True, "Runtime exited with error: exit status 1"),
        (-1, "Runtime exited with error: exit status 255"),
        ("a text", "Runtime exited with error: exit status 1"),
    ],
    ids=repr,
)
def test_leaving_the_process_is_a_function_error(code, text):
    error = invoke(lambda event, context: sys.exit(code)).error
    assert (error.type, error.message) == ("Runtime.ExitError", text)
    assert error.payload("id-1") == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: id-1 Error: {text}",
    }


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
    ("result", "read"),
    [
        (None, None),
        ("größe", "größe"),
        (1, 1),
        (1.5, 1.5),
        (True, True),
        ([1, (2, 3)], [1, [2, 3]]),
        ({"a": {"b": None}}, {"a": {"b": None}}),
        ({1: "int", None: "null"}, {"1": "int", "null": "null"}),
        (Decimal("1.5"), 1.5),
        (Decimal(12345678901234567890), 12345678901234567890),
        (Decimal("Infinity"), float("inf")),
        (float("inf"), float("inf")),
    ],
    ids=repr,
)
def test_a_result_is_what_its_json_reads(result, read):
    invocation = invoke(lambda event, context: result)
    assert invocation.error is None
    assert invocation.result == read
    assert json.loads(invocation.payload) == read


@pytest.mark.parametrize("value", [float("nan"), Decimal("NaN"), Decimal("sNaN")], ids=repr)
def test_what_is_no_number_is_taken_as_lambda_takes_it(value):
    invocation = invoke(lambda event, context: value)
    assert invocation.error is None
    assert math.isnan(invocation.result)


json_results = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=10,
)


@given(json_results)
def test_any_json_is_a_result_and_is_recorded(result):
    function = LambdaFunction(lambda event, context: result)
    invocation = function.invoke(PAYLOAD, VirtualClock(0))
    assert invocation.error is None
    assert invocation.result == result
    assert function.invocations[0] == invocation


@given(json_results, st.sampled_from([b"x", {1}, object(), 1j, range(3)]))
def test_what_json_cannot_say_fails_wherever_it_stands(result, wrong):
    for returned in ([result, wrong], {"a": result, "b": [wrong]}):
        assert invoke(lambda event, context, returned=returned: returned).error.type == "Runtime.MarshalError"


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
    assert invocation.error.stack_trace == ()
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


@pytest.mark.parametrize("timeout", [0.001, 900])
def test_a_timeout_within_lambdas_bounds_is_taken(timeout):
    assert LambdaFunction(handle, timeout=timeout).timeout == timeout


@pytest.mark.parametrize("timeout", [0, -1, 900.001, float("nan")])
def test_a_timeout_outside_lambdas_bounds_is_refused(timeout):
    with pytest.raises(ValueError, match="more than 0 and at most 900") as raised:
        LambdaFunction(handle, timeout=timeout)
    assert str(raised.value).startswith(f"timeout={timeout!r}:")


async def wait(event, context):
    raise AssertionError("never awaited")


class Waiting:
    async def __call__(self, event, context):
        raise AssertionError("never awaited")


@pytest.mark.parametrize(
    "handler",
    [wait, functools.partial(wait), Waiting(), lambda event, context: wait(event, context)],
    ids=["async def", "partial", "object", "forgotten await"],
)
def test_an_async_handler_is_a_function_error_with_a_hint(handler):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        error = invoke(handler).error
    assert caught == [], "the coroutine is closed"
    name = "__call__" if isinstance(handler, Waiting) else "wait"
    assert (error.type, error.message) == (
        "Runtime.MarshalError",
        "Unable to marshal response: Object of type coroutine is not JSON serializable (the handler is "
        f"`async def {name}`, and Lambda's Python runtime awaits nothing: give it a plain function that calls "
        "asyncio.run)",
    )


@pytest.mark.parametrize("target", [None, {}, 5], ids=repr)
def test_what_cannot_be_called_is_refused(target):
    with pytest.raises(TypeError) as raised:
        LambdaFunction(target)
    assert str(raised.value) == (
        "A function is a handler called with (event, context), a handler's name, a boto3 Lambda client or a URL, "
        f"not {target!r}."
    )


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
