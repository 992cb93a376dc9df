"""MskEsm: what the fixture `msk_esm` gives; it makes event source mappings from arguments or from a template."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import MskError
from .functions import Function, Handler, LambdaFunction
from .mapping import EventSourceMapping, MappingParameters
from .topics import Topic

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .sandbox import Sandbox
    from .template import TemplateFunction

__all__ = ["MskEsm"]


class MskEsm:
    """Makes mappings that are closed when the test has ended.

    Args:
        sandbox: the test's topics and mappings.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def __call__(
        self, function: Function, topic: Topic | str, **parameters: Unpack[MappingParameters]
    ) -> EventSourceMapping:
        """Create a mapping; see `EventSourceMapping`."""
        __tracebackhide__ = True
        return self._sandbox.mapping(function, topic, **parameters)

    def from_template(
        self,
        path: str | Path,
        function: str,
        event: str | None = None,
        *,
        handler: Function | None = None,
        values: Mapping[str, object] | None = None,
        **parameters: Unpack[MappingParameters],
    ) -> EventSourceMapping:
        """Create the mapping that a SAM or CloudFormation template will deploy, on a topic of the name that it gives.

        Args:
            path: the template, YAML or JSON; a relative path is relative to the working directory.
            function: the function's logical id.
            event: the name of its SAM event, or the logical id of an `AWS::Lambda::EventSourceMapping`; may be left out
                where the function has one Kafka mapping.
            handler: what is called in place of the template's handler, with its timeout, memory and environment.
            values: what the template does not know itself: parameters, exports, attributes of resources.
            parameters: settings that win over the template's.

        Raises:
            TemplateError: the template has no such function or mapping, or a property that a mapping has not.
            EventSourceMappingError: AWS would refuse what the template says.
        """
        __tracebackhide__ = True
        from .template import TemplateMapping

        found = TemplateMapping.read(path, function, event, values=values)
        settings: MappingParameters = {**found.parameters, **parameters}
        if not found.managed:
            servers = {"KAFKA_BOOTSTRAP_SERVERS": self._sandbox.broker.bootstrap_servers.split(",")}
            settings.setdefault("self_managed_event_source", {"Endpoints": servers})
        if not isinstance(handler, LambdaFunction):
            handler = self._function(found.function, handler)
        return self._sandbox.mapping(handler, found.topic, **settings)

    def _function(self, function: TemplateFunction, handler: Handler | str | None) -> LambdaFunction:
        if handler is None:
            if function.handler is None:
                raise MskError(f"The function {function.name!r} has no Handler in the template: give handler=...")
            handler = function.handler
            if function.code is not None and str(function.code) not in sys.path:
                self._sandbox.import_from(str(function.code))
        return LambdaFunction(
            handler,
            name=function.name,
            timeout=function.timeout,
            memory_size=function.memory_size,
            alias=function.alias,
            environment=function.environment or None,
        )
