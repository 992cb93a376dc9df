"""What a failed test says of its mappings: in the terminal, under xdist, in CI, in unittest, and as a page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FAILING = """
    import pytest

    @pytest.mark.msk(clock="2026-01-01T00:00:00Z")
    def test_poison(msk_topic, msk_esm):
        topic = msk_topic("orders", partitions=2)
        topic.produce_many([{"kind": "a"}, {"kind": "b"}, {"kind": "a"}], partition=1)

        def charge(event, context):
            print("charging")
            raise KeyError("amount")

        pattern = '{"value": {"kind": ["a"]}}'
        esm = msk_esm(charge, topic, consumer_group_id="billing", filter_criteria={"Filters": [{"Pattern": pattern}]})
        esm.drain(max_attempts=3)
"""
SECTION = [
    "*- msk: orders -> charge -*",
    "3 calls, 3 failed, lag 3; group billing; Enabled",
    "  seconds*orders-0*orders-1*",
    "   +0.000 state        .        .        Creating, Enabled",
    "   +0.000 assigned     from 0   from 0",
    "   +0.000 filtered     .        1",
    "   +0.500 batch 1.1-3  .        0,2      FAILED x3 KeyError: 'amount'",
    "! blocked-record: orders-1 offset 0 in batch 1 failed: 3 times, at last with*",
    "*orders-1 offset 1 was filtered:",
    "  filter 1, *, does not match:",
    '  value.kind: "b", but wanted is "a"',
]


def test_a_failed_test_shows_its_deliveries(pytester):
    pytester.makepyfile(FAILING)
    result = pytester.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([line.replace("[", "[[]") for line in SECTION])
    assert "\033[" not in result.stdout.str()


def test_workers_of_xdist_send_them_to_the_terminal(pytester):
    pytester.makepyfile(FAILING)
    result = pytester.runpytest("-n", "2")
    result.stdout.fnmatch_lines([line.replace("[", "[[]") for line in SECTION])


def test_the_terminal_has_colour_and_the_file_for_ci_has_none(pytester):
    pytester.makepyfile(FAILING)
    result = pytester.runpytest("--color=yes", "--junit-xml=out.xml")
    assert "\033[31mFAILED x3 KeyError: 'amount'\033[0m" in result.stdout.str()
    assert "\033" not in Path("out.xml").read_text("utf-8")
    assert "#x1B" not in Path("out.xml").read_text("utf-8")


def test_a_session_without_a_failed_mapping_loads_no_report(pytester):
    pytester.makepyfile(
        """
        def test_passes(msk_topic, msk_esm):
            msk_esm(lambda event, context: None, msk_topic()).drain()

        def test_fails():
            assert False

        """
    )
    pytester.makeconftest(
        """
        import sys

        def pytest_unconfigure():
            print("reports:", [name for name in sys.modules if name.startswith("pytest_msk.report")])
        """
    )
    result = pytester.runpytest_subprocess("--color=yes", "-s")
    result.stdout.fnmatch_lines(["*reports: [[]]"])


def test_what_a_test_made_does_not_live_as_long_as_the_session(pytester):
    pytester.makepyfile(
        """
        import gc
        from pytest_msk.sandbox import Sandbox

        def test_makes_one(msk_topic, msk_esm):
            msk_esm(lambda event, context: None, msk_topic()).drain()

        def test_is_gone():
            gc.collect()
            assert not [found for found in gc.get_objects() if type(found) is Sandbox]
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)


def test_a_test_that_passes_or_has_no_mapping_shows_nothing(pytester):
    pytester.makepyfile(
        """
        def test_passes(msk_topic, msk_esm):
            topic = msk_topic()
            topic.produce("x")
            msk_esm(lambda event, context: None, topic).drain()

        def test_has_no_mapping(msk_topic):
            msk_topic()
            assert False
        """
    )
    result = pytester.runpytest()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.no_fnmatch_line("*- msk: *")


def test_a_method_of_unittest_shows_them_too(pytester):
    pytester.makepyfile(
        """
        import unittest
        import pytest
        from pytest_msk import assert_at_least_once

        class TestOrders(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def _make(self, msk_topic, msk_esm):
                self.topic, self.esm = msk_topic, msk_esm

            def test_orders(self):
                topic = self.topic("orders")
                topic.produce("x")
                assert_at_least_once(self.esm(lambda event, context: None, topic))
        """
    )
    result = pytester.runpytest("--assert=plain")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*unseen: orders-0 offset 0 never reached the mapping: call esm.drain() first*",
            "*- msk: orders -> -lambda- -*",
            "0 calls, lag 1; *",
        ]
    )


def test_several_mappings_share_a_screen(pytester):
    pytester.makepyfile(
        """
        def test_two(msk_topic, msk_esm):
            topic = msk_topic("orders", partitions=30)
            for n in range(60):
                topic.produce(str(n), partition=n % 30)
            for name in ("one", "two"):
                msk_esm(lambda event, context: None, topic, batch_size=1, consumer_group_id=name).drain()
            assert False
        """
    )
    result = pytester.runpytest("-q", "--tb=line")
    lines = result.stdout.lines
    (first, second) = [n for n, line in enumerate(lines) if "- msk: orders -> -lambda- -" in line] or (0, 0)
    assert 5 < second - first <= 12
    assert all(len(line) <= 80 for line in lines[first:second])
    assert any("+26 partitions" in line for line in lines[first:second])
    assert any(re.search(r"\.\.\. \d+ calls, none of them failed", line) for line in lines[first:second])


