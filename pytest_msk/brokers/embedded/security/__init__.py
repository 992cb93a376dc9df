"""Security of the embedded broker: TLS, SASL, ACLs and IAM policies; everything but `tls` is free of I/O."""

from __future__ import annotations

from .access import ANONYMOUS
from .acl import Acl
from .state import ClusterSecurity

__all__ = ["ANONYMOUS", "Acl", "ClusterSecurity"]
