from wallet import idempotent_handler, naive_handler

from pytest_msk import assert_at_least_once, assert_ordered


def test_retried_batch_credits_the_good_payments_twice(paid, msk_esm, wallets, audit):
    """The bug: the third record fails, the whole batch comes again, and the first three are credited again."""
    esm = msk_esm(naive_handler(wallets, audit), paid, batch_size=5)
    failed, succeeded = esm.drain()

    assert failed.error == "ConnectionError: audit service unavailable"
    assert succeeded.error is None
    assert wallets.balances == {"w1": 80}, "50 were paid"


def test_event_that_comes_twice_is_credited_once(msk_event, wallets):
    """Lambda promises to deliver at least once: the handler alone, called with the same event again."""
    event = msk_event([{"id": "p1", "wallet": "w1", "amount": 10}], topic="payments")
    handler = idempotent_handler(wallets, audit=[].append)
    handler(event, None)
    handler(event, None)

    assert wallets.balances == {"w1": 10}


def test_idempotent_function_credits_each_payment_once(paid, msk_esm, wallets, audit):
    esm = msk_esm(idempotent_handler(wallets, audit), paid, batch_size=5)
    esm.drain()

    assert wallets.balances == {"w1": 50}
    assert_at_least_once(esm)
    assert_ordered(esm)
