import pytest

from pytest_msk import assert_at_least_once, decode


def ship(event, context):
    if any(record.text == "parcel 5" for record in decode(event)):
        raise ValueError("no address")


@pytest.mark.msk(clock="2026-01-01T12:00:00Z")
def test_every_parcel_is_shipped(msk_topic, msk_esm):
    parcels = msk_topic("parcels")
    parcels.produce_many(f"parcel {n}" for n in range(8))
    esm = msk_esm(
        ship,
        parcels,
        batch_size=8,
        consumer_group_id="shipping",
        provisioned_poller_config={"MinimumPollers": 1},
        bisect_batch_on_function_error=True,
        maximum_retry_attempts=1,
    )
    esm.drain()
    assert_at_least_once(esm)
