"""The Lambda API's event source mappings for Kafka: what boto3's client `lambda` makes is a mapping of this kit.

Mappings of other sources, and everything else of Lambda, are moto's.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from ..functions import LambdaFunction
from ..mapping import EventSourceMappingConfig, EventSourceMappingError, MappingParameters
from ..mapping import _validation as validation
from ..mapping._shapes import invalid_parameter
from ..mapping.access import Access
from ..mapping.parameters import Unsecured
from ._interception import Call, Operation
from ._rest_json import ApiError, Parameters, members
from .cluster import MskCluster
from .deployed import DeployedMapping
from .functions import AwsFunctions
from .permissions import RolePermissions, no_access

if TYPE_CHECKING:
    from moto.awslambda.models import LambdaBackend

    from ..sandbox import Sandbox

__all__ = ["LambdaApi"]

_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_STATUS = {"ResourceConflictException": 409, "ResourceNotFoundException": 404}
#: Largest page of a listing, whatever `MaxItems` says (spec 2.1).
_PAGE = 100


class LambdaApi:
    """Answers calls about Kafka mappings.

    Args:
        sandbox: makes the mappings, and closes them with the test.
        clusters: the MSK clusters by ARN.
        functions: finds functions.
    """

    def __init__(self, sandbox: Sandbox, clusters: Mapping[str, MskCluster], functions: AwsFunctions) -> None:
        self._sandbox = sandbox
        self._clusters = clusters
        self._functions = functions
        self.mappings: dict[str, DeployedMapping] = {}

    @property
    def operations(self) -> dict[str, Operation]:
        """Every operation that is answered here, by its name."""
        operations: dict[str, Callable[[Call], Parameters | None]] = {
            "CreateEventSourceMapping": self._create,
            "GetEventSourceMapping": lambda call: self._with(call, DeployedMapping.configuration),
            "ListEventSourceMappings": self._list,
            "UpdateEventSourceMapping": self._update,
            "DeleteEventSourceMapping": self._delete,
            "ListTags": lambda call: self._with_tags(call, lambda mapping: {"Tags": mapping.tags}),
            "TagResource": lambda call: self._with_tags(call, lambda mapping: self._tag(mapping, call)),
            "UntagResource": lambda call: self._with_tags(call, lambda mapping: self._untag(mapping, call)),
        }
        return {name: _with_errors(operation) for name, operation in operations.items()}

    # --- making

    def _create(self, call: Call) -> Parameters | None:
        asked = dict(call.parameters)
        source = cast("str | None", asked.get("EventSourceArn"))
        if source is not None and ":kafka:" not in source:
            return None
        topics = cast("list[str]", asked.pop("Topics", []))
        name = cast(str, asked.pop("FunctionName"))
        tags = cast("dict[str, str]", asked.pop("Tags", {}))
        parameters = _in_snake_case(asked)
        self._check(parameters, topics)
        function, arn = self._function(name, call)
        cluster = self._cluster(source, call)
        if cluster is not None:
            parameters["transition_in_seconds"] = cluster.transition_in_seconds
            parameters["authentication"] = _without_secret(cluster, parameters)
        role = self._role(cluster, name, call)
        if role is not None:
            role.check_creation(cast("Mapping[str, object]", parameters))
        esm = self._sandbox.mapping(function, topics[0], **parameters)
        if role is not None:
            esm.check_access = partial(role.check_polling, esm)
        deployed = DeployedMapping(
            esm=esm,
            function_arn=arn,
            region=call.region,
            account_id=call.account_id,
            modified_ms=esm.clock.now_ms(),
            tags=dict(tags),
        )
        self.mappings[esm.uuid] = deployed
        return deployed.configuration(changed=True)

    def _check(self, parameters: MappingParameters, topics: list[str]) -> None:
        """What AWS looks at before the function and the cluster, in its order (spec 2.6)."""
        if len(topics) > 1:
            raise ApiError(
                "ValidationException",
                f"1 validation error detected: Value '[{', '.join(topics)}]' at 'topics' failed to satisfy constraint: "
                "Member must have length less than or equal to 1",
            )
        validation.refuse_shapes(topics[0] if topics else "topic", parameters)
        if "event_source_arn" not in parameters and "self_managed_event_source" not in parameters:
            raise invalid_parameter("Unrecognized event source.")
        if not topics:
            raise invalid_parameter("Required 'topics' parameter is missing.")
        EventSourceMappingConfig.parse(
            topics[0],
            parameters,
            now_ms=self._sandbox.clock.now_ms(),
            cluster_arn=parameters.get("event_source_arn", ""),
            bootstrap_servers=partial(Access.bootstrap_servers, broker=self._sandbox.broker),
        )

    def _function(self, name: str, call: Call) -> tuple[LambdaFunction, str]:
        function, arn = self._functions.find(name, call), self._functions.arn(name, call)
        if function is None or arn is None:
            raise invalid_parameter("Function does not exist")
        return function, arn

    def _cluster(self, arn: str | None, call: Call) -> MskCluster | None:
        if arn is None:
            return None
        cluster = self._clusters.get(arn)
        if cluster is None or cluster.region != call.region:
            raise no_access(arn)
        return cluster

    def _role(self, cluster: MskCluster | None, function: str, call: Call) -> RolePermissions | None:
        """The execution role of a function, where the cluster's mappings are held to it."""
        if cluster is None or not cluster.permissions:
            return None
        arn = self._functions.role(function, call)
        return RolePermissions(arn, cluster, account_id=call.account_id, region=call.region)

    # --- one mapping

    def _with(self, call: Call, answer: Callable[[DeployedMapping], Parameters]) -> Parameters | None:
        uuid = cast(str, call.parameters["UUID"])
        found = self._mine(call).get(uuid)
        if found is None:
            if _moto(call).get_event_source_mapping(uuid):
                return None
            raise EventSourceMappingError("ResourceNotFoundException", "The resource you requested does not exist.")
        return answer(found)

    def _mine(self, call: Call) -> dict[str, DeployedMapping]:
        return {
            uuid: found
            for uuid, found in self.mappings.items()
            if (found.region, found.account_id) == (call.region, call.account_id) and found.esm.state != "Deleted"
        }

    def _update(self, call: Call) -> Parameters | None:
        asked = dict(call.parameters)
        del asked["UUID"]
        name = cast("str | None", asked.pop("FunctionName", None))

        def update(found: DeployedMapping) -> Parameters:
            function, arn = (None, found.function_arn) if name is None else self._function(name, call)
            cluster = self._clusters.get(found.esm.config.event_source_arn or "")
            role = self._role(cluster, arn, call)
            changes = _in_snake_case(asked)
            if role is not None:
                role.check_creation({**found.esm.parameters, **changes})
            found.esm.update(function=function, **changes)
            if role is not None:
                found.esm.check_access = partial(role.check_polling, found.esm)
            found.modified_ms, found.function_arn = found.esm.clock.now_ms(), arn
            return found.configuration(changed=True)

        return self._with(call, update)

    def _delete(self, call: Call) -> Parameters | None:
        def delete(found: DeployedMapping) -> Parameters:
            found.esm.delete()
            found.modified_ms = found.esm.clock.now_ms()
            return found.configuration(changed=True)

        return self._with(call, delete)

    # --- listing

    def _list(self, call: Call) -> Parameters | None:
        name, source = (cast("str | None", call.parameters.get(key)) for key in ("FunctionName", "EventSourceArn"))
        function = None if name is None else self._functions.arn(name, call)
        found = [
            mapping.configuration(listed=True)
            for mapping in self._mine(call).values()
            if name is None or mapping.function_arn == function
            if source in (None, mapping.esm.config.event_source_arn)
        ]
        others = _moto(call).list_event_source_mappings(cast(str, source), cast(str, name))
        shape = "EventSourceMappingConfiguration"
        found += [members("lambda", shape, other.get_configuration()) for other in others]
        size = min(cast(int, call.parameters.get("MaxItems", _PAGE)), _PAGE)
        start = _position(cast("str | None", call.parameters.get("Marker")))
        end = start + size
        marker = base64.b64encode(str(end).encode()).decode() if end < len(found) else None
        return {"EventSourceMappings": found[start:end], "NextMarker": marker}

    # --- tags

    def _with_tags(self, call: Call, answer: Callable[[DeployedMapping], Parameters]) -> Parameters | None:
        resource = cast(str, call.parameters["Resource"])
        found = next((each for each in self._mine(call).values() if each.arn == resource), None)
        return None if found is None else answer(found)

    @staticmethod
    def _tag(mapping: DeployedMapping, call: Call) -> Parameters:
        mapping.tags.update(cast("dict[str, str]", call.parameters["Tags"]))
        return {}

    @staticmethod
    def _untag(mapping: DeployedMapping, call: Call) -> Parameters:
        for key in cast("list[str]", call.parameters["TagKeys"]):
            mapping.tags.pop(key, None)
        return {}


