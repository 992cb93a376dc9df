from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import moto
import pytest


@pytest.fixture
def aws() -> Iterator[None]:
    """moto is active."""
    with moto.mock_aws():
        yield


@pytest.fixture
def kafka(aws: None) -> Any:
    """boto3's client for MSK."""
    return boto3.client("kafka", region_name="us-east-1")
