"""The plugin as pytest's users meet it: options, header, marker, fixtures."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pytest_msk import EmbeddedBroker

PASSING = """
    def test_kind(msk_broker):
        assert msk_broker.kind == "embedded"
"""


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    for name in [name for name in os.environ if name.startswith("PYTEST_MSK_")]:
        monkeypatch.delenv(name)


def test_embedded_is_the_default_and_the_header_says_so(pytester):
    pytester.makepyfile(PASSING)
    result = pytester.runpytest()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["msk: broker embedded (default)"])


def test_header_is_silent_under_q(pytester):
    pytester.makepyfile(PASSING)
    pytester.runpytest("-q").stdout.no_fnmatch_line("msk:*")


def test_command_line_wins_over_environment_over_ini(pytester, monkeypatch):
    pytester.makepyfile("def test_nothing(): pass")
    pytester.makeini("[pytest]\nmsk_broker = auto")
    pytester.runpytest().stdout.fnmatch_lines(["msk: broker auto (ini msk_broker)"])
    monkeypatch.setenv("PYTEST_MSK_BROKER", "external")
    pytester.runpytest().stdout.fnmatch_lines(["msk: broker external (PYTEST_MSK_BROKER)"])
    result = pytester.runpytest("--msk-broker=embedded,container")
    result.stdout.fnmatch_lines(["msk: broker embedded, container (--msk-broker)"])


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (
            ["--msk-broker=kafka"],
            "--msk-broker: 'kafka' is no kind of broker: there are embedded, container, external, auto, "
            "or several joined by commas.",
        ),
        (["--msk-timeout=soon"], "--msk-timeout: 'soon' is no timeout: give seconds, more than 0."),
        (
            ["--msk-broker-settings=num.partitions"],
            "--msk-broker-settings: 'num.partitions' is no broker setting: give name=value, such as num.partitions=3.",
        ),
    ],
)
def test_bad_value_is_a_usage_error_that_lists_the_good_ones(pytester, args, text):
    result = pytester.runpytest(*args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {text}"])


def test_list_of_kinds_runs_each_test_on_each(pytester):
    pytester.makepyfile(
        """
        def test_kind(msk_broker):
            assert msk_broker.kind

        def test_other():
            pass
        """
    )
    result = pytester.runpytest("--msk-broker=embedded,external", "--collect-only", "-q")
    result.stdout.fnmatch_lines(["*::test_kind[[]embedded]", "*::test_kind[[]external]", "*::test_other"])


def test_marker_pins_a_test_to_a_kind(pytester):
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.msk(broker="embedded")
        def test_pinned(msk_broker):
            assert msk_broker.kind == "embedded"
        """
    )
    pytester.runpytest("--msk-broker=external").assert_outcomes(passed=1)


def test_wrong_marker_shows_the_right_one(pytester):
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.msk(kind="embedded")
        def test_pinned(msk_broker):
            pass
        """
    )
    pytester.runpytest().stdout.fnmatch_lines(["*the marker is msk(*, broker=None, clock=None), not*kind*"])


def test_marker_starts_the_clock(pytester):
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.msk(clock="2026-03-01T12:00:00Z")
        def test_clock(msk_clock, msk_topic):
            assert msk_clock.now_ms() == 1_772_366_400_000
            assert msk_topic().produce("x").timestamp == 1_772_366_400_000
        """
    )
    pytester.runpytest().assert_outcomes(passed=1)


def test_external_without_an_address_is_an_error_that_names_the_option(pytester):
    pytester.makepyfile(PASSING)
    result = pytester.runpytest("--msk-broker=external")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*BrokerUnavailable: *set --msk-bootstrap-servers=HOST:PORT*"])


def test_fixtures_and_marker_read_like_a_reference(pytester):
    result = pytester.runpytest("--fixtures", "-p", "pytest_msk")
    result.stdout.fnmatch_lines(
        [
            "msk_broker [[]session scope] -- *",
            "    The session's Kafka broker: its address, clients for it, its topics and groups.",
            "msk_clock -- *",
            "    The test's virtual clock: *",
            "msk_topic -- *",
            "    Makes topics: *",
            "msk_esm -- *",
            "    Makes event source mappings: *",
            "msk_event -- *",
            "    Makes events for a handler: *; it needs no broker.",
        ]
    )
    pytester.runpytest("--markers").stdout.fnmatch_lines(["@pytest.mark.msk(*, broker=None, clock=None): *"])


