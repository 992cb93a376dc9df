"""The clients that a broker makes: quick settings, quick starts, and an end in time."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest
from confluent_kafka import KafkaException, TopicPartition

from pytest_msk import BrokerError
from pytest_msk.brokers import _quick
from pytest_msk.brokers.clients import Clients, client_config

PATIENCE = 10.0


@pytest.fixture
def clients(server):
    made = Clients(server.bootstrap_servers)
    yield made
    made.close()


def produce(clients, topic, *values, **how):
    producer = clients.producer()
    for value in values:
        producer.produce(topic, value, **how)
    assert producer.flush(PATIENCE) == 0
    producer.close()


def read(consumer, count):
    found = []
    deadline = time.monotonic() + PATIENCE
    while len(found) < count and time.monotonic() < deadline:
        found += consumer.consume(count - len(found), 0.2)
    assert len(found) == count
    assert not [message.error() for message in found if message.error()]
    return [message.value() for message in found]


# --- settings


def test_settings_are_given_with_underscores_or_dots_and_win():
    config = client_config("h:1", {"client_id": "me", "reconnect.backoff.max.ms": 7, "enable_metrics_push": True})
    assert config["bootstrap.servers"] == "h:1"
    assert config["client.id"] == "me"
    assert config["reconnect.backoff.max.ms"] == 7
    assert config["enable.metrics.push"] is True


@pytest.mark.parametrize(
    ("settings", "sparse"),
    [
        ({}, False),
        ({"security_protocol": "PLAINTEXT"}, False),
        ({"security_protocol": "ssl"}, True),
        ({"security.protocol": "SASL_SSL"}, True),
        ({"security_protocol": "SSL", "enable_sparse_connections": False}, False),
    ],
)
def test_only_connections_that_cost_nothing_are_made_ahead(settings, sparse):
    assert client_config("h:1", settings)["enable.sparse.connections"] is sparse


def test_what_has_an_underscore_of_its_own_keeps_it():
    def error_cb(error):
        """A callback."""

    assert client_config("h:1", {"log_level": 3, "error_cb": error_cb}).items() >= {
        ("log_level", 3),
        ("error_cb", error_cb),
    }


def test_a_brokers_settings_are_in_all_of_its_clients_below_the_callers():
    clients = Clients("h:1", {"client.id": "broker's", "client.rack": "a"})
    assert clients.client_config()["client.id"] == "broker's"
    assert clients.client_config(client_id="caller's")["client.id"] == "caller's"
    assert clients.client_config(client_id="caller's")["client.rack"] == "a"


def test_a_setting_that_does_not_exist_is_refused_by_the_client(clients):
    with pytest.raises(KafkaException, match=r"no\.such\.setting"):
        clients.producer(no_such_setting=1)


def test_no_client_warns_about_its_settings(clients, capfd):
    clients.producer()
    clients.consumer("g")
    clients.close()
    assert "CONFWARN" not in capfd.readouterr().err


def test_making_settings_imports_no_client():
    code = (
        "import sys, pytest_msk.brokers.clients as clients; clients.client_config('h:1', {}); "
        "print('confluent_kafka' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


# --- a consumer starts at once, where it would start anyway


def test_it_starts_at_the_earliest_record(server, clients):
    server.create_topic("t", partitions=3)
    produce(clients, "t", *(b"%d" % n for n in range(30)))
    server.delete_records("t", {0: 1})
    consumer = clients.consumer("g")
    consumer.subscribe(["t"])
    assert len(read(consumer, 29)) == 29


def test_latest_starts_at_the_end(server, clients):
    server.create_topic("t")
    produce(clients, "t", b"old")
    consumer = clients.consumer("g", auto_offset_reset="latest")
    consumer.subscribe(["t"])
    assert consumer.poll(0.5) is None
    produce(clients, "t", b"new")
    assert read(consumer, 1) == [b"new"]


def test_a_committed_offset_wins(server, clients):
    server.create_topic("t", partitions=2)
    for partition in range(2):
        produce(clients, "t", b"0", b"1", b"2", partition=partition)
    clients.consumer("g").commit(offsets=[TopicPartition("t", 1, 2)], asynchronous=False)
    consumer = clients.consumer("g")
    consumer.subscribe(["t"])
    assert sorted(read(consumer, 4)) == [b"0", b"1", b"2", b"2"]


@pytest.mark.parametrize("strategy", ["range", "cooperative-sticky"])
def test_every_strategy_starts_so(server, clients, strategy):
    server.create_topic("t", partitions=2)
    for partition in range(2):
        produce(clients, "t", b"x", partition=partition)
    consumer = clients.consumer("g", partition_assignment_strategy=strategy)
    consumer.subscribe(["t"])
    assert read(consumer, 2) == [b"x", b"x"]


def test_the_start_does_not_wait_for_a_timer(server, clients):
    server.create_topic("t")
    produce(clients, "t", b"x")
    taken = []
    for number in range(10):
        started = time.monotonic()
        consumer = clients.consumer(f"g{number}")
        consumer.subscribe(["t"])
        assert read(consumer, 1) == [b"x"]
        taken.append(time.monotonic() - started)
        consumer.close()
    assert min(taken) < 0.1, "librdkafka's own timer takes 0.1 s to find a first offset"


def test_a_callers_own_on_assign_is_kept(server, clients):
    server.create_topic("t")
    produce(clients, "t", b"0", b"1", b"2")
    seen = []

    def on_assign(consumer, partitions):
        seen.append([(at.topic, at.partition) for at in partitions])
        consumer.assign([TopicPartition("t", 0, 2)])

    for number, arguments in enumerate([([], {"on_assign": on_assign}), ([on_assign], {})]):
        consumer = clients.consumer(f"g{number}")
        consumer.subscribe(["t"], *arguments[0], **arguments[1])
        assert read(consumer, 1) == [b"2"]
    assert seen == [[("t", 0)]] * 2


def test_an_error_as_reset_stays_one(server, clients):
    server.create_topic("t")
    produce(clients, "t", b"x")
    consumer = clients.consumer("g", auto_offset_reset="error")
    consumer.subscribe(["t"])
    message = consumer.poll(PATIENCE)
    assert message.error().name() == "_AUTO_OFFSET_RESET"


# --- the end


def test_close_ends_what_is_open_and_may_come_twice(server, clients):
    server.create_topic("t")
    consumer = clients.consumer("g")
    consumer.subscribe(["t"])
    consumer.poll(0.5)
    producer = clients.producer()
    producer.produce("t", b"on its way")
    clients.close()
    clients.close()
    assert server.watermarks("t")[0].high == 1, "what was produced was delivered"
    assert server.describe_group("g").members == ()
    with pytest.raises(RuntimeError, match="closed"):
        consumer.poll(0)


def test_a_scope_closes_what_was_made_inside(server, clients):
    outer = clients.consumer("outer")
    with clients.scope():
        inner = clients.consumer("inner")
    with pytest.raises(RuntimeError, match="closed"):
        inner.poll(0)
    assert outer.poll(0) is None


def test_a_scope_closes_when_its_block_fails(clients):
    inner = []

    def fail():
        with clients.scope():
            inner.append(clients.consumer("g"))
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    with pytest.raises(RuntimeError, match="closed"):
        inner[0].poll(0)


def test_owners_may_close_themselves_and_twice(clients):
    consumer, producer = clients.consumer("g"), clients.producer()
    consumer.close()
    consumer.close()
    assert producer.close()
    assert producer.close()
    with clients.consumer("g") as another:
        assert another.poll(0) is None
    with pytest.raises(RuntimeError, match="closed"):
        another.poll(0)


def test_a_dropped_producer_delivers_what_it_holds(server, clients):
    server.create_topic("t")
    clients.producer(linger_ms=200).produce("t", b"x")
    assert server.watermarks("t")[0].high == 1


def test_many_clients_leave_no_thread_behind(server, clients):
    server.create_topic("t")
    before = threading.active_count()
    for number in range(20):
        with clients.scope():
            produce(clients, "t", b"x")
            consumer = clients.consumer(f"g{number}")
            consumer.subscribe(["t"])
            read(consumer, 1)
    assert threading.active_count() <= before


def test_a_consumer_whose_broker_is_gone_does_not_hold_up_the_end(server):
    server.create_topic("t")
    clients = Clients(server.bootstrap_servers, {"log_level": 0})
    produce(clients, "t", b"x")
    consumer = clients.consumer("g", enable_auto_commit=True)
    consumer.subscribe(["t"])
    read(consumer, 1)  # there is something to commit, and soon nobody to commit it to
    server.close()
    started = time.monotonic()
    with pytest.raises(BrokerError, match=r"1 of 1 clients .* did not close within 0\.5 s"):
        clients.close(timeout=0.5)
    assert time.monotonic() - started < 5


def test_records_that_nobody_took_are_told(server):
    server.create_topic("t")
    clients = Clients(server.bootstrap_servers, {"log_level": 0})
    producer = clients.producer()
    producer.produce("t", b"taken")
    assert producer.flush(PATIENCE) == 0
    server.close()
    producer.produce("t", b"lost")
    with pytest.raises(BrokerError, match="still held 1 undelivered record"):
        clients.close(timeout=0.5)
    clients.close()


def test_a_producer_that_was_fenced_is_closed_without_a_word(server, clients):
    server.create_topic("t")
    first = clients.producer(transactional_id="x", log_level=0)
    first.init_transactions(PATIENCE)
    first.begin_transaction()
    first.produce("t", b"zombie")
    assert first.flush(PATIENCE) == 0
    clients.producer(transactional_id="x", log_level=0).init_transactions(PATIENCE)
    with pytest.raises(KafkaException):
        first.commit_transaction(PATIENCE)
    clients.close()
    assert first.close()


def test_a_producer_that_is_refused_for_good_is_closed_without_a_word(server, clients):
    settings = {"transaction_timeout_ms": 900_001, "message_timeout_ms": 900_001, "log_level": 0}
    refused = clients.producer(transactional_id="x", **settings)
    with pytest.raises(KafkaException):
        refused.init_transactions(PATIENCE)
    clients.close()
    assert refused.close()


def test_an_error_in_a_callers_callback_is_told(server, clients):
    server.create_topic("t")
    consumer = clients.consumer("g")

    def on_revoke(*_):
        raise LookupError("from the test")

    consumer.subscribe(["t"], on_revoke=on_revoke)
    while not consumer.assignment():
        consumer.poll(0.05)
    with pytest.raises(BrokerError, match="from the test"):
        clients.close()


def test_an_assignment_that_comes_while_a_consumer_closes_is_not_looked_up(clients):
    consumer = clients.consumer("closing")
    consumer.close()
    assert _quick._start_at_once(consumer, [TopicPartition("orders", 0)]) is None
