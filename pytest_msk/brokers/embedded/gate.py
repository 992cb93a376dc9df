"""What stands between a connection and its handler: the record of requests, faults, what is allowed, the wrong node.

In this order, as in Kafka: who may not ask for something is told so by any node, and a fault befalls everybody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ...errors import BrokerError
from .answers import error_answer, merged
from .call import Call
from .errors import ErrorCode
from .faults import Answer, Crash, Fail, Faults
from .loop import Loop, LoopTimer
from .messages.metadata import METADATA
from .messages.records import FETCH, PRODUCE
from .node import Node
from .requests import Part, Request, RequestFilter, split
from .security.access import Operation, ResourceType
from .security.guards import Guards
from .wire import Api, MalformedRequest, Struct

if TYPE_CHECKING:
    from .handlers import Handler

__all__ = ["Gate", "RequestLog"]

# What only the coordinator of a group answers, and what only that of a transaction.
_GROUP_APIS = frozenset(
    (
        *("ConsumerGroupDescribe", "ConsumerGroupHeartbeat", "DeleteGroups", "DescribeGroups", "Heartbeat"),
        *("JoinGroup", "LeaveGroup", "OffsetCommit", "OffsetDelete", "OffsetFetch", "SyncGroup", "TxnOffsetCommit"),
    )
)
_TRANSACTION_APIS = frozenset(("AddOffsetsToTxn", "AddPartitionsToTxn", "EndTxn", "InitProducerId"))
# What each node answers about its own: the list in the answer, and the key of its items.
_LISTS = {"ListGroups": ("groups", "group_id"), "ListTransactions": ("transactions", "transactional_id")}
_REQUESTS_KEPT = 10_000


class RequestLog:
    """The last 10,000 requests; none as long as nobody asks for them."""

    def __init__(self) -> None:
        self.on = False
        self._kept: deque[Request] = deque(maxlen=_REQUESTS_KEPT)

    def start(self) -> None:
        """Keep requests from now on, and forget those of before."""
        self._kept.clear()
        self.on = True

    def stop(self) -> None:
        """Keep none, and forget those that there are."""
        self.on = False
        self._kept.clear()

    def add(self, request: Request) -> None:
        """A request came in."""
        if self.on:
            self._kept.append(request)

    def find(self, meant: RequestFilter) -> tuple[Request, ...]:
        """Those that are meant, the oldest first.

        Raises:
            BrokerError: none are kept.
        """
        if not self.on:
            raise BrokerError(
                "No requests were recorded: call msk_broker.record_requests() before the code whose requests you want "
                "to see; recording ends with the test."
            )
        return tuple(request for request in self._kept if meant.matches(request))


class Gate:
    """Stands before the handlers of every node.

    Args:
        loop: real time.
        guards: what a client may ask for.
        crash: breaks a node down, and leaves it down or not: `(node id, stays_down)`.
    """

    def __init__(
        self, loop: Loop, faults: Faults, requests: RequestLog, guards: Guards, crash: Callable[[int, bool], None]
    ) -> None:
        self.faults = faults
        self.requests = requests
        self._loop = loop
        self._guards = guards
        self._crash = crash
        self._open = True
        self._delayed: dict[LoopTimer, None] = {}

    @property
    def open(self) -> bool:
        """Whether requests go straight to their handlers: there is no fault, and none are recorded."""
        return self._open

    @property
    def idle(self) -> bool:
        """Whether no request is delayed."""
        return not self._delayed

    def look(self) -> None:
        """The faults or the record of requests have changed."""
        self._open = not len(self.faults) and not self.requests.on

    def release(self) -> None:
        """Delay no request any longer; with the lock held."""
        for timer in tuple(self._delayed):
            timer.fire()

    def before(self, node: Node, handlers: Mapping[int, tuple[Api, Handler]]) -> dict[int, tuple[Api, Handler]]:
        """The handlers of a node, behind this gate."""
        return {key: (api, self._guarded(node, api, handler)) for key, (api, handler) in handlers.items()}

    def _guarded(self, node: Node, api: Api, handler: Handler) -> Handler:
        if len(node.peers) > 1:
            handler = self._at_coordinator(node, api, handler)
        handler = self._if_allowed(api, handler)

        def handle(call: Call, request: Struct) -> Struct | None:
            if self._open:
                return handler(call, request)
            self._handle(node, api, handler, call, request)
            return None

        return handle

    def _if_allowed(self, api: Api, handler: Handler) -> Handler:
        """Take out of a request what its client may not ask for."""
        guard = self._guards.of(api.key)
        if guard is None:
            return handler

        def guarded(call: Call, request: Struct) -> Struct | None:
            may = call.connection.session.authorizer
            if may.allows_everything:
                return handler(call, request)
            allowed = guard(may, call, request)
            return None if allowed is None else handler(call, allowed)

        return guarded

    def _at_coordinator(self, node: Node, api: Api, handler: Handler) -> Handler:
        """Refuse what is about groups and transactions that another node coordinates, and do not list them."""
        coordinator = node.cluster.coordinator

        def of_groups(call: Call, request: Struct) -> Struct | None:
            def elsewhere(part: Part) -> bool:
                return part.group is not None and coordinator(part.group) != node.id

            return _refuse(api, handler, call, request, elsewhere, ErrorCode.NOT_COORDINATOR)

        def of_transactions(call: Call, request: Struct) -> Struct | None:
            transaction = request.get("transactional_id")
            if transaction and coordinator(transaction) != node.id:
                return _refuse(api, handler, call, request, lambda _: True, ErrorCode.NOT_COORDINATOR)
            return handler(call, request)

        def listed(call: Call, request: Struct) -> Struct | None:
            items, key = _LISTS[api.name]
            answer = handler(call, request)
            if answer is not None:
                answer[items] = [each for each in answer[items] if coordinator(each[key]) == node.id]
            return answer

        def described(call: Call, request: Struct) -> Struct | None:
            ids = request["transactional_ids"]
            code = ErrorCode.NOT_COORDINATOR
            errors = [{"error_code": code, "transactional_id": each} for each in ids if coordinator(each) != node.id]
            answer = handler(
                call, {**request, "transactional_ids": [each for each in ids if coordinator(each) == node.id]}
            )
            return None if answer is None else {**answer, "transactions": [*answer["transactions"], *errors]}

        if api.name == "DescribeTransactions":
            return described
        if api.name in _GROUP_APIS:
            return of_groups
        if api.name in _TRANSACTION_APIS:
            return of_transactions
        return listed if api.name in _LISTS else handler

    # --- faults ---------------------------------------------------------------------------------------------------

    def _handle(self, node: Node, api: Api, handler: Handler, call: Call, request: Struct) -> None:
        seen = Request.of(api, call.version, node.id, call.client_id, request)
        self.requests.add(seen)
        delay, action, meant = self.faults.decide(seen)
        self.look()

        def go_on() -> None:
            if action is None:
                answer = handler(call, request)
                if answer is not None:
                    call.answer(answer)
            elif isinstance(action, Fail):
                assert meant is not None
                self._fail(node, api, handler, call, request, meant, action.code)
            elif isinstance(action, Answer):
                self._answer(api, call, request, action)
            elif isinstance(action, Crash):
                self._break_down(node, handler, call, request, action)
            else:
                call.close()

        if delay:
            self._later(delay, call, go_on)
        else:
            go_on()

    def _later(self, seconds: float, call: Call, go_on: Callable[[], None]) -> None:
        def due() -> None:
            self._delayed.pop(timer, None)
            timer.cancel()
            call.connection.if_dropped = None
            try:
                go_on()
            except MalformedRequest as error:
                call.connection.reject(str(error))

        timer = self._loop.call_later(round(seconds * 1000), due)
        self._delayed[timer] = None

        def dropped() -> None:
            self._delayed.pop(timer, None)
            timer.cancel()

        call.connection.if_dropped = dropped

    def _fail(
        self, node: Node, api: Api, handler: Handler, call: Call, request: Struct, meant: RequestFilter, code: ErrorCode
    ) -> None:
        if api is PRODUCE and request["acks"] == 0:
            call.close()
            return
        if api is METADATA and (request["topics"] is None or (call.version == 0 and not request["topics"])):
            may = call.connection.session.authorizer
            seen = [each for each in node.topics if may.allows(Operation.DESCRIBE, ResourceType.TOPIC, each.name)]
            request = {**request, "topics": [{"topic_id": topic.id, "name": topic.name} for topic in seen]}
        answer = _refuse(api, handler, call, request, meant.means, code)
        if answer is not None:
            call.answer(answer)

    def _answer(self, api: Api, call: Call, request: Struct, action: Answer) -> None:
        empty = error_answer(api, call.version, request, ErrorCode.NONE) or {}
        try:
            call.answer_as_it_is({**empty, **action.body})
        except Exception as failure:  # noqa: BLE001 - what the test gave is no such answer: raised by reset
            self.faults.failures.append(failure)
            call.close()

    def _break_down(self, node: Node, handler: Handler, call: Call, request: Struct, action: Crash) -> None:
        def crash() -> None:
            self._crash(node.id, action.stays_down)

        def lost(_answer: Struct) -> None:
            self._loop.call_soon(crash)

        call.amend(lost)
        answer = handler(call, request)
        if answer is not None:
            call.answer(answer)


def _refuse(
    api: Api, handler: Handler, call: Call, request: Struct, meant: Callable[[Part], bool], code: ErrorCode
) -> Struct | None:
    """Refuse the parts of a request that are meant, and handle the others."""
    rest, refused = split(request, meant)
    if refused is None:
        return handler(call, request)
    errors = error_answer(api, call.version, refused, code)
    if errors is None:
        call.close()  # Kafka's only way to tell a client where the answer has no place for it
        return None
    if rest is None:
        if api is not METADATA:  # whose answer names the brokers in any case
            return errors
        rest = {**request, "topics": []}
    call.amend(lambda answer: merged(answer, errors))
    # An error is answered at once, however long a Fetch would wait for records.
    return handler(call, {**rest, "max_wait_ms": 0} if api is FETCH else rest)
