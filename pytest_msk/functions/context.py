"""LambdaContext: what a handler is told about its invocation and its function."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

from ..clock import Clock

__all__ = ["CognitoIdentity", "LambdaContext"]


@dataclass(frozen=True, kw_only=True, slots=True)
class CognitoIdentity:
    """Who called the function through a mobile application: nobody, when an event source mapping did."""

    cognito_identity_id: None = None
    cognito_identity_pool_id: None = None


@dataclass(kw_only=True)
class LambdaContext:
    """The context object that a handler receives, with the attributes of Lambda's Python runtime.

    Args:
        function_name: the function's name.
        function_version: its version; `$LATEST` if none was published.
        invoked_function_arn: the ARN that was invoked, with the alias or version if one was asked for.
        memory_limit_in_mb: megabytes, as text: the runtime reads them from an environment variable.
        aws_request_id: the id of this invocation; each attempt has a new one.
        log_group_name: `/aws/lambda/` and the function's name.
        log_stream_name: the execution environment's: date, version in brackets and an id.
        identity: the Cognito identity, without any: the runtime gives the object all the same.
        client_context: what a mobile application passes; `None`.
        tenant_id: the tenant of a function with tenant isolation; `None`.
    """

    function_name: str
    function_version: str
    invoked_function_arn: str
    memory_limit_in_mb: str
    aws_request_id: str
    log_group_name: str
    log_stream_name: str
    identity: CognitoIdentity = CognitoIdentity()
    client_context: None = None
    tenant_id: None = None
    _epoch_deadline_time_in_ms: int = field(repr=False)
    _clock: Clock = field(repr=False)

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function times out, told by the mapping's clock; never negative."""
        return max(0, self._epoch_deadline_time_in_ms - self._clock.now_ms())

    def log(self, message: object) -> None:
        """Write to the function's log, as it stands and without an end of line."""
        sys.stdout.write(str(message))
