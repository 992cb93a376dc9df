from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import botocore.exceptions
import moto
import pytest
from deployment import package

#: The boto3 whose Lambda client knows every parameter that the tests use.
KNOWS_ALL = (1, 44)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """Skip a test whose parameters are younger than the boto3 that is here."""
    try:
        return (yield)
    except botocore.exceptions.ParamValidationError as error:
        if tuple(map(int, boto3.__version__.split(".")[:2])) >= KNOWS_ALL or "Unknown parameter" not in str(error):
            raise
        pytest.skip(f"boto3 {boto3.__version__} is older than the parameter: {error}")


@pytest.fixture
def aws() -> Iterator[None]:
    """moto is active."""
    with moto.mock_aws():
        yield


@pytest.fixture
def kafka(aws: None) -> Any:
    """boto3's client for MSK."""
    return boto3.client("kafka", region_name="us-east-1")


ROLE = "arn:aws:iam::123456789012:role/lambda"
TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})


@pytest.fixture
def functions(aws):
    return boto3.client("lambda", region_name="us-east-1")


@pytest.fixture
def function(functions):
    """Creates a function in moto: `function(name, **settings)`."""
    boto3.client("iam", region_name="us-east-1").create_role(RoleName="lambda", AssumeRolePolicyDocument=TRUST)

    def create(name="charge", code=None, **settings):
        given = {"Runtime": "python3.12", "Handler": "app.handler", "Role": ROLE, **settings}
        return functions.create_function(
            FunctionName=name, Code={"ZipFile": code or package(app="handler = print")}, **given
        )["FunctionArn"]

    return create


@pytest.fixture
def seen():
    return []


@pytest.fixture
def deploy(functions, function, msk_cluster, seen):
    """Creates a mapping whose function notes its events in `seen`."""
    arns = {}

    def create(topic, **settings):
        if not arns:
            function()
            msk_cluster.bind("charge", lambda event, context: seen.append((event, context)))
            arns["cluster"] = msk_cluster("orders").arn
        return functions.create_event_source_mapping(
            **{"FunctionName": "charge", "EventSourceArn": arns["cluster"], "Topics": [str(topic)], **settings}
        )

    return create
