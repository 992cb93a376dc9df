"""What a function prints and logs, noted beside what pytest captures."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import sys
import threading

from hypothesis import given
from hypothesis import strategies as st

from pytest_msk import LambdaFunction, VirtualClock
from pytest_msk.functions.log import Log

PAYLOAD = b"{}"
CLOCK_MS = 1_790_000_000_123


def logged(handler) -> str:
    return LambdaFunction(handler).invoke(PAYLOAD, VirtualClock(CLOCK_MS)).log


def test_what_is_printed_is_in_the_log_and_pytest_has_it_too(capsys):
    def handler(event, context):
        print("to stdout")
        print("to stderr", file=sys.stderr)
        sys.stdout.writelines(["two ", "pieces\n"])
        context.log("by the context")

    before = sys.stdout, sys.stderr
    assert logged(handler) == "to stdout\nto stderr\ntwo pieces\nby the context"
    assert (sys.stdout, sys.stderr) == before
    assert capsys.readouterr() == ("to stdout\ntwo pieces\nby the context", "to stderr\n")


def test_what_is_logged_has_lambdas_form_and_caplog_has_it_too(caplog):
    function = LambdaFunction(lambda event, context: logging.getLogger("orders").warning("%s is late", "o-1"))
    invocation = function.invoke(PAYLOAD, VirtualClock(CLOCK_MS))
    assert invocation.log == f"[WARNING]\t2026-09-21T14:13:20.123Z\t{invocation.request_id}\to-1 is late\n"
    assert [record.getMessage() for record in caplog.records] == ["o-1 is late"]


def test_a_logged_exception_has_its_traceback():
    def handler(event, context):
        try:
            {}["order"]
        except KeyError:
            logging.exception("failed")

    log = logged(handler)
    assert "\tfailed\nTraceback (most recent call last):\n" in log
    assert log.endswith("KeyError: 'order'\n")


def test_levels_are_the_applications(caplog):
    def handler(event, context):
        logging.getLogger("orders").info("not at this level")
        with caplog.at_level("DEBUG", "orders"):
            logging.getLogger("orders").debug("at this one")

    assert logged(handler).partition("Z\t")[2].endswith("\tat this one\n")


def test_nothing_is_left_in_place():
    handlers, streams = list(logging.root.handlers), (sys.stdout, sys.stderr)
    during = []
    assert logged(lambda event, context: during.append((len(logging.root.handlers), sys.stdout))) == ""
    assert during[0][0] == len(handlers) + 1
    assert during[0][1] is not streams[0]
    assert (list(logging.root.handlers), (sys.stdout, sys.stderr)) == (handlers, streams)


def test_the_log_of_a_failed_call_is_kept():
    def handler(event, context):
        print("before")
        raise ValueError

    assert logged(handler) == "before\n"


def test_each_call_has_its_own_log():
    numbers = iter(range(3))
    function = LambdaFunction(lambda event, context: print(next(numbers)))
    for _ in range(3):
        function.invoke(PAYLOAD)
    assert [i.log for i in function.invocations] == ["0\n", "1\n", "2\n"]


@given(st.lists(st.text(max_size=3_000), max_size=12))
def test_the_last_four_kilobytes_are_kept(texts):
    def handler(event, context):
        for text in texts:
            sys.stdout.write(text)

    with contextlib.redirect_stdout(io.StringIO()):
        log = logged(handler)
    whole = "".join(texts).encode(errors="backslashreplace")
    assert log == whole[-4096:].decode(errors="ignore")


def test_a_stream_that_was_kept_goes_on_working(capsys):
    kept = []
    assert logged(lambda event, context: kept.append(sys.stdout)) == ""
    print("after", file=kept[0])
    kept[0].flush()
    assert capsys.readouterr().out == "after\n"
    assert logged(lambda event, context: print("inside", file=kept[0])) == "inside\n"
    assert capsys.readouterr().out == "inside\n"
    with contextlib.redirect_stdout(kept[0]):
        assert logged(lambda event, context: print("in its own place")) == "in its own place\n"
        print("and again")
    assert capsys.readouterr().out == "in its own place\nand again\n"
    with contextlib.redirect_stdout(io.StringIO()) as another:
        print("to whoever is there now", file=kept[0])
    assert another.getvalue() == "to whoever is there now\n"


def test_a_stream_that_the_function_puts_in_place_stays(monkeypatch):
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    own = io.StringIO()

    def handler(event, context):
        sys.stdout = own

    logged(handler)
    assert sys.stdout is own


def test_what_is_no_text_is_refused_as_ever():
    error = LambdaFunction(lambda event, context: sys.stdout.write(b"bytes")).invoke(PAYLOAD).error
    assert error.type == "TypeError"


def test_tasks_of_the_call_are_noted_and_other_threads_are_not(capsys):
    async def task():
        print("task")

    def handler(event, context):
        asyncio.run(task())
        thread = threading.Thread(target=print, args=("thread",))
        thread.start()
        thread.join()

    assert logged(handler) in ("task\n", "task\nthread\n")  # from Python 3.14 on a thread may inherit its context
    assert capsys.readouterr().out == "task\nthread\n"


def test_overlapping_calls_have_logs_of_their_own():
    both = threading.Barrier(2, timeout=30)

    def handler(event, context):
        print(context.aws_request_id)
        both.wait()
        print(context.aws_request_id)

    function = LambdaFunction(handler)
    threads = [threading.Thread(target=function.invoke, args=(PAYLOAD,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [i.log for i in function.invocations] == [f"{i.request_id}\n" * 2 for i in function.invocations]


def test_a_function_that_calls_another_has_only_its_own_log():
    inner = LambdaFunction(lambda event, context: print("inner"))

    def handler(event, context):
        print("before")
        inner.invoke(PAYLOAD)
        print("after")

    assert logged(handler) == "before\nafter\n"
    assert inner.invocations[0].log == "inner\n"


def test_a_message_that_does_not_fit_its_arguments_is_loggings_own_affair(capsys):
    def handler(event, context):
        logging.root.handlers[-1].handle(logging.makeLogRecord({"msg": "%d", "args": ("x",), "levelname": "ERROR"}))

    assert "--- Logging error ---" in logged(handler)
    assert "--- Logging error ---" in capsys.readouterr().err


def test_capturing_can_be_switched_off_meanwhile(capfd):
    def handler(event, context):
        print("before")
        with capfd.disabled():
            pass
        print("after")

    assert logged(handler) == "before\n", "pytest has put its own stream back"
    assert capfd.readouterr().out == "before\nafter\n"


def test_a_chatty_function_takes_no_memory():
    log = Log("id", VirtualClock(0))
    for number in range(100_000):
        log.write(f"line {number}\n")
    assert sum(map(len, log._pieces)) <= 5 * 4096
    assert log.text().endswith("line 99998\nline 99999\n")
    assert len(log.text()) == 4096
