"""Pays what a topic says; an amount that is none fails the batch."""

import base64
import json
import os

paid = []


def handler(event, context):
    for records in event["records"].values():
        for record in records:
            payment = json.loads(base64.b64decode(record["value"]))
            paid.append(f"{float(payment['amount']):.2f} {os.environ['CURRENCY']}")