def test_events_follow_the_tests_clock_and_are_batches_of_one_log(pytester):
    pytester.makepyfile(
        """
        import pytest
        from pytest_msk import MskEvent, decode

        @pytest.mark.msk(clock="2026-03-01T12:00:00Z")
        @pytest.mark.parametrize("n", [1, 2])
        def test_events(msk_event: MskEvent, msk_clock, n):
            (first,) = decode(msk_event(["a"], topic="orders"))
            msk_clock.advance(5)
            (second,) = decode(msk_event(["b"], topic="orders"))
            assert (first.offset, first.timestamp) == (0, 1_772_366_400_000)
            assert (second.offset, second.timestamp) == (1, 1_772_366_405_000)
        """
    )
    pytester.runpytest().assert_outcomes(passed=2)


def test_event_needs_no_broker(pytester):
    pytester.makepyfile("def test_event(msk_event): assert msk_event()['eventSource'] == 'aws:kafka'")
    pytester.runpytest("--msk-broker=external").assert_outcomes(passed=1)


def test_topics_of_a_test_are_gone_after_it(pytester):
    pytester.makepyfile(
        """
        def test_makes(msk_topic, msk_broker, msk_esm):
            topic = msk_topic("orders")
            assert msk_topic().name.startswith("test_makes-")
            topic.produce("x")
            msk_esm(lambda event, context: None, topic, consumer_group_id="g").drain()
            assert len(msk_broker.topics()) == 2
            assert msk_broker.groups() == {"g"}

        def test_finds_nothing(msk_broker):
            assert msk_broker.topics() == frozenset()
            assert msk_broker.groups() == frozenset()

        def test_uses_the_name_again(msk_topic):
            assert msk_topic("orders", partitions=2).records() == []
        """
    )
    pytester.runpytest().assert_outcomes(passed=3)


def test_error_on_a_background_thread_fails_the_test(pytester):
    pytester.makepyfile(
        """
        import threading

        def test_background(msk_topic, msk_esm):
            topic, called = msk_topic(), threading.Event()

            def handler(event, context):
                called.set()
                raise KeyboardInterrupt("from the handler")

            esm = msk_esm(handler, topic, batch_size=1)
            esm.start()
            topic.produce("x")
            assert called.wait(10)
        """
    )
    result = pytester.runpytest_subprocess()
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*KeyboardInterrupt*"])


def test_broker_settings_reach_the_broker(pytester):
    pytester.makepyfile(
        """
        def test_auto_create(msk_broker):
            producer = msk_broker.producer()
            producer.produce("made-by-use", b"x")
            assert producer.flush(10) == 0
            assert msk_broker.partition_count("made-by-use") == 3
        """
    )
    pytester.makeini("[pytest]\nmsk_broker_settings =\n    auto.create.topics.enable=true\n    num.partitions=3")
    pytester.runpytest().assert_outcomes(passed=1)


@pytest.mark.parametrize(
    "args",
    [
        ("-p", "pytest_msk", "--assert=plain"),
        ("--setup-plan",),
        ("--collect-only",),
        ("-p", "no:terminal"),
        ("-p", "no:cacheprovider", "-x"),
    ],
)
def test_plugin_goes_with_pytests_other_options(pytester, args):
    pytester.makepyfile(PASSING)
    assert pytester.runpytest_subprocess(*args).ret == pytest.ExitCode.OK


def test_plugin_loads_by_name_without_autoload(pytester, monkeypatch):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(PASSING)
    pytester.runpytest_subprocess("-p", "pytest_msk").assert_outcomes(passed=1)


def test_plugin_can_be_left_out(pytester):
    pytester.makepyfile("def test_nothing(): pass")
    result = pytester.runpytest_subprocess("-p", "no:pytest_msk")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("msk:*")