def _without_secret(cluster: MskCluster, parameters: MappingParameters) -> Unsecured:
    """How pollers connect to a cluster if no secret says it: by IAM if that is on, else unauthenticated (spec 8.1)."""
    if "iam" in cluster.authentication:
        return "iam"
    secrets = [item for item in parameters.get("source_access_configurations", ()) if "URI" in item]
    if "unauthenticated" not in cluster.authentication and not secrets:
        raise invalid_parameter("Required 'sourceAccessConfigurations' parameter is missing.")
    return "plaintext"


def _position(marker: str | None) -> int:
    try:
        return 0 if marker is None else int(base64.b64decode(marker, validate=True))
    except ValueError as error:
        raise invalid_parameter("Invalid marker.") from error


def _moto(call: Call) -> LambdaBackend:
    from moto.awslambda.models import lambda_backends

    return lambda_backends[call.account_id][call.region]


def _in_snake_case(asked: Parameters) -> Any:
    return {_WORDS.sub("_", name).lower(): value for name, value in asked.items()}


def _with_errors(operation: Callable[[Call], Parameters | None]) -> Operation:
    """Let the mapping's own errors become the API's answers; AWS writes the text of one of them with a capital."""

    def answered(call: Call) -> Parameters | None:
        try:
            return operation(call)
        except EventSourceMappingError as error:
            extra = {"Message": error.message} if error.code == "ResourceNotFoundException" else {}
            members = {"Type": "User", **extra}
            raise ApiError(error.code, error.message, status=_STATUS.get(error.code, 400), members=members) from error

    return answered
