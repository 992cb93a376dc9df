from __future__ import annotations

import os

import freezegun
import pytest
from hypothesis import HealthCheck, settings

import pytest_msk
from pytest_msk.brokers.security import Security

pytest_plugins = ["pytester"]

# A run within a test forgets the modules that it was the first to import, and the package would keep names of two.
for name in pytest_msk.__all__:
    getattr(pytest_msk, name)

settings.register_profile(
    "quick", derandomize=True, deadline=None, max_examples=50, suppress_health_check=list(HealthCheck)
)
settings.register_profile("long", parent=settings.get_profile("quick"), derandomize=False, max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

# freezegun reads every attribute of every module; one of testcontainers' settings then asks a Docker daemon for its
# socket, and where there is none docker leaves the connection that failed to the garbage collector.
freezegun.configure(extend_ignore_list=["testcontainers"])


@pytest.fixture(scope="session")
def msk_security() -> Security:
    """The users of the tests: alice and bob beside the one that is there by default."""
    return Security(users={"msk-user": "msk-password", "alice": "alice's secret", "bob": 'b"o\\b'})
