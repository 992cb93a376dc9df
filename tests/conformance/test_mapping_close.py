"""The end of a mapping, at whatever moment it comes."""

from __future__ import annotations

import threading

from pytest_msk.clock import Deadline


def test_mapping_is_closed_before_it_has_heard_of_its_partitions(msk_topic, msk_esm, msk_broker):
    topic = msk_topic(partitions=2)
    topic.produce("x")
    esm = msk_esm(lambda event, context: None, topic, consumer_group_id="hasty")
    esm._open()  # its client joins the group on a thread of its own; nobody polls
    deadline = Deadline(30)
    while "hasty" not in msk_broker.groups() or msk_broker.rebalancing("hasty"):
        assert not deadline.passed
        threading.Event().wait(0.01)
    threading.Event().wait(0.05)  # for the way of the group's answer to the client
    esm.close()

    assert msk_broker.committed("hasty", topic.name) == {}
    again = msk_esm(lambda event, context: None, topic, consumer_group_id="hasty")
    assert len(again.drain()) == 1
