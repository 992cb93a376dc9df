"""What a request may ask for: each API's part that is not allowed is taken out of it, and answered with its error.

A handler knows nothing of authorization: it gets what is allowed, and what was taken out is put into its answer.
Source: KafkaApis and ControllerApis of Apache Kafka; "Operations and Resources on Protocols" of its documentation.
"""

from __future__ import annotations

from . import cluster_guards as cluster
from . import group_guards as group
from . import topic_guards as topic
from . import transaction_guards as transaction
from .access import Operation
from .refusals import TEXTS, TOPIC, Guard

__all__ = ["Guards"]


class Guards:
    """The guards of all APIs.

    Args:
        auto_create: whether topics are created by mere use.
    """

    def __init__(self, topics: topic.KnownTopics, *, auto_create: bool) -> None:
        by_topic = topic.TopicGuards(topics, auto_create=auto_create)
        self._guards: dict[int, Guard] = {
            0: topic.produce,
            1: topic.per_topic(
                Operation.READ, high_watermark=-1, last_stable_offset=-1, log_start_offset=-1, records=b""
            ),
            2: topic.per_topic(Operation.DESCRIBE),
            3: by_topic.metadata,
            8: group.in_group(Operation.READ, topic.per_topic(Operation.READ), per_partition=True),
            9: group.offset_fetch,
            10: group.find_coordinator,
            11: group.in_group(
                Operation.READ,
                protocol_type=None,
                generation_id=-1,
                protocol_name="",
                leader="",
                member_id="",
                members=[],
            ),
            12: group.in_group(Operation.READ),
            13: group.in_group(Operation.READ, members=[]),
            14: group.in_group(Operation.READ, protocol_type=None, protocol_name=None, assignment=b""),
            15: group.describe_groups,
            16: group.list_groups,
            19: topic.create_topics,
            20: by_topic.delete_topics,
            21: topic.per_topic(Operation.DELETE, low_watermark=-1),
            22: transaction.init_producer_id,
            23: topic.per_topic(Operation.DESCRIBE),
            24: transaction.add_partitions,
            25: transaction.in_transaction(lambda: group.in_group(Operation.READ)),
            26: transaction.in_transaction(),
            27: transaction.write_markers,
            28: transaction.in_transaction(
                lambda: group.in_group(Operation.READ, topic.per_topic(Operation.READ), per_partition=True),
                per_partition=True,
            ),
            29: cluster.on_cluster(Operation.DESCRIBE, lambda _: {"resources": []}),
            30: cluster.on_cluster(Operation.ALTER, lambda request: cluster.for_each(request["creations"])),
            31: cluster.on_cluster(
                Operation.ALTER, lambda request: cluster.for_each(request["filters"], matching_acls=[])
            ),
            32: topic.configs(Operation.DESCRIBE_CONFIGS, "results", configs=[]),
            33: topic.configs(Operation.ALTER_CONFIGS, "responses"),
            37: topic.create_partitions,
            42: group.delete_groups,
            44: topic.configs(Operation.ALTER_CONFIGS, "responses"),
            47: group.in_group(Operation.DELETE, topic.per_topic(Operation.READ), topics=[]),
            50: cluster.on_cluster(
                Operation.DESCRIBE,
                lambda request: cluster.for_each(request["users"] or (), user="", credential_infos=[]),
            ),
            51: cluster.on_cluster(Operation.ALTER, cluster.refused_users),
            60: cluster.describe_cluster,
            61: topic.per_topic(Operation.READ, error_message=TEXTS[TOPIC]),
            65: transaction.describe_transactions,
            66: transaction.list_transactions,
            68: group.consumer_group_heartbeat,
            69: group.consumer_group_describe,
        }

    def of(self, api_key: int) -> Guard | None:
        """The guard of an API, which is called with who asks, the call and the request.

        It gives the part of the request that is allowed, and None when it has answered already. None stands for an API
        that is everybody's.
        """
        return self._guards.get(api_key)
