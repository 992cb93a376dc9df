from wallet import idempotent_handler, naive_handler

from pytest_msk import assert_at_least_once, assert_ordered


def test_retried_batch_credits_the_good_payments_twice(paid, msk_esm, wallets, audit):
    """The bug: the third record fails, the whole batch comes again, and the first three are credited again."""
    esm = msk_esm(naive_handler(wallets, audit), paid, batch_size=5)
    failed, succeeded = esm.drain()

    assert failed.error == "ConnectionError: audit service unavailable"
    assert succeeded.error is None
    assert wallets.balances == {"w1": 80}, "50 were paid"


def test_idempotent_function_credits_each_payment_once(paid, msk_esm, wallets, audit):
    esm = msk_esm(idempotent_handler(wallets, audit), paid, batch_size=5)
    esm.drain()

    assert wallets.balances == {"w1": 50}
    assert_at_least_once(esm)
    assert_ordered(esm)
