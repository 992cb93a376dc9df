"""Destinations in AWS: an SQS queue, an SNS topic, an S3 bucket, by boto3 (spec 4.6).

Nothing reaches the real AWS by accident: a request goes to moto or to a loopback endpoint (`AWS_ENDPOINT_URL`), unless
the setting `msk_allow_aws` lets it go.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import cast

from ..._guard import ADVICE, refusing_others
from ...errors import MskError
from .bodies import metadata, metadata_with_payload, s3_key
from .failure import DestinationError, FailedBatch

__all__ = ["S3Destination", "SnsDestination", "SqsDestination"]


class _Service:
    """One AWS service: its client is made by the first call, so that moto may be there by then.

    Args:
        service: boto3's name of the service.
        arn: the destination's ARN.
        allow_aws: let requests go to other machines.
        timeout: seconds for one request.
    """

    def __init__(self, service: str, arn: str, *, allow_aws: bool, timeout: float) -> None:
        self._service = service
        self._arn = arn
        self._allow_aws = allow_aws
        self._timeout = timeout
        self._client: object = None

    def call(self, operation: str, **arguments: object) -> Mapping[str, object]:
        """Do a request.

        Raises:
            DestinationError: the service refused it, or did not answer.
            MskError: it would have gone to another machine, or could not be made at all.
        """
        from botocore import exceptions  # type: ignore[import-untyped]

        try:
            client = self._open()
            request = cast("Callable[..., Mapping[str, object]]", getattr(client, operation))
            with nullcontext() if self._allow_aws else refusing_others(client, self._refused):
                return request(**arguments)
        except exceptions.ClientError as raised:
            error = raised.response.get("Error", {})
            raise DestinationError(f"{self._arn}: {error.get('Code')}: {error.get('Message')}") from raised
        except (exceptions.HTTPClientError, exceptions.ConnectionError) as raised:
            raise DestinationError(f"{self._arn}: {raised}") from raised
        except exceptions.BotoCoreError as raised:
            raise MskError(f"The on-failure destination {self._arn} cannot be asked: {raised}. {ADVICE}") from raised

    def close(self) -> None:
        """Free the client's connections."""
        client, self._client = self._client, None
        if client is not None:
            cast("Callable[[], None]", client.close)()  # type: ignore[attr-defined]

    def _open(self) -> object:
        if self._client is None:
            import boto3  # type: ignore[import-untyped]
            from botocore.config import Config  # type: ignore[import-untyped]

            config = Config(
                connect_timeout=self._timeout,
                read_timeout=self._timeout,
                retries={"total_max_attempts": 2, "mode": "standard"},
                s3={"addressing_style": "path"},  # a loopback endpoint has no host for each bucket
            )
            region = self._arn.split(":")[3] or None
            self._client = boto3.session.Session().client(self._service, region_name=region, config=config)
        return self._client

    def _refused(self, host: str) -> str:
        return f"The on-failure destination {self._arn} is at {host}, which is not this machine. {ADVICE}"


class SqsDestination:
    """A queue: one message for each batch, without its records.

    Args:
        arn: the queue's ARN.
        allow_aws: let requests go to other machines, the real AWS among them.
        timeout: seconds for one request.
    """

    def __init__(self, arn: str, *, allow_aws: bool = False, timeout: float = 30.0) -> None:
        self.name = arn
        self._sqs = _Service("sqs", arn, allow_aws=allow_aws, timeout=timeout)
        self._url: object = None

    def send(self, failed: FailedBatch) -> None:
        """See `Destination`."""
        if self._url is None:
            account, queue = self.name.split(":")[4:6]
            self._url = self._sqs.call("get_queue_url", QueueName=queue, QueueOwnerAWSAccountId=account)["QueueUrl"]
        self._sqs.call("send_message", QueueUrl=self._url, MessageBody=metadata(failed).decode())

    def close(self) -> None:
        """Free the client."""
        self._sqs.close()


class SnsDestination:
    """A topic of SNS: one message for each batch, without its records.

    Args:
        arn: the topic's ARN.
        allow_aws: let requests go to other machines, the real AWS among them.
        timeout: seconds for one request.
    """

    def __init__(self, arn: str, *, allow_aws: bool = False, timeout: float = 30.0) -> None:
        self.name = arn
        self._sns = _Service("sns", arn, allow_aws=allow_aws, timeout=timeout)

    def send(self, failed: FailedBatch) -> None:
        """See `Destination`."""
        self._sns.call("publish", TopicArn=self.name, Message=metadata(failed).decode())

    def close(self) -> None:
        """Free the client."""
        self._sns.close()


class S3Destination:
    """A bucket: one object for each batch, with its event.

    Args:
        arn: the bucket's ARN.
        allow_aws: let requests go to other machines, the real AWS among them.
        timeout: seconds for one request.
    """

    def __init__(self, arn: str, *, allow_aws: bool = False, timeout: float = 30.0) -> None:
        self.name = arn
        self._s3 = _Service("s3", arn, allow_aws=allow_aws, timeout=timeout)

    def send(self, failed: FailedBatch) -> None:
        """See `Destination`."""
        bucket = self.name.rpartition(":")[2]
        key = s3_key(failed, str(uuid.uuid4()))
        self._s3.call("put_object", Bucket=bucket, Key=key, Body=metadata_with_payload(failed))

    def close(self) -> None:
        """Free the client."""
        self._s3.close()
