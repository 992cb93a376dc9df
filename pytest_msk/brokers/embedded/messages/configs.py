"""Messages that read and change the configs of topics and of the broker."""

from __future__ import annotations

from ..wire import Api

__all__ = ["ALTER_CONFIGS", "APIS", "DESCRIBE_CONFIGS", "INCREMENTAL_ALTER_CONFIGS"]

DESCRIBE_CONFIGS = Api(
    key=32,
    name="DescribeConfigs",
    versions=(1, 4),
    flexible=4,
    request="""
        resources: []
            resource_type: int8
            resource_name: string
            configuration_keys: []string?
        include_synonyms: bool
        include_documentation: bool 3+
    """,
    response="""
        throttle_time_ms: int32 = 0
        results: []
            error_code: int16
            error_message: string?
            resource_type: int8
            resource_name: string
            configs: []
                name: string
                value: string?
                read_only: bool
                source: int8
                is_sensitive: bool
                synonyms: []
                    name: string
                    value: string?
                    source: int8
                config_type: int8 3+
                documentation: string? 3+ = null
    """,
)

_ALTER_RESPONSE = """
        throttle_time_ms: int32 = 0
        responses: []
            error_code: int16
            error_message: string? = null
            resource_type: int8
            resource_name: string
"""

ALTER_CONFIGS = Api(
    key=33,
    name="AlterConfigs",
    versions=(0, 2),
    flexible=2,
    request="""
        resources: []
            resource_type: int8
            resource_name: string
            configs: []
                name: string
                value: string?
        validate_only: bool
    """,
    response=_ALTER_RESPONSE,
)

INCREMENTAL_ALTER_CONFIGS = Api(
    key=44,
    name="IncrementalAlterConfigs",
    versions=(0, 1),
    flexible=1,
    request="""
        resources: []
            resource_type: int8
            resource_name: string
            configs: []
                name: string
                operation: int8
                value: string?
        validate_only: bool
    """,
    response=_ALTER_RESPONSE,
)

APIS = (DESCRIBE_CONFIGS, ALTER_CONFIGS, INCREMENTAL_ALTER_CONFIGS)
