"""A function that adds up orders per customer."""

import base64
import json

totals: dict[str, float] = {}


def handler(event, context):
    for records in event["records"].values():
        for record in records:
            order = json.loads(base64.b64decode(record["value"]))
            totals[order["customer"]] = totals.get(order["customer"], 0) + order["amount"]
