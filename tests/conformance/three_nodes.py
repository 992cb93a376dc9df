"""A cluster of three nodes of either kind: embedded, or three containers of Apache Kafka in one network."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from kafka_wire import Wire, api_versions
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from pytest_msk import EmbeddedBroker
from pytest_msk.brokers.container import DEFAULT_IMAGE

IDS = (1, 2, 3)

#: How long a node may take to start, seconds: three JVMs share the machine.
START_TIMEOUT = 90.0


class EmbeddedNodes:
    """Three embedded nodes."""

    def __init__(self, broker: EmbeddedBroker) -> None:
        self._broker = broker

    def address(self, node: int) -> str:
        return self._broker.nodes[node].address

    def stop(self, node: int) -> None:
        self._broker.nodes[node].stop()

    def start(self, node: int) -> None:
        self._broker.nodes[node].start()


class ContainerNodes:
    """Three containers, each a broker and a controller, on ports of this machine that they keep when they restart."""

    def __init__(self, network: Network, stack: ExitStack) -> None:
        self._addresses = {node: f"127.0.0.1:{_free_port()}" for node in IDS}
        self._containers = {node: self._container(node, network) for node in IDS}
        for container in self._containers.values():
            stack.callback(container.stop)
            container.start()
        for node in IDS:
            self._wait(node)

    def _container(self, node: int, network: Network) -> DockerContainer:
        host, _, port = self._addresses[node].rpartition(":")
        container = DockerContainer(DEFAULT_IMAGE).with_network(network).with_network_aliases(f"kafka-{node}")
        container.ports = {"9092/tcp": (host, int(port))}
        settings = {
            "NODE_ID": node,
            "PROCESS_ROLES": "broker,controller",
            "CONTROLLER_QUORUM_VOTERS": ",".join(f"{each}@kafka-{each}:9093" for each in IDS),
            "CONTROLLER_LISTENER_NAMES": "CONTROLLER",
            "INTER_BROKER_LISTENER_NAME": "BROKER",
            "LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093,BROKER://:9094",
            "ADVERTISED_LISTENERS": f"PLAINTEXT://{self._addresses[node]},BROKER://kafka-{node}:9094",
            "LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,BROKER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "DEFAULT_REPLICATION_FACTOR": 3,
            "MIN_INSYNC_REPLICAS": 2,
            "AUTO_CREATE_TOPICS_ENABLE": "false",
            "GROUP_INITIAL_REBALANCE_DELAY_MS": 0,
            "OFFSETS_TOPIC_NUM_PARTITIONS": 3,
            # a node that goes down is missed soon
            "BROKER_SESSION_TIMEOUT_MS": 1_500,
            "BROKER_HEARTBEAT_INTERVAL_MS": 300,
            "HEAP_OPTS": "-Xms128m -Xmx256m",
        }
        for name, value in settings.items():
            container.with_env(f"KAFKA_{name}", str(value))
        return container

    def _wait(self, node: int) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            with suppress(OSError, EOFError), Wire(self._addresses[node]) as wire:
                api_versions(wire)
                return
            assert time.monotonic() < deadline, f"node {node} did not start within {START_TIMEOUT} s"
            time.sleep(0.1)

    def address(self, node: int) -> str:
        return self._addresses[node]

    def stop(self, node: int) -> None:
        self._containers[node].get_wrapped_container().kill()

    def start(self, node: int) -> None:
        self._containers[node].get_wrapped_container().start()
        self._wait(node)


@contextmanager
def three_nodes(kind: str) -> Iterator[EmbeddedNodes | ContainerNodes]:
    """A cluster of three nodes, replicated as on MSK, that ends with the `with` block."""
    if kind == "embedded":
        with EmbeddedBroker(nodes=3) as broker:
            yield EmbeddedNodes(broker)
        return
    with ExitStack() as stack:
        network = stack.enter_context(Network())
        yield ContainerNodes(network, stack)


def _free_port() -> int:
    chance = random.SystemRandom()
    while True:
        port = chance.randrange(20_000, 32_000)  # below the ports of outgoing connections
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
