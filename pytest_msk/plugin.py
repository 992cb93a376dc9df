"""The pytest plugin: options, header, marker and fixtures. It imports nothing heavy; the fixtures do when they run."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest

from . import options
from .clock import VirtualClock, epoch_ms  # now: a test may freeze time before its fixtures run

if TYPE_CHECKING:
    from datetime import datetime

    from .aws import MskClusters
    from .brokers import Broker
    from .brokers.choice import Brokers
    from .brokers.security import Security
    from .factories import MskEvent
    from .msk_esm import MskEsm
    from .sandbox import MskTopic, Sandbox

MARKER = (
    "msk(*, broker=None, clock=None): settings of one test. broker: the kind of broker it needs (embedded, embedded:3 "
    "for three nodes, container, external) or a list of kinds, whatever the option says. clock: where msk_clock "
    "starts, an aware datetime, an ISO 8601 text or epoch seconds, in place of the real now."
)
#: What a test has made, for its report.
_SANDBOX: pytest.StashKey[Sandbox | None] = pytest.StashKey()
_BROKERS = pytest.StashKey["Brokers"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    options.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)
    for setting in options.SETTINGS:
        setting.find(config)  # a bad value stops the run before a test is collected


def pytest_report_header(config: pytest.Config) -> str:
    choices, source = options.BROKER.find(config)
    return f"msk: broker {', '.join(choices)} ({source})"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on each kind of broker that its marker or the configuration lists."""
    if "msk_broker" in metafunc.fixturenames:
        kinds = _kinds(metafunc.definition)
        if kinds != options.BROKER.value(metafunc.config)[:1]:
            metafunc.parametrize("msk_broker", kinds, indirect=True, scope="session")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Give a failed test's report the deliveries of its mappings, and write their page."""
    report = yield
    sandbox = item.stash.get(_SANDBOX, None)
    item.stash[_SANDBOX] = None if report.when == "teardown" else sandbox  # an item lives as long as the session
    wanted = report.failed or (report.when == "call" and options.REPORT.value(item.config))
    if wanted and sandbox is not None and sandbox.mappings:
        from .report.attach import attach

        attach(report, item, sandbox.mappings)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None, None, None]:
    """Colour the deliveries where the terminal has colour; no other report gets escape sequences."""
    failed = [*terminalreporter.getreports("failed"), *terminalreporter.getreports("error")]
    if not any(title.startswith("msk: ") for report in failed for title, _ in report.sections):
        return (yield)
    from .report.attach import coloured_sections

    with coloured_sections(terminalreporter.config, failed):
        return (yield)


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Say in which fields records, events and calls differ."""
    if op == "==" and (_is_ours(left) or _is_ours(right)):
        from .report.compare import differences

        return differences(left, right)
    return None


def _is_ours(value: object) -> bool:
    """Whether something is the kit's, a list of such things, or a Kafka event."""
    first = value[0] if isinstance(value, list | tuple) and value else value
    return type(first).__module__.startswith("pytest_msk.") or (isinstance(first, dict) and "eventSource" in first)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if "msk_broker" in getattr(item, "fixturenames", ()):
        _refuse_unparametrized(item)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """End what the test let its broker do wrong: before its fixtures end, which need the broker."""
    try:
        _recover(item)
    finally:  # an error of the test's own functions is none of its fixtures'
        yield


def _recover(item: pytest.Item) -> None:
    brokers = item.config.stash.get(_BROKERS, None)
    if brokers is not None:
        brokers.recover()
    own = getattr(item, "funcargs", {}).get("msk_broker")  # a project's own, in place of the session's
    recover = getattr(own, "recover", None)
    if callable(recover):
        recover()


def _refuse_unparametrized(item: pytest.Item) -> None:
    """Fail a test that cannot have the kinds of broker that it is to run on, before it runs on another one."""
    callspec = getattr(item, "callspec", None)
    kinds = _kinds(item)
    if (callspec and "msk_broker" in callspec.params) or kinds == options.BROKER.value(item.config)[:1]:
        return
    pytest.fail(
        f"This test is to run on {', '.join(kinds)}, but pytest can parametrize neither a method of unittest.TestCase "
        "nor a fixture that is got by request.getfixturevalue(): make it a function with msk_broker, msk_topic or "
        "msk_esm among its arguments.",
        pytrace=False,
    )


