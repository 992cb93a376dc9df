"""Messages by which a client shows who it is, and by which users and ACLs are administered."""

from __future__ import annotations

from ..wire import Api

__all__ = [
    "ALTER_USER_SCRAM_CREDENTIALS",
    "APIS",
    "CREATE_ACLS",
    "DELETE_ACLS",
    "DESCRIBE_ACLS",
    "DESCRIBE_USER_SCRAM_CREDENTIALS",
    "SASL_AUTHENTICATE",
    "SASL_HANDSHAKE",
]

SASL_HANDSHAKE = Api(
    key=17,
    name="SaslHandshake",
    versions=(0, 1),
    flexible=None,
    request="""
        mechanism: string
    """,
    response="""
        error_code: int16
        mechanisms: []string
    """,
)

SASL_AUTHENTICATE = Api(
    key=36,
    name="SaslAuthenticate",
    versions=(0, 2),
    flexible=2,
    request="""
        auth_bytes: bytes
    """,
    response="""
        error_code: int16
        error_message: string?
        auth_bytes: bytes
        session_lifetime_ms: int64 1+ = 0
    """,
)

DESCRIBE_USER_SCRAM_CREDENTIALS = Api(
    key=50,
    name="DescribeUserScramCredentials",
    versions=(0, 0),
    flexible=0,
    request="""
        users: []?
            name: string
    """,
    response="""
        throttle_time_ms: int32 = 0
        error_code: int16
        error_message: string? = null
        results: []
            user: string
            error_code: int16
            error_message: string? = null
            credential_infos: []
                mechanism: int8
                iterations: int32
    """,
)

ALTER_USER_SCRAM_CREDENTIALS = Api(
    key=51,
    name="AlterUserScramCredentials",
    versions=(0, 0),
    flexible=0,
    request="""
        deletions: []
            name: string
            mechanism: int8
        upsertions: []
            name: string
            mechanism: int8
            iterations: int32
            salt: bytes
            salted_password: bytes
    """,
    response="""
        throttle_time_ms: int32 = 0
        results: []
            user: string
            error_code: int16
            error_message: string? = null
    """,
)

_FILTER = """
        resource_type: int8
        resource_name: string?
        pattern_type: int8
        principal: string?
        host: string?
        operation: int8
        permission_type: int8
"""

DESCRIBE_ACLS = Api(
    key=29,
    name="DescribeAcls",
    versions=(1, 3),
    flexible=2,
    request=_FILTER,
    response="""
        throttle_time_ms: int32 = 0
        error_code: int16
        error_message: string? = null
        resources: []
            resource_type: int8
            resource_name: string
            pattern_type: int8
            acls: []
                principal: string
                host: string
                operation: int8
                permission_type: int8
    """,
)

CREATE_ACLS = Api(
    key=30,
    name="CreateAcls",
    versions=(1, 3),
    flexible=2,
    request="""
        creations: []
            resource_type: int8
            resource_name: string
            pattern_type: int8
            principal: string
            host: string
            operation: int8
            permission_type: int8
    """,
    response="""
        throttle_time_ms: int32 = 0
        results: []
            error_code: int16
            error_message: string? = null
    """,
)

DELETE_ACLS = Api(
    key=31,
    name="DeleteAcls",
    versions=(1, 3),
    flexible=2,
    request="""
        filters: []
            resource_type: int8
            resource_name: string?
            pattern_type: int8
            principal: string?
            host: string?
            operation: int8
            permission_type: int8
    """,
    response="""
        throttle_time_ms: int32 = 0
        results: []
            error_code: int16
            error_message: string? = null
            matching_acls: []
                error_code: int16
                error_message: string? = null
                resource_type: int8
                resource_name: string
                pattern_type: int8
                principal: string
                host: string
                operation: int8
                permission_type: int8
    """,
)

APIS = (
    SASL_HANDSHAKE,
    SASL_AUTHENTICATE,
    DESCRIBE_USER_SCRAM_CREDENTIALS,
    ALTER_USER_SCRAM_CREDENTIALS,
    DESCRIBE_ACLS,
    CREATE_ACLS,
    DELETE_ACLS,
)
