"""A function that credits wallets, with a bug that only a retried batch shows: it credits a payment twice."""

import base64
import json


class Wallets:
    def __init__(self) -> None:
        self.balances: dict[str, int] = {}
        self.credited: set[str] = set()

    def credit(self, wallet: str, amount: int) -> None:
        self.balances[wallet] = self.balances.get(wallet, 0) + amount

    def credit_once(self, payment: str, wallet: str, amount: int) -> None:
        if payment not in self.credited:
            self.credited.add(payment)
            self.credit(wallet, amount)


def payments(event):
    for records in event["records"].values():
        for record in records:
            yield json.loads(base64.b64decode(record["value"]))


def naive_handler(wallets: Wallets, audit):
    def handler(event, context):
        for payment in payments(event):
            wallets.credit(payment["wallet"], payment["amount"])
            audit(payment)

    return handler


def idempotent_handler(wallets: Wallets, audit):
    def handler(event, context):
        for payment in payments(event):
            wallets.credit_once(payment["id"], payment["wallet"], payment["amount"])
            audit(payment)

    return handler
