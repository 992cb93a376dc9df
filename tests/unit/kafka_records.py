"""Hypothesis strategies for Kafka records, and their event form written a second time, from the specification."""

from __future__ import annotations

from base64 import b64encode

from hypothesis import strategies as st

from pytest_msk import Record, SchemaMetadata

LEGAL = "abcxyzABCXYZ0189._-"

topics = st.text(LEGAL, min_size=1, max_size=12)
raw_bytes = st.binary(max_size=40)
#: Few names, so that one comes twice; any text that UTF-8 can hold.
header_names = st.sampled_from(["", "h", "H", 'q"uo\\te', "ë\u2028"]) | st.text(
    st.characters(codec="utf-8"), max_size=5
)
headers = st.lists(st.tuples(header_names, st.none() | raw_bytes), max_size=4).map(tuple)
schema_metadata = st.none() | st.builds(
    SchemaMetadata,
    data_format=st.sampled_from(["AVRO", "JSON", "PROTOBUF"]),
    schema_id=st.text("0123456789-", max_size=9),
)
records = st.builds(
    Record,
    topic=topics,
    partition=st.integers(0, 2**31 - 1),
    offset=st.integers(0, 2**63 - 1),
    timestamp=st.integers(-1, 2**63 - 1),
    timestamp_type=st.sampled_from(["CREATE_TIME", "LOG_APPEND_TIME"]),
    key=st.none() | raw_bytes,
    value=st.none() | raw_bytes,
    headers=headers,
    key_schema_metadata=schema_metadata,
    value_schema_metadata=schema_metadata,
)


def event_form(record: Record, *, null_tombstones: bool = False) -> dict[str, object]:
    """A record as spec 1.2 to 1.4 describe it."""
    form: dict[str, object] = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "timestampType": record.timestamp_type,
        "headers": [
            {name: None if value is None else [byte - 256 if byte > 127 else byte for byte in value]}
            for name, value in record.headers
        ],
    }
    if record.key is not None:
        form["key"] = b64encode(record.key).decode("ascii")
    if record.value is not None:
        form["value"] = b64encode(record.value).decode("ascii")
    elif null_tombstones:
        form["value"] = None
    if record.key_schema_metadata is not None:
        form["keySchemaMetadata"] = _metadata_form(record.key_schema_metadata)
    if record.value_schema_metadata is not None:
        form["valueSchemaMetadata"] = _metadata_form(record.value_schema_metadata)
    return form


def _metadata_form(metadata: SchemaMetadata) -> dict[str, str]:
    return {"dataFormat": metadata.data_format, "schemaId": metadata.schema_id}
