"""Kafka's command-line tools in one JVM: started, stopped as by SIGTERM, and what they write, line by line."""

from __future__ import annotations

import itertools
import json
import os
import queue
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

HERE = Path(__file__).parent
JARS = HERE / "target" / "dependency"

#: How long a tool may take, seconds: a JVM on a busy machine is slow when it does something for the first time.
PATIENCE = 60.0

#: Stands for the broker's address among a tool's arguments, where that is not said by --bootstrap-server in front.
SERVER = "<server>"

_TOOLS = "org.apache.kafka.tools"
TOOLS = {
    "kafka-topics": f"{_TOOLS}.TopicCommand",
    "kafka-configs": "kafka.admin.ConfigCommand",
    "kafka-console-producer": f"{_TOOLS}.ConsoleProducer",
    "kafka-console-consumer": f"{_TOOLS}.consumer.ConsoleConsumer",
    "kafka-consumer-groups": f"{_TOOLS}.consumer.group.ConsumerGroupCommand",
    "kafka-groups": f"{_TOOLS}.GroupsCommand",
    "kafka-get-offsets": f"{_TOOLS}.GetOffsetShell",
    "kafka-delete-records": f"{_TOOLS}.DeleteRecordsCommand",
    "kafka-broker-api-versions": f"{_TOOLS}.BrokerApiVersionsCommand",
    "kafka-cluster": f"{_TOOLS}.ClusterTool",
    "kafka-transactions": f"{_TOOLS}.TransactionsCommand",
    "kafka-acls": f"{_TOOLS}.AclCommand",
    "kafka-producer-perf-test": f"{_TOOLS}.ProducerPerformance",
    "kafka-consumer-perf-test": f"{_TOOLS}.ConsumerPerformance",
    "kafka-e2e-latency": f"{_TOOLS}.EndToEndLatency",
    "kafka-verifiable-producer": f"{_TOOLS}.VerifiableProducer",
    "kafka-verifiable-consumer": f"{_TOOLS}.VerifiableConsumer",
    "transactional-message-copier": f"{_TOOLS}.TransactionalMessageCopier",
}


def missing() -> str | None:
    """Why Kafka's tools cannot run here, in a sentence; None if they can."""
    if shutil.which("javac") is None:
        return "Kafka's own tools need a JDK (17 or later), and there is no javac on the PATH."
    if not any(JARS.glob("kafka-tools-*.jar")):
        return "Kafka's jars are not here; `mvn -f tests/java/pom.xml dependency:copy-dependencies` gets them."
    return None


class Tool:
    """A tool that runs, or has run."""

    def __init__(self, jvm: Jvm, number: int, command: str) -> None:
        self.lines: list[str] = []
        self.errors: list[str] = []
        self.status: int | None = None
        self._jvm, self._number, self._command = jvm, number, command
        self._news: queue.Queue[dict[str, Any]] = queue.Queue()

    def stop(self) -> None:
        """Do what SIGTERM does."""
        self._jvm.tell({"id": self._number, "stop": True})

    def told(self, news: dict[str, Any]) -> None:
        self._news.put(news)

    def wait(self, seconds: float = PATIENCE) -> Tool:
        """Wait for its end."""
        self.until(lambda: self.status is not None, seconds=seconds)
        return self

    def until(self, seen: Callable[[], object], *, seconds: float = PATIENCE) -> None:
        """Read what it writes until something is seen in it."""
        deadline = time.monotonic() + seconds
        while True:
            while not self._news.empty():
                self._take(self._news.get())
            if seen():
                return
            assert self.status is None, f"{self} has ended too early"
            try:
                self._take(self._news.get(timeout=max(deadline - time.monotonic(), 0)))
            except queue.Empty:
                raise AssertionError(f"not seen within {seconds} s: {self}") from None

    def _take(self, news: dict[str, Any]) -> None:
        if "out" in news:
            self.lines.append(news["out"])
        elif "err" in news:
            self.errors.append(news["err"])
        else:
            self.status = news["status"]

    @property
    def events(self) -> list[dict[str, Any]]:
        """What a verifiable tool wrote: one JSON object a line."""
        return [json.loads(line) for line in self.lines if line.startswith("{")]

    def named(self, name: str) -> list[dict[str, Any]]:
        """The events of a name."""
        return [event for event in self.events if event["name"] == name]

    def __repr__(self) -> str:
        written = "\n".join([*self.lines[-60:], *(f"stderr: {line}" for line in self.errors[:60])])
        return f"{self._command} (status {self.status}):\n{written}"


class Jvm:
    """A JVM that runs tools."""

    def __init__(self) -> None:
        java, javac = shutil.which("java"), shutil.which("javac")
        assert java is not None
        assert javac is not None
        self._classes = tempfile.TemporaryDirectory()
        path = f"{JARS}{os.sep}*"
        subprocess.run([javac, "-cp", path, "-d", self._classes.name, str(HERE / "Tools.java")], check=True)
        quick = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Xmx384m"]
        # the tools' shutdown hooks are run when the tool ends, not the JVM
        quick.append("--add-opens=java.base/java.lang=ALL-UNNAMED")
        logging = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
        self._process = subprocess.Popen(
            [java, *quick, logging, "-cp", os.pathsep.join([path, self._classes.name]), "Tools"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self._ids = itertools.count(1)
        self._tools: dict[int, Tool] = {}
        self._reader = threading.Thread(target=self._read, name="what the tools write", daemon=True)
        self._reader.start()

    def __enter__(self) -> Jvm:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        try:
            process.wait(10)
        finally:
            process.kill()
            process.wait()
            self._reader.join()
            process.stdout.close()
            self._classes.cleanup()

    def start(self, tool: str, arguments: Sequence[object], *, stdin: str = "") -> Tool:
        """Start a tool by the name of its script."""
        number, words = next(self._ids), [str(argument) for argument in arguments]
        started = self._tools[number] = Tool(self, number, " ".join([tool, *words]))
        self.tell({"id": number, "tool": TOOLS[tool], "arguments": words, "input": stdin})
        return started

    def tell(self, request: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            news = json.loads(line)
            tool = self._tools.get(news["id"])
            if tool is not None:
                tool.told(news)
        for tool in self._tools.values():  # the JVM is gone: nobody waits for what will not come
            tool.told({"status": -1})
