"""The APIs and versions that this broker speaks, by their keys."""

from __future__ import annotations

from ..wire import Api
from . import admin, configs, groups, metadata, records, security, transactions

__all__ = ["APIS", "admin", "configs", "groups", "metadata", "records", "security", "transactions"]

APIS: dict[int, Api] = {
    api.key: api
    for module in (records, metadata, groups, transactions, admin, configs, security)
    for api in module.APIS
}
