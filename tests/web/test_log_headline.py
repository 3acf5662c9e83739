"""The sentences that open the pages of logs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from telemetry_rows import NOW_NS, SAY

from tocsin.model.log_views import BUILT_IN
from tocsin.query.log_counts import LogHistogram, LogTotals, Loud
from tocsin.query.logs import LogLine
from tocsin.web import log_headline

NOW = NOW_NS // 10**9
CALM = LogTotals(1000, 0, [Loud("shop", 700, 0), Loud("billing", 300, 0)], [Loud("acme", 600, 0), Loud("", 400, 0)])
FAILING = LogTotals(1000, 54, [Loud("shop", 400, 50), Loud("billing", 600, 4)], [Loud("acme", 600, 54)])
LINE = LogLine(
    id="1-0", time_ns=NOW_NS, observed_ns=0, tenant="acme", environment="production", service="shop", release="2.1",
    severity=17, severity_text="ERROR", level="error", message="pool is empty\nafter 30 s",
    body="pool is empty\nafter 30 s", body_characters=24, event_name="", trace_id="ab" * 16, span_id="",
    logger="shop.pool", attributes={}, resource={},
)  # fmt: skip


def bars(errors: list[int]) -> LogHistogram:
    times = [NOW - 60 * (len(errors) - place) for place in range(len(errors))]
    return LogHistogram(times, 60, {"info": [20] * len(errors), "error": errors})


FLAT = bars([1] * 60)


def said(totals: LogTotals, counted: LogHistogram = FLAT, view: str = "", is_narrowed: bool = False) -> tuple[str, str]:
    headline = log_headline.logs(SAY, totals, LogTotals(500), counted, BUILT_IN.get(view), is_narrowed)
    return headline.text, headline.state


def test_all_is_well_in_a_short_sentence() -> None:
    words, state = said(CALM, bars([0] * 60))
    assert words == "1,000 lines in the last hour, none of them errors; shop writes 70 % of them."
    assert state == "ok"


def test_errors_name_their_service_and_tenant() -> None:
    words, state = said(FAILING)
    assert words == "1,000 lines in the last hour, 5.4 % of them errors; most errors come from shop and are about acme."
    assert state == "warn"


@pytest.mark.parametrize(
    ("errors", "words", "state"),
    [
        (
            [0] * 40 + [9] * 20,
            "Errors in the logs began at 13:50; most errors come from shop and are about acme.",
            "bad",
        ),
        ([2] * 40 + [30] * 20, "Errors in the logs are 15× as many since 13:50; most errors come from", "bad"),
        ([0] * 9 + [1] + [0] * 30 + [30] * 20, "Errors in the logs went up from next to none at 13:50; ", "bad"),
        ([30] * 40 + [0] * 20, "Errors in the logs ended at 13:50; ", "warn"),
        ([30] * 40 + [3] * 20, "Errors in the logs fell to 10 % at 13:50; ", "warn"),
    ],
)
def test_what_changed_comes_first_with_its_time(errors: list[int], words: str, state: str) -> None:
    text, shown = said(FAILING, bars(errors))
    assert text.startswith(words)
    assert shown == state


def test_a_view_is_named_and_its_own_lines_are_what_changes() -> None:
    assert said(CALM, bars([0] * 60), "security")[0].startswith("1,000 lines in Security in the last hour; ")
    counted = replace(FLAT, by_level={"warn": [0] * 30 + [8] * 30})
    assert said(CALM, counted, "slow-queries")[0].startswith("Lines in Slow queries began at 13:40")


def test_nothing_found_is_not_nothing_logged() -> None:
    assert said(LogTotals(), is_narrowed=True)[0] == "No line fits in the last hour."
    headline = log_headline.logs(SAY, LogTotals(), LogTotals(500), FLAT, None, is_narrowed=False)
    assert headline.text == "Nothing was logged in the last hour."
    assert headline.sub_text == "500 lines in the hour before."


def test_a_line_is_quoted_with_who_wrote_it() -> None:
    headline = log_headline.line(SAY, LINE)
    assert (headline.text, headline.state) == ("pool is empty", "bad")
    assert "shop · acme · shop.pool · release 2.1 · production" in headline.sub_text
    assert log_headline.quoted(replace(LINE, message="x" * 500)) == "x" * 140 + "…"
    assert log_headline.quoted(replace(LINE, message=" ", event_name="order.paid")) == "order.paid"
