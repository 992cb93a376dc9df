"""What this broker does with each request: one function for each API, by the API's key.

A handler gets the call and the decoded request. It returns the answer, or None if it answers the call itself, later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ..call import Call
from ..node import Node
from ..security.state import ClusterSecurity
from ..wire import Api, Struct
from . import admin, cluster, configs, consumer_groups, fetch, groups, offsets, produce, security, transactions

__all__ = ["Handler", "handlers_of"]

Handler: TypeAlias = Callable[[Call, Struct], "Struct | None"]


def handlers_of(node: Node, shared: ClusterSecurity) -> dict[int, tuple[Api, Handler]]:
    """All handlers of a node, by API key; `shared` is what all nodes know of users and ACLs."""
    found: dict[int, tuple[Api, Handler]] = {}
    for module in (cluster, produce, fetch, offsets, groups, consumer_groups, transactions, admin, configs):
        for api, handler in module.handlers(node):
            found[api.key] = (api, handler)
    for api, handler in security.handlers(shared):
        found[api.key] = (api, handler)
    return found