def test_a_report_that_cannot_be_made_does_not_hide_the_failure(pytester):
    pytester.makepyfile(
        """
        def test_fails(msk_topic, msk_esm):
            esm = msk_esm(lambda event, context: None, msk_topic())
            esm.journal = None
            assert 1 == 2
        """
    )
    result = pytester.runpytest()
    result.stdout.fnmatch_lines(["E * assert 1 == 2", "*- msk: no deliveries -*", "They could not be drawn: *"])


def test_a_broker_that_is_gone_leaves_the_timeline(pytester):
    pytester.makepyfile(
        """
        def test_fails(msk_topic, msk_esm, msk_broker):
            topic = msk_topic("orders")
            topic.produce("x")
            msk_esm(lambda event, context: None, topic).drain()
            msk_broker.delete_topic("orders")
            assert False
        """
    )
    result = pytester.runpytest()
    result.stdout.fnmatch_lines(["*batch 1 *ok window", "(the log could not be looked at: *"])


# --- pages


def pages(folder: str = "pages") -> dict[str, str]:
    return {path.name: path.read_text("utf-8") for path in Path(folder).glob("*.html")}


def test_a_page_of_each_test_that_used_a_mapping(pytester):
    pytester.makepyfile(
        FAILING
        + """
    @pytest.mark.parametrize("text", ["<b>"])
    def test_passes(msk_topic, msk_esm, text):
        topic = msk_topic("orders")
        topic.produce("x")
        msk_esm(lambda event, context: None, topic).drain()

    def test_has_no_mapping():
        pass
    """
    )
    result = pytester.runpytest("--msk-report=pages")
    result.assert_outcomes(failed=1, passed=2)
    found = pages()
    assert sorted(name.rpartition("-")[0].partition(".py-")[2] for name in found) == ["test_passes-b", "test_poison"]
    for name, page in found.items():
        assert page.startswith("<!doctype html>")
        assert "<svg" in page
        assert "prefers-color-scheme: dark" in page
        assert not re.search(r"""(src|href)\s*=|url\(|@import|<script|https?://""", page), "it needs no network"
        assert ("test_poison" in name) == ("KeyError: &#39;amount&#39;" in page)
    (failed,) = [page for name, page in found.items() if "test_poison" in name]
    for text in (
        "blocked-record",
        "charging",
        "value.kind: &#34;b&#34;, but wanted is &#34;a&#34;",
        "batch 1, tries 1-3",
    ):
        assert text in failed
    (passed,) = [page for name, page in found.items() if "test_passes" in name]
    assert "test_passes[&lt;b&gt;]" in passed
    assert "<b>" not in passed.partition("</h1>")[0]


def test_each_worker_writes_its_own_pages(pytester):
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("n", range(4))
        def test_each(msk_topic, msk_esm, n):
            msk_esm(lambda event, context: None, msk_topic()).drain()
        """
    )
    pytester.runpytest("-n", "2", "--msk-report=pages").assert_outcomes(passed=4)
    assert len(pages()) == 4


def test_no_folder_no_page(pytester):
    pytester.makepyfile(FAILING)
    pytester.runpytest()
    assert not list(Path().glob("**/*.html"))


def test_pytest_html_links_to_the_page(pytester):
    pytest.importorskip("pytest_html")
    pytester.makepyfile(FAILING)
    pytester.runpytest_subprocess("--msk-report=out/pages", "--html=out/all.html").assert_outcomes(failed=1)
    (name,) = pages("out/pages")
    assert f"pages/{name}" in Path("out/all.html").read_text("utf-8")


# --- failed comparisons


def test_records_that_differ_are_told_apart_by_their_fields(pytester):
    pytester.makepyfile(
        """
        from dataclasses import replace
        from pytest_msk import Record, msk_event

        record = Record(topic="orders", partition=1, offset=7, timestamp=5, key=b"c-1", value=b'{"id": 1, "total": 5}')

        def test_records():
            assert record == replace(record, offset=8, value=b'{"id": 1, "total": 6}')

        def test_lists():
            assert [record] == [record, replace(record, offset=8)]

        def test_events():
            assert msk_event([{"id": 1}], timestamp=1) == msk_event([{"id": 2}], timestamp=1)
        """
    )
    result = pytester.runpytest()
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(
        [
            "E *assert Record of orders-1 at offset 7 == Record of orders-1 at offset 8",
            "E *offset: 7 != 8",
            'E *value: b*"total": 5}* != b*"total": 6}*',
            "E *total: 5 != 6",
            "E *assert 1 item == 2 items",
            "E *at index 1 only right has Record(*",
            "E *assert 1 item == 1 item",
            "E *at index 0, Record of orders-0 at offset 0:",
            "E *id: 1 != 2",
        ]
    )


def test_other_comparisons_are_left_to_pytest(pytester):
    pytester.makepyfile("def test_other():\n    assert {'a': 1} == {'a': 2}")
    pytester.runpytest().stdout.fnmatch_lines(["E *Differing items:"])
