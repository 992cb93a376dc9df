import pytest

from pytest_msk import assert_at_least_once, decode

pytest.importorskip("aws_lambda_powertools", reason="the function of this example is written with Powertools")

import shipment_notices


def test_header_bytes_above_127_are_read(shipments, msk_esm, sent):
    """Lambda writes header bytes as signed numbers; data classes that expect unsigned ones fail on this record."""
    shipments.produce({"shipment": "s-1"}, headers=[("trace-id", "zoë")])
    esm = msk_esm(shipment_notices.handler, shipments)
    esm.drain()

    assert sent == [("s-1", "zoë")]
    assert_at_least_once(esm)


def test_record_without_key_and_headers_is_read(msk_event, sent):
    shipment_notices.handler(msk_event([{"shipment": "s-2"}], topic="shipments"), None)

    assert sent == [("s-2", "none")]


def test_batch_of_several_partitions_is_read(fake, sent):
    """Names beyond ASCII, under keys and offsets that Faker makes up."""
    event = fake.msk_event(records=20, partitions=2, topic="shipments", content={"shipment": "{{name}}"})
    shipment_notices.handler(event, None)

    assert sorted(name for name, _ in sent) == sorted(record.json()["shipment"] for record in decode(event))


def test_only_urgent_shipments_reach_the_function(shipments, msk_esm, sent):
    shipments.produce_many({"shipment": f"s-{n}", "priority": ["low", "urgent"][n % 2]} for n in range(10))
    urgent = {"Filters": [{"Pattern": '{"value": {"priority": ["urgent"]}}'}]}
    esm = msk_esm(shipment_notices.handler, shipments, filter_criteria=urgent)
    esm.drain()

    assert sorted(shipment for shipment, _ in sent) == ["s-1", "s-3", "s-5", "s-7", "s-9"]
    assert_at_least_once(esm)
