"""Where Java's producer puts a record with a key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_msk._partitioner import partition_of

#: Kafka's own test data of `Utils.murmur2` (clients/src/test/.../UtilsTest.java).
HASHES = {
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    "abc": 479470107,
}


@pytest.mark.parametrize("key", HASHES)
@pytest.mark.parametrize("partitions", [1, 6, 2**31 - 1])
def test_a_key_goes_where_javas_producer_puts_it(key, partitions):
    assert partition_of(key.encode(), partitions) == (HASHES[key] & 0x7FFFFFFF) % partitions


@given(st.binary(), st.integers(1, 50))
def test_a_partition_is_one_of_the_topics(key, partitions):
    assert 0 <= partition_of(key, partitions) < partitions
