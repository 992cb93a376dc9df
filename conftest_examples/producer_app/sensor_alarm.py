"""The function behind the gateway: it raises an alarm for readings that are too hot."""

import base64
import json

alarms: list[str] = []


def handler(event, context):
    for records in event["records"].values():
        for record in records:
            reading = json.loads(base64.b64decode(record["value"]))
            if reading["celsius"] > 90:
                alarms.append(base64.b64decode(record["key"]).decode())
