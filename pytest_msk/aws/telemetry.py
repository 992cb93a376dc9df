"""Telemetry: what a deployed mapping tells CloudWatch, its metrics by minutes of the clock and its system logs.

Nothing is sent until somebody asks CloudWatch: the journal holds everything with its time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from itertools import groupby
from typing import TYPE_CHECKING, Any, cast

from ..errors import MskError
from ..journal import Event
from ..mapping.metrics import Counts
from ..mapping.parameters import SystemLogLevel
from .client import moto_client
from .deployed import DeployedMapping
from .system_logs import SystemLogs

if TYPE_CHECKING:
    from ..journal import Place

__all__ = ["Telemetry"]

_MINUTE_MS = 60_000
#: Metrics of a mapping by the group that has to be asked for, and those of its function, always there (spec 7.4).
_EVENT_COUNT = (
    "polled_event_count",
    "filtered_out_event_count",
    "invoked_event_count",
    "failed_invoke_event_count",
    "dropped_event_count",
    "on_failure_destination_delivered_event_count",
    "committed_event_count",
)
_ERROR_COUNT = (
    "polling_error_count",
    "invoke_error_count",
    "on_failure_destination_delivery_error_count",
    "schema_registry_error_count",
    "commit_error_count",
)
_GROUPS = {"EventCount": _EVENT_COUNT, "ErrorCount": _ERROR_COUNT}
_OF_FUNCTION = ("invocations", "errors", "throttles", "destination_delivery_failures")
#: Data of one PutMetricData, and lines of one PutLogEvents, at most.
_PAGE = 500


class Telemetry:
    """Sends what is new about one mapping.

    Args:
        deployed: the mapping.
    """

    def __init__(self, deployed: DeployedMapping) -> None:
        self._deployed = deployed
        self._counts = Counts()
        self._metrics_place: Place = (0, 0)
        self._logs_place: Place = (0, 0)
        #: What was sent last, by name.
        self._gauged: dict[str, dict[str, object]] = {}
        self._logs: SystemLogs | None = None

    def send_metrics(self) -> None:
        """Put the metrics of what has happened since the last time, each at its minute."""
        events, self._metrics_place = self._deployed.esm.journal.since(self._metrics_place)
        data = [*self._counted(events), *filter(self._is_news, self._gauges())]
        cloudwatch = self._client("cloudwatch")
        for start in range(0, len(data), _PAGE):
            cloudwatch.put_metric_data(Namespace="AWS/Lambda", MetricData=data[start : start + _PAGE])

    def _is_news(self, gauge: dict[str, object]) -> bool:
        """Whether a gauge says something new: its sum would count how often somebody asks."""
        name = str(gauge["MetricName"])
        last, self._gauged[name] = self._gauged.get(name), gauge
        return gauge != last

    def _counted(self, events: Iterable[Event]) -> Iterator[dict[str, object]]:
        esm = self._deployed.esm
        config = cast("dict[str, list[str]]", esm.parameters.get("metrics_config") or {})
        asked = [name for group in config.get("Metrics", ()) for name in _GROUPS.get(group, ())]
        for minute, group in groupby(events, key=lambda event: event.time_ms // _MINUTE_MS):
            before = Counter(self._counts.values)
            for event in group:
                self._counts.add(event)
            new = self._counts.values - before
            when = datetime.fromtimestamp(minute * 60, timezone.utc)
            yield from (self._datum(name, new[name], when, "EventSourceMappingUUID") for name in asked if new[name])
            yield from (self._datum(name, new[name], when, "FunctionName") for name in _OF_FUNCTION if new[name])

    def _gauges(self) -> Iterator[dict[str, object]]:
        """What is so now: lag, and the number of pollers; nothing while the mapping is disabled."""
        esm = self._deployed.esm
        if esm.closed or esm.state != "Enabled":
            return
        now = datetime.fromtimestamp(esm.clock.now_ms() // _MINUTE_MS * 60, timezone.utc)
        metrics = esm.metrics
        yield self._datum("offset_lag", metrics.offset_lag, now, "FunctionName")
        config = cast("dict[str, list[str]]", esm.parameters.get("metrics_config") or {})
        if "KafkaMetrics" in config.get("Metrics", ()):
            yield self._datum("max_offset_lag", metrics.max_offset_lag, now, "EventSourceMappingUUID")
            yield self._datum("sum_offset_lag", metrics.sum_offset_lag, now, "EventSourceMappingUUID")
        if esm.parameters.get("provisioned_poller_config"):
            yield self._datum("provisioned_pollers", metrics.provisioned_pollers, now, "EventSourceMappingUUID")

    def _datum(self, name: str, value: int, when: datetime, dimension: str) -> dict[str, object]:
        esm = self._deployed.esm
        found = {"EventSourceMappingUUID": esm.uuid, "FunctionName": esm.function.name}[dimension]
        return {
            "MetricName": name.title().replace("_", ""),
            "Dimensions": [{"Name": dimension, "Value": found}],
            "Timestamp": when,
            "Value": float(value),
            "Unit": "Count",
        }

    def send_logs(self) -> None:
        """Write the system logs of what has happened since the last time, if the mapping's configuration wants them."""
        esm = self._deployed.esm
        level = esm.parameters.get("logging_config", {}).get("SystemLogLevel")
        events, self._logs_place = esm.journal.since(self._logs_place)
        if level is None:
            return
        if self._logs is None:
            self._logs = self._made(level)
        ends = self._ends()
        lines = [line for event in events for line in self._logs.lines(event, ends)]
        if not esm.closed:
            lines += self._logs.until(esm.clock.now_ms(), ends)
        logs = self._client("logs")
        group = f"/aws/lambda/{esm.function.name}"
        for day, same in groupby(lines, key=lambda line: datetime.fromtimestamp(line[0] / 1000, timezone.utc).date()):
            stream = f"{day:%Y/%m/%d}/{esm.uuid}"
            _ensure(logs, group, stream)
            page = [{"timestamp": time_ms, "message": text} for time_ms, text in same]
            for start in range(0, len(page), _PAGE):
                answer = logs.put_log_events(
                    logGroupName=group, logStreamName=stream, logEvents=page[start : start + _PAGE]
                )
                if "rejectedLogEventsInfo" in answer:
                    raise MskError(
                        "CloudWatch Logs refused system logs: it takes none that are older than 14 days or two hours "
                        "in the future. Let the test's clock begin at the real now, and advance it by less."
                    )

    def _ends(self) -> dict[int, int]:
        """Per partition where its log ends now; none while there is no topic."""
        esm = self._deployed.esm
        if not esm.broker.partition_count(esm.topic):
            return {}
        return {partition: mark.high for partition, mark in esm.broker.watermarks(esm.topic).items()}

    def _made(self, level: SystemLogLevel) -> SystemLogs:
        esm = self._deployed.esm
        access = esm.config.access
        return SystemLogs(
            level,
            arn=self._deployed.arn,
            uuid=esm.uuid,
            source=esm.config.event_source_arn,
            topic=esm.topic,
            group=esm.consumer_group_id,
            brokers=tuple(access.bootstrap_servers(esm.broker).split(",")),
            auth=access.auth,
        )

    def _client(self, service: str) -> Any:
        return moto_client(service, region=self._deployed.region, account_id=self._deployed.account_id)


def _ensure(logs: Any, group: str, stream: str) -> None:
    for create, names in (
        (logs.create_log_group, {"logGroupName": group}),
        (logs.create_log_stream, {"logGroupName": group, "logStreamName": stream}),
    ):
        try:
            create(**names)
        except logs.exceptions.ResourceAlreadyExistsException:  # noqa: PERF203 - two calls
            continue
