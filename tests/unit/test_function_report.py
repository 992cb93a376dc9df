"""What pytest shows of a handler that fails: the handler, and nothing of the kit's way to it."""

from __future__ import annotations

import pytest

SHOP = """
    def handler(event, context):
        order = {"id": 1}
        return order["total"]
"""
ORDERS = """
    import pytest
    from pytest_msk import LambdaFunction
    from shop import handler

    @pytest.mark.parametrize("target", [handler, "shop.handler"], ids=["callable", "name"])
    @pytest.mark.parametrize(
        "settings", [{}, {"real_time_limit": 30}, {"environment": {"TABLE": "A"}}], ids=["plain", "limit", "variables"]
    )
    def test_orders(msk_topic, msk_esm, target, settings):
        topic = msk_topic()
        topic.produce({"id": 1})
        msk_esm(LambdaFunction(target, **settings), topic).drain(max_attempts=2)
"""
KITS_WAY = r".*pytest_msk[/\\]functions[/\\]"


@pytest.mark.parametrize(
    ("style", "frame"), [("auto", "shop.py:3: KeyError"), ("short", "shop.py:3: in handler")], ids=["auto", "short"]
)
def test_a_blocked_delivery_shows_the_handlers_frame_and_none_of_the_kits_way_to_it(pytester, style, frame):
    pytester.makepyfile(shop=SHOP, test_orders=ORDERS)
    result = pytester.runpytest_subprocess(f"--tb={style}")
    result.assert_outcomes(failed=6)
    assert result.outlines.count(frame) == 6
    result.stdout.fnmatch_lines(["E *KeyError: 'total'", "* msk_esm(LambdaFunction(*", "E *DeliveryBlocked: Batch 1 *"])
    result.stdout.no_re_match_line(KITS_WAY)


def test_a_module_that_fails_is_shown_and_none_of_the_kits_way_to_it(pytester):
    orders = ORDERS.replace("from shop import handler", "").replace('[handler, "shop.handler"]', '["shop.handler"] * 2')
    pytester.makepyfile(shop="raise LookupError('no table')", test_orders=orders)
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=6)
    assert result.outlines.count("shop.py:1: LookupError") == 6
    result.stdout.no_re_match_line(KITS_WAY)


def test_a_handler_that_fails_the_test_is_shown_without_the_kits_way_to_it(pytester):
    pytester.makepyfile(
        """
            import pytest
            from pytest_msk import LambdaFunction, msk_event

            def handler(event, context):
                pytest.fail("never called")

            @pytest.mark.parametrize("limit", [None, 30])
            def test_orders(limit):
                LambdaFunction(handler, real_time_limit=limit).invoke(msk_event())
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["E *Failed: never called"])
    result.stdout.no_re_match_line(KITS_WAY)