def test_workers_have_a_broker_each(pytester):
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("n", range(6))
        def test_same_name(msk_topic, n):
            topic = msk_topic("orders")
            topic.produce(n)
            assert [record.value for record in topic.records()] == [str(n).encode()]
        """
    )
    pytester.runpytest_subprocess("-n", "2").assert_outcomes(passed=6)


def test_frozen_time_does_not_freeze_the_kit(pytester):
    pytester.makepyfile(
        """
        import freezegun
        import pytest
        import time_machine

        def deliver(msk_topic, msk_esm):
            topic, seen = msk_topic(), []
            topic.produce("x")
            msk_esm(lambda event, context: seen.append(event), topic, batch_size=1).drain()
            assert len(seen) == 1

        @freezegun.freeze_time("2020-01-01")
        def test_freezegun(msk_topic, msk_esm):
            deliver(msk_topic, msk_esm)

        @time_machine.travel("2020-01-01", tick=False)
        def test_time_machine(msk_topic, msk_esm):
            deliver(msk_topic, msk_esm)

        @freezegun.freeze_time("2020-01-01")
        def test_background(msk_topic, msk_esm):
            topic, seen = msk_topic(), []
            esm = msk_esm(lambda event, context: seen.append(event), topic)
            with esm.running():
                topic.produce("x")
                esm.wait_until(lambda: seen, timeout=10)
                with pytest.raises(TimeoutError):
                    esm.wait_until(lambda: False, timeout=0.1)
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=3)


def test_loading_the_plugin_imports_nothing_heavy():
    heavy = "confluent_kafka testcontainers docker moto boto3 faker asyncio orjson ssl cramjam google_crc32c hypothesis"
    program = f"import sys; import pytest_msk.plugin; print(*sorted(set(sys.modules) & set({heavy.split()!r})))"
    plain = "import sys; import pytest; print(*sorted(sys.modules))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    before = subprocess.run([sys.executable, "-c", plain], capture_output=True, text=True, check=True).stdout.split()
    assert set(found) <= set(before)


def test_workers_on_one_external_cluster_leave_each_others_groups_alone(pytester):
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("n", range(12))
        def test_n(msk_topic, msk_esm, n):
            topic = msk_topic()
            topic.produce(b"x")
            assert len(msk_esm(lambda event, context: None, topic).drain()) == 1
        """
    )
    with EmbeddedBroker() as cluster:
        options = ("-n", "2", "--msk-broker=external", f"--msk-bootstrap-servers={cluster.bootstrap_servers}")
        pytester.runpytest_subprocess(*options).assert_outcomes(passed=12)
        assert cluster.topics() == frozenset()


def test_given_name_on_a_shared_cluster_is_refused(pytester):
    pytester.makepyfile("def test_it(msk_topic): msk_topic('orders')")
    with EmbeddedBroker() as cluster:
        options = ("-n", "2", "--msk-broker=external", f"--msk-bootstrap-servers={cluster.bootstrap_servers}")
        result = pytester.runpytest_subprocess(*options)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*'orders' was given, but several workers*run with -n 0*"])


def test_session_that_is_frozen_from_the_start_runs(pytester):
    pytester.makeconftest(
        """
        import freezegun
        import pytest

        @pytest.fixture(autouse=True, scope="session")
        def frozen():
            with freezegun.freeze_time("2024-01-01"):
                yield
        """
    )
    pytester.makepyfile(
        """
        def test_background(msk_topic, msk_esm):
            topic, seen = msk_topic(), []
            topic.produce("x")
            esm = msk_esm(lambda event, context: seen.append(event), topic, maximum_batching_window_in_seconds=1)
            with esm.running():
                esm.wait_until(lambda: seen, timeout=10)
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_pin_that_pytest_cannot_follow_is_an_error(pytester):
    pytester.makepyfile(
        """
        import unittest

        import pytest

        @pytest.mark.msk(broker="container")
        class TestPinned(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def _use(self, msk_broker):
                self.broker = msk_broker

            def test_kind(self):
                raise AssertionError("ran")

        @pytest.mark.msk(broker="container")
        def test_dynamic(request):
            request.getfixturevalue("msk_topic")
            raise AssertionError("ran")

        class TestPlain(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def _use(self, msk_topic):
                self.topic = msk_topic()

            def test_kind(self):
                self.topic.produce("x")
        """
    )
    result = pytester.runpytest()
    result.assert_outcomes(passed=1, failed=1, errors=1)
    result.stdout.no_fnmatch_line("*AssertionError: ran*")
    result.stdout.fnmatch_lines(["This test is to run on container, but pytest can parametrize neither*"])