def _kinds(node: pytest.Item) -> tuple[str, ...]:
    """The kinds of broker that a test runs on."""
    pinned = _marked(node, "broker")
    if pinned is None:
        return options.BROKER.value(node.config)
    try:
        return options.broker_choices(pinned if isinstance(pinned, str) else ",".join(pinned))  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise pytest.UsageError(f"{node.nodeid}: marker msk(broker={pinned!r}): {error}") from error


def _marked(node: pytest.Item, name: str) -> object:
    """A setting of the closest `msk` marker that has it."""
    for marker in node.iter_markers("msk"):
        unknown = set(marker.kwargs) - {"broker", "clock"}
        if marker.args or unknown:
            raise pytest.UsageError(f"{node.nodeid}: the marker is {MARKER.partition(':')[0]}, not {marker!r}.")
        if name in marker.kwargs:
            return marker.kwargs[name]
    return None


@pytest.fixture(scope="session")
def msk_security() -> Security:
    """What the broker's listeners know: users, IAM keys, authorities. Redefine it in the conftest.py of the root."""
    from .brokers.security import Security

    return Security()


@pytest.fixture(scope="session")
def _msk_brokers(pytestconfig: pytest.Config, msk_security: Security) -> Iterator[Brokers]:
    from .brokers.choice import Brokers

    terminal = pytestconfig.pluginmanager.get_plugin("terminalreporter")
    brokers = Brokers(
        settings=options.BROKER_SETTINGS.value(pytestconfig),
        image=options.KAFKA_IMAGE.value(pytestconfig),
        bootstrap_servers=options.BOOTSTRAP_SERVERS.value(pytestconfig),
        timeout=options.TIMEOUT.value(pytestconfig),
        report=terminal.write_line if terminal is not None else print,
        security=msk_security,
    )
    pytestconfig.stash[_BROKERS] = brokers
    yield brokers
    del pytestconfig.stash[_BROKERS]
    brokers.close()


@pytest.fixture(scope="session")
def msk_broker(request: pytest.FixtureRequest, _msk_brokers: Brokers) -> Broker:
    """The session's Kafka broker: its address, clients for it, its topics and groups."""
    (default, *_) = options.BROKER.value(request.config)
    return _msk_brokers.get(getattr(request, "param", default))


@pytest.fixture
def msk_clock(request: pytest.FixtureRequest) -> VirtualClock:
    """The test's virtual clock: `msk_clock.advance(seconds)` moves it; everything that waits or ages follows it."""
    start: datetime | str | float | None = _marked(request.node, "clock")  # type: ignore[assignment]
    try:
        return VirtualClock(None if start is None else epoch_ms(start))
    except (TypeError, ValueError) as error:
        raise pytest.UsageError(f"{request.node.nodeid}: marker msk(clock={start!r}): {error}") from error


@pytest.fixture
def _msk_sandbox(request: pytest.FixtureRequest, msk_broker: Broker, msk_clock: VirtualClock) -> Iterator[Sandbox]:
    from .sandbox import Sandbox

    _refuse_unparametrized(request.node)
    config, name = request.config, request.node.name
    timeout, allow_aws = options.TIMEOUT.value(config), options.ALLOW_AWS.value(config)
    parallel = hasattr(config, "workerinput")
    with Sandbox(msk_broker, msk_clock, name, timeout, parallel=parallel, allow_aws=allow_aws) as sandbox:
        request.node.stash[_SANDBOX] = sandbox
        yield sandbox


@pytest.fixture
def msk_topic(_msk_sandbox: Sandbox) -> MskTopic:
    """Makes topics: `msk_topic(name=None, partitions=1, config=None)` creates one and deletes it after the test."""
    return _msk_sandbox.topic


@pytest.fixture
def msk_esm(_msk_sandbox: Sandbox) -> MskEsm:
    """Makes event source mappings: `msk_esm(function, topic, batch_size=100, ...)`, closed after the test."""
    from .msk_esm import MskEsm

    return MskEsm(_msk_sandbox)


@pytest.fixture
def msk_event(msk_clock: VirtualClock) -> MskEvent:
    """Makes events for a handler: `msk_event([{"id": 1}], topic="orders", ...)` gives one; it needs no broker."""
    from .factories import MskEvent

    return MskEvent(clock=msk_clock)


@pytest.fixture
def msk_cluster(_msk_sandbox: Sandbox) -> Iterator[MskClusters]:
    """Makes MSK clusters that boto3 finds under moto: `msk_cluster("orders", ...)`, with real bootstrap brokers."""
    from .aws import MskClusters

    clusters = MskClusters(_msk_sandbox)
    yield clusters
    clusters.close()
