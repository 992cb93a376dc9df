"""Where a function runs: a handler's module, cold and warm environments, environment variables."""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_msk import LambdaFunction, NotSupported, VirtualClock
from pytest_msk.clock import Deadline
from pytest_msk.functions.log import current_log
from pytest_msk.functions.surroundings import _gate

PAYLOAD = b"{}"


def wait_for(condition):
    deadline, pause = Deadline(30), threading.Event()
    while not condition():
        assert not deadline.passed
        pause.wait(0.001)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Writes a project's files and puts it on the path; its modules are forgotten after the test."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)

    def write(**files: str) -> None:
        for name, text in files.items():
            path = tmp_path / (name.replace("__", "/") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.parent != tmp_path:
                (path.parent / "__init__.py").touch()
            path.write_text(text, encoding="utf-8")

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


COUNTING = "calls = []\ndef handler(event, context):\n    calls.append(context.aws_request_id)\n    return len(calls)\n"


def test_a_handler_is_imported_by_the_first_call_and_stays_warm(project):
    project(orders__app=COUNTING)
    function = LambdaFunction("orders.app.handler")
    assert (function.name, function.handler, function.module) == ("orders-app-handler", None, None)
    assert "orders.app" not in sys.modules
    first, second = function.invoke(PAYLOAD), function.invoke(PAYLOAD)
    assert [(i.result, i.cold_start) for i in (first, second)] == [(1, True), (2, False)]
    assert function.module is sys.modules["orders.app"]
    assert function.handler is function.module.handler
    assert function.module.calls == [first.request_id, second.request_id]


def test_a_folder_may_stand_in_a_handlers_name(project):
    project(orders__app=COUNTING)
    assert LambdaFunction("orders/app.handler").invoke(PAYLOAD).result == 1


@pytest.mark.parametrize(
    ("files", "handler", "text"),
    [
        ({}, "gone.handler", "Runtime.ImportModuleError: Unable to import module 'gone': No module named 'gone'"),
        (
            {"app": "import not_installed"},
            "app.handler",
            "Runtime.ImportModuleError: Unable to import module 'app': No module named 'not_installed'",
        ),
        ({"app": ""}, "app.handler", "Runtime.HandlerNotFound: Handler 'handler' missing on module 'app'"),
        ({"app": "1 +"}, "app.handler", "Runtime.UserCodeSyntaxError: Syntax error in module 'app': invalid syntax"),
        ({}, "time.handler", "Runtime.BuiltInModuleConflict: Cannot use built-in module time as a handler module"),
        ({"app": "raise LookupError('no table')"}, "app.handler", "LookupError: no table"),
        ({"app": "exit(3)"}, "app.handler", "Runtime.ExitError: Runtime exited with error: exit status 3"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.endswith("handler") else "",
)
def test_an_environment_that_does_not_start_is_a_function_error(project, files, handler, text):
    project(**files)
    function = LambdaFunction(handler)
    invocation = function.invoke(PAYLOAD)
    assert str(invocation.error).startswith(text)
    assert invocation.cold_start
    assert function.invoke(PAYLOAD).cold_start, "the next call tries again"


def test_an_import_error_tells_where_it_arose(project, tmp_path):
    project(app="import json\nimport not_installed")
    error = LambdaFunction("app.handler").invoke(PAYLOAD).error
    assert error.location() == f"{tmp_path / 'app.py'}:2"


@pytest.mark.parametrize("name", ["handler", "", "app.", ".handler", "app handler.x", "app:handler"])
def test_what_is_no_handlers_name_is_refused(name):
    with pytest.raises(ValueError, match=r"is no handler's name, 'package\.module\.handler', and no URL\.$"):
        LambdaFunction(name)


# --- a new environment


def test_a_new_environment_imports_the_project_anew_and_leaves_the_tests_modules_alone(project):
    project(
        orders__app="from orders import state\nimport settings, json\n" + COUNTING,
        orders__state="seen = []",
        settings="",
        unrelated="",
    )
    app, unrelated = importlib.import_module("orders.app"), importlib.import_module("unrelated")
    function = LambdaFunction("orders.app.handler")
    assert function.invoke(PAYLOAD).result == 1
    function.new_environment()
    before = dict(sys.modules)
    again = function.invoke(PAYLOAD)
    assert (again.result, again.cold_start) == (1, True)
    assert sys.modules == before
    assert sys.modules["orders.app"] is app
    assert app.calls == [function.invocations[0].request_id]
    assert function.module is not app
    assert function.module.state is not app.state
    assert function.module.settings is not app.settings
    assert function.module.json is app.json
    assert sys.modules["unrelated"] is unrelated
    assert function.invoke(PAYLOAD).result == 2, "it is warm now"


def test_new_modules_stand_in_their_place_while_the_function_runs(project):
    project(app="import sys, state\ndef handler(event, context):\n    return sys.modules['state'] is state\n", state="")
    function = LambdaFunction("app.handler")
    for _ in range(2):
        assert function.invoke(PAYLOAD).result is True
        function.new_environment()
    assert sys.modules["state"] is not function.module.state


def test_an_environment_that_cannot_start_anew_leaves_all_as_it_was(project, tmp_path):
    project(app=COUNTING, state="")
    function = LambdaFunction("app.handler")
    function.invoke(PAYLOAD)
    (tmp_path / "app.py").write_text("import state\nraise LookupError('no more')", encoding="utf-8")
    os.utime(tmp_path / "app.py", (2_000_000_000, 2_000_000_000))
    importlib.invalidate_caches()
    before = dict(sys.modules)
    function.new_environment()
    assert str(function.invoke(PAYLOAD).error) == "LookupError: no more"
    assert sys.modules == before


def test_a_new_environment_before_the_first_call_imports_anew_too(project):
    project(orders__app=COUNTING)
    app = importlib.import_module("orders.app")
    app.calls.append("the test's own")
    function = LambdaFunction("orders.app.handler")
    function.new_environment()
    assert function.invoke(PAYLOAD).result == 1
    assert (len(app.calls), sys.modules["orders.app"]) == (1, app)


def test_a_new_environment_of_a_project_that_was_not_imported_is_an_import_as_ever(project):
    project(orders__app=COUNTING)
    function = LambdaFunction("orders.app.handler")
    function.new_environment()
    function.invoke(PAYLOAD)
    assert sys.modules["orders.app"] is function.module
    assert function._environment.wanted is None, "it need not wait for others"


READS_A_VARIABLE = "import os\ntable = os.environ.get('TABLE')\ndef handler(event, context):\n    return table\n"


def test_a_function_with_variables_does_not_take_a_module_that_has_read_others(project, monkeypatch):
    project(shop__config=READS_A_VARIABLE)
    monkeypatch.setenv("TABLE", "the test's")
    tests_own = importlib.import_module("shop.config")
    a, b = (LambdaFunction("shop.config.handler", environment={"TABLE": table}) for table in "AB")
    assert [function.invoke(PAYLOAD).result for function in (a, b, a, b)] == ["A", "B", "A", "B"]
    assert [i.cold_start for i in (*a.invocations, *b.invocations)] == [True, False] * 2
    assert sys.modules["shop.config"] is tests_own
    assert LambdaFunction("shop.config.handler").invoke(PAYLOAD).result == "the test's"


def test_the_first_function_imports_for_all_and_one_with_other_variables_for_itself(project):
    project(shop__config=READS_A_VARIABLE)
    a, b = (LambdaFunction("shop.config.handler", environment={"TABLE": table}) for table in "AB")
    assert [function.invoke(PAYLOAD).result for function in (a, b, a)] == ["A", "B", "A"]
    assert sys.modules["shop.config"] is a.module
    assert LambdaFunction("shop.config.handler").invoke(PAYLOAD).result == "A", "it takes what is there"


@pytest.mark.parametrize("settings", ["shop.settings", "settings"])
def test_a_neighbour_that_has_read_other_variables_is_imported_anew_too(project, settings):
    project(shop__app=f"from {settings} import handler\n", **{settings.replace(".", "__"): READS_A_VARIABLE})
    tests_own = importlib.import_module(settings)
    function = LambdaFunction("shop.app.handler", environment={"TABLE": "A"})
    assert function.invoke(PAYLOAD).result == "A"
    assert sys.modules[settings] is tests_own
    assert "shop.app" not in sys.modules, "it belongs to the function, as its neighbour does"


def test_a_warm_function_keeps_its_module_after_a_timeout(project):
    project(orders__app=COUNTING)
    importlib.import_module("orders.app")
    function = LambdaFunction("orders.app.handler", environment={"TABLE": "A"})
    function.invoke(PAYLOAD)
    function._environment.end()
    again = function.invoke(PAYLOAD)
    assert (again.result, again.cold_start) == (2, True)


def test_a_module_that_was_made_by_hand_stays(monkeypatch):
    module = types.ModuleType("made_by_hand")
    module.handler = lambda event, context: "here"
    monkeypatch.setitem(sys.modules, "made_by_hand", module)
    function = LambdaFunction("made_by_hand.handler", environment={"TABLE": "A"})
    assert (function.invoke(PAYLOAD).result, function.module) == ("here", module)


def test_the_standard_library_is_never_imported_anew():
    before = dict(sys.modules)
    function = LambdaFunction("json.decoder.JSONDecodeError", environment={"TABLE": "A"})
    function.invoke(PAYLOAD)
    assert sys.modules == before
    assert function.module is json.decoder


def test_a_callable_has_no_new_environment_of_its_own():
    function = LambdaFunction(lambda event, context: None)
    with pytest.raises(NotSupported, match=r"or say with on_cold_start what is to be cleared\.$"):
        function.new_environment()


def test_the_hook_is_called_when_an_environment_starts():
    clock, seen, started = VirtualClock(0), [], []

    def handler(event, context):
        seen.append(context.log_stream_name)
        if len(seen) == 3:
            clock.advance(60)
        if len(seen) == 4:
            sys.exit(1)
        return len(seen)

    function = LambdaFunction(handler, on_cold_start=lambda: started.append(len(seen)))
    for _ in range(5):
        function.invoke(PAYLOAD, clock)
    assert started == [0, 3, 4], "at first, after the timeout, after the exit"
    assert [i.cold_start for i in function.invocations] == [True, False, False, True, True]
    assert len(set(seen[:3])) == 1
    assert len(set(seen)) == 3, "each environment has a log stream of its own"
    function.new_environment()
    function.invoke(PAYLOAD, clock)
    assert started == [0, 3, 4, 5]


def test_a_hook_that_fails_fails_the_call():
    def hook():
        raise ConnectionError("no database")

    called = []
    function = LambdaFunction(lambda event, context: called.append(1), on_cold_start=hook)
    assert str(function.invoke(PAYLOAD).error) == "ConnectionError: no database"
    assert called == []


def test_the_start_does_not_count_against_the_timeout():
    clock = VirtualClock(0)
    function = LambdaFunction(
        lambda event, context: context.get_remaining_time_in_millis(), on_cold_start=lambda: clock.advance(9)
    )
    invocation = function.invoke(PAYLOAD, clock)
    assert (invocation.result, invocation.started_ms, invocation.duration) == (3_000, 9_000, 0)


# --- environment variables


def test_variables_are_set_during_the_call_and_put_back(monkeypatch):
    monkeypatch.setenv("TABLE", "the test's")
    monkeypatch.delenv("STAGE", raising=False)
    names = ("TABLE", "STAGE", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
    seen = []

    def handler(event, context):
        seen.append([os.environ.get(name) for name in names])
        os.environ["STAGE"] = "changed"

    before = dict(os.environ)
    LambdaFunction(handler, name="charge", environment={"TABLE": "orders", "STAGE": ""}).invoke(PAYLOAD)
    assert seen == [["orders", "", "charge", "128"]]
    assert dict(os.environ) == before


@pytest.mark.parametrize(
    ("name", "region"),
    [
        ("charge", "us-east-1"),
        ("arn:aws-cn:lambda:cn-north-1:999999999999:function:charge", "cn-north-1"),
        ("999999999999:function:charge", "us-east-1"),
    ],
)
def test_the_region_is_that_of_the_functions_arn(name, region, monkeypatch):
    for variable in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(variable, raising=False)

    def handler(event, context):
        import boto3

        return [os.environ["AWS_REGION"], boto3.session.Session().region_name]

    function = LambdaFunction(handler, name=name, environment={"TABLE": "orders"})
    assert function.invoke(PAYLOAD).result == [region, region]
    assert "AWS_REGION" not in os.environ


def test_variables_are_set_when_the_module_is_imported_and_when_it_fails(project, monkeypatch):
    monkeypatch.delenv("TABLE", raising=False)
    project(app="import os\ntable = os.environ['TABLE']\ndef handler(event, context):\n    raise LookupError(table)\n")
    function = LambdaFunction("app.handler", environment={"TABLE": "orders"})
    assert str(function.invoke(PAYLOAD).error) == "LookupError: orders"
    assert "TABLE" not in os.environ


def test_without_an_environment_no_variable_is_set():
    before = dict(os.environ)
    seen = []
    LambdaFunction(lambda event, context: seen.append(dict(os.environ))).invoke(PAYLOAD)
    assert seen == [before]


@pytest.mark.parametrize("environment", [{"A": 1}, {1: "a"}], ids=repr)
def test_variables_are_text(environment):
    with pytest.raises(TypeError, match="an environment variable is text"):
        LambdaFunction(lambda event, context: None, environment=environment)


@given(st.lists(st.sampled_from(["a", "b", None]), min_size=2, max_size=8))
def test_overlapping_calls_see_their_own_variables(values):
    """Calls in threads, each with the value that its function has, or none."""
    calls = 5
    wrong = []

    def function(value: str | None) -> LambdaFunction:
        def handler(event, context):
            seen = {os.environ.get("PYTEST_MSK_TEST_VALUE") for _ in range(20)}
            wrong.extend((value, found) for found in seen - {value})

        return LambdaFunction(handler, environment=value and {"PYTEST_MSK_TEST_VALUE": value})

    functions = {value: function(value) for value in set(values)}
    threads = [
        threading.Thread(target=lambda value=value: [functions[value].invoke(PAYLOAD) for _ in range(calls)])
        for value in values
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert wrong == []
    assert sum(len(f.invocations) for f in functions.values()) == calls * len(values)
    assert "PYTEST_MSK_TEST_VALUE" not in os.environ


def test_calls_with_the_same_variables_run_side_by_side():
    both = threading.Barrier(2, timeout=30)
    function = LambdaFunction(lambda event, context: both.wait() * 0, environment={"A": "1"})
    threads = [threading.Thread(target=function.invoke, args=(PAYLOAD,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [i.error for i in function.invocations] == [None, None]


def test_a_function_may_call_another_one_with_other_variables():
    inner = LambdaFunction(lambda event, context: os.environ["A"], environment={"A": "inner"})

    def call(event, context):
        return [os.environ["A"], inner.invoke(PAYLOAD).result, os.environ["A"]]

    assert LambdaFunction(call, environment={"A": "outer"}).invoke(PAYLOAD).result == ["outer", "inner", "outer"]


def test_the_wait_for_other_variables_does_not_count_against_the_timeout():
    clock, inside = VirtualClock(0), threading.Event()

    def slow(event, context):
        inside.set()
        held.acquire(timeout=30)
        clock.advance(60)

    held = threading.Semaphore(0)
    first = LambdaFunction(slow, environment={"A": "1"}, timeout=900)
    second = LambdaFunction(lambda event, context: context.get_remaining_time_in_millis(), environment={"A": "2"})
    second.invoke(PAYLOAD, clock)  # it is warm
    threads = [threading.Thread(target=first.invoke, args=(PAYLOAD, clock))]
    threads[0].start()
    assert inside.wait(30)
    threads.append(threading.Thread(target=second.invoke, args=(PAYLOAD, clock)))
    threads[1].start()
    wait_for(lambda: _gate._waiting == 1)
    held.release()
    for thread in threads:
        thread.join(30)
    waited = second.invocations[1]
    assert (waited.error, waited.result, waited.duration, waited.started_ms) == (None, 3_000, 0, 60_000)


def test_nobody_overtakes_a_call_that_waits_for_its_variables():
    order, inside, held = [], threading.Event(), threading.Semaphore(0)

    def handler(event, context):
        if not order:
            order.append("first")
            inside.set()
            held.acquire(timeout=30)
        else:
            order.append(context.function_name)

    functions = [
        LambdaFunction(handler, name=n, environment={"A": "1"} if n == "b" else None) for n in ("a1", "b", "a2")
    ]
    threads = []
    for waiting, function in enumerate(functions):
        wait_for(lambda waiting=waiting: _gate._waiting == max(0, waiting - 1))
        threads.append(threading.Thread(target=function.invoke, args=(PAYLOAD,)))
        threads[-1].start()
        assert inside.wait(30)
    wait_for(lambda: _gate._waiting == 2)
    assert order == ["first"], "a2 wants what a1 has, and waits behind b"
    held.release()
    for thread in threads:
        thread.join(30)
    assert sorted(order) == ["a2", "b", "first"]


def test_ctrl_c_while_a_call_waits_for_its_variables_leaves_nothing_behind(monkeypatch):
    function = LambdaFunction(lambda event, context: print("logged"), environment={"A": "1"})

    def interrupted(wanted):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_gate, "enter", interrupted)
        with pytest.raises(KeyboardInterrupt):
            function.invoke(PAYLOAD)
    assert current_log.get() is None
    assert function.invoke(PAYLOAD).log == "logged\n"


@pytest.mark.parametrize("environment", [{"": "x"}, {"A=B": "x"}, {"A\0": "x"}, {"A": "x\0"}])
def test_variables_are_those_that_a_process_can_have(environment):
    with pytest.raises(ValueError, match=r"^environment\[.*: no process can have such a variable\.$"):
        LambdaFunction(lambda event, context: None, environment=environment)


def test_a_start_that_fails_late_is_told_as_what_it_is():
    clock = VirtualClock(0)

    def start():
        clock.advance(10)
        raise LookupError("no table")

    invocation = LambdaFunction(lambda event, context: None, on_cold_start=start).invoke(PAYLOAD, clock)
    assert str(invocation.error) == "LookupError: no table"


@pytest.mark.parametrize(
    "reserved", [["AWS_REGION"], ["_HANDLER", "AWS_SESSION_TOKEN"], ["LAMBDA_TASK_ROOT"], ["AWS_LAMBDA_FUNCTION_NAME"]]
)
def test_variables_that_lambda_reserves_are_refused_with_its_text(reserved):
    with pytest.raises(ValueError, match="Lambda was unable") as raised:
        LambdaFunction(lambda event, context: None, environment={"TABLE": "orders"} | dict.fromkeys(reserved, "x"))
    assert str(raised.value) == (
        "Lambda was unable to configure your environment variables because the environment variables you have provided "
        "contains reserved keys that are currently not supported for modification. Reserved keys used in this request: "
        + ", ".join(reserved)
    )


@pytest.mark.parametrize("variable", ["AWS_LAMBDA_EXEC_WRAPPER", "AWS_ENDPOINT_URL", "TZ", "POWERTOOLS_SERVICE_NAME"])
def test_variables_that_lambda_lets_one_set_are_taken(variable):
    function = LambdaFunction(lambda event, context: os.environ[variable], environment={variable: "x"})
    assert function.invoke(PAYLOAD).result == "x"


def test_variables_come_in_a_dict():
    with pytest.raises(TypeError, match=r"^environment=\['A=1'\]: a dict of names and values\.$"):
        LambdaFunction(lambda event, context: None, environment=["A=1"])