def test_consumer_that_a_test_forgot_is_closed_after_it(pytester):
    pytester.makepyfile(
        """
        import pytest

        def test_forgets(msk_topic, msk_broker):
            topic = msk_topic()
            topic.produce("x")
            consumer = msk_broker.consumer("app")
            consumer.subscribe([topic.name])
            assert len(consumer.consume(1, 10)) == 1

        def test_finds_nothing(msk_topic, msk_broker):
            assert msk_broker.groups() == frozenset()
        """
    )
    pytester.runpytest().assert_outcomes(passed=2)


def test_sessions_own_consumer_stays_in_its_group(pytester):
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture(scope="session")
        def app(msk_broker):
            msk_broker.create_topic("app-events")
            consumer = msk_broker.consumer("app")
            consumer.subscribe(["app-events"])
            yield consumer
            consumer.close()

        @pytest.mark.parametrize("n", range(2))
        def test_app(app, msk_broker, msk_topic, n):
            producer = msk_broker.producer()
            producer.produce("app-events", str(n))
            producer.flush(10)
            (message,) = app.consume(1, 10)
            assert message.value() == str(n).encode()
        """
    )
    pytester.runpytest().assert_outcomes(passed=2)


def test_a_cluster_of_several_nodes_by_option_and_by_marker(pytester):
    pytester.makepyfile(
        """
        import pytest

        def test_default(msk_broker):
            assert len(msk_broker.nodes) == 2

        @pytest.mark.msk(broker=["embedded", "embedded:3"])
        def test_marked(msk_broker, msk_topic, request):
            topic = msk_topic(partitions=2)
            topic.produce({"id": 1})
            assert len(msk_broker.nodes) == (3 if "embedded:3" in request.node.name else 1)
        """
    )
    result = pytester.runpytest("--msk-broker=embedded:2", "-v")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["msk: broker embedded:2 (--msk-broker)", "*test_marked?embedded? PASSED*"])


@pytest.mark.parametrize(
    "choice", ["embedded:0", "embedded:three", "embedded:31", "embedded:", "container:3", "auto:3"]
)
def test_an_impossible_number_of_nodes_is_a_usage_error(pytester, choice):
    pytester.makepyfile(PASSING)
    result = pytester.runpytest(f"--msk-broker={choice}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*'{choice}' is no number of nodes: give embedded:3*"])


def test_what_a_test_lets_its_broker_do_wrong_ends_with_it(pytester):
    pytester.makepyfile(
        """
        import pytest
        from pytest_msk import BrokerError

        def test_wrong(msk_broker, msk_topic):
            topic = msk_topic()
            msk_broker.faults.fail(None, "UNKNOWN_SERVER_ERROR", times=None)
            msk_broker.record_requests()
            msk_broker.nodes[1].stop()

        def test_right(msk_broker, msk_topic):
            assert len(msk_broker.faults) == 0
            assert msk_broker.nodes[1].is_up
            with pytest.raises(BrokerError, match="No requests were recorded"):
                msk_broker.requests()
            msk_topic().produce({"id": 1})

        class TestCase(__import__("unittest").TestCase):
            @pytest.fixture(autouse=True)
            def _broker(self, request):
                self.broker = request.getfixturevalue("msk_broker")

            def test_wrong(self):
                self.broker.nodes.stop()

            def test_x_right(self):
                assert self.broker.nodes[1].is_up
        """
    )
    pytester.runpytest("-p", "no:randomly").assert_outcomes(passed=4)


def test_a_broker_of_the_projects_own_recovers_too(pytester):
    pytester.makepyfile(
        """
        import pytest
        from pytest_msk import EmbeddedBroker

        @pytest.fixture(scope="session")
        def msk_broker():
            with EmbeddedBroker(nodes=2) as broker:
                yield broker

        def test_wrong(msk_broker):
            msk_broker.nodes[2].stop()

        def test_right(msk_broker):
            assert msk_broker.nodes[2].is_up
        """
    )
    pytester.runpytest().assert_outcomes(passed=2)


def test_the_function_of_a_fault_that_fails_is_an_error_of_its_test(pytester):
    pytester.makepyfile(
        """
        def test_function(msk_broker, msk_topic):
            def broken(request):
                raise ZeroDivisionError("in the function")

            topic = msk_topic()
            msk_broker.faults.call("Produce", broken, times=1)
            topic.produce({"id": 1})

        def test_next(msk_topic):
            msk_topic().produce({"id": 1})
        """
    )
    result = pytester.runpytest()
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*ZeroDivisionError: in the function*", "*The function of a fault failed 1 time(s)*"])
