"""The sentence that opens a page, in the situations a product gets into."""

from __future__ import annotations

from telemetry_rows import (
    NOW_NS,
    SAY,
    TRACE_ID,
    endpoint_row,
    error_group,
    harmed,
    red,
    service_row,
    summary,
    tenant_row,
)

from tocsin.web import format, headline

NB = format.NARROW
LOGIN = ("accounts", "POST", "/login")


def test_two_tenants_with_one_failing_endpoint_are_named() -> None:
    hurt = [harmed("acme"), harmed("globex", late_s=60)]
    said = headline.overview(SAY, red(errors=9), red(), hurt, 14, [], [error_group()])
    assert said.state == "bad"
    assert said.text == ("Two of 14 tenants are hurt. POST /reports/{id}/export fails for acme and globex since 14:02.")
    assert said.sub_text == (
        "100 of 200 requests failed in the last 2 minutes · TimeoutError · open a failing trace · acme · globex"
    )


def test_what_fails_is_a_link_and_marked_as_harm() -> None:
    said = headline.overview(SAY, red(errors=9), red(), [harmed("acme")], 14, [], [])
    part = next(part for part in said.parts if part.is_harm)
    assert part.href == "/services/reports/endpoint?method=POST&route=/reports/{id}/export"


def test_next_step_without_a_known_error_is_the_search_for_failing_traces() -> None:
    said = headline.overview(SAY, red(errors=9), red(), [harmed("acme")], 14, [], [])
    assert "/traces?status=error" in [part.href for part in said.sub]


def test_error_of_another_tenant_is_not_given_as_the_reason() -> None:
    said = headline.overview(SAY, red(errors=9), red(), [harmed("acme")], 14, [], [error_group(tenants=("globex",))])
    assert "TimeoutError" not in said.sub_text


def test_one_tenant_of_many() -> None:
    said = headline.overview(SAY, red(errors=9), red(), [harmed("acme")], 14, [], [])
    assert said.text.startswith("One of 14 tenants is hurt. ")


def test_all_tenants() -> None:
    said = headline.overview(SAY, red(errors=9), red(), [harmed("acme"), harmed("globex")], 2, [], [])
    assert said.text.startswith("Both tenants are hurt. ")


def test_only_tenant_there_is_by_name() -> None:
    said = headline.overview(SAY, red(errors=9), red(), [harmed("acme")], 1, [], [])
    assert said.text == "acme is hurt: POST /reports/{id}/export fails since 14:02."


def test_different_endpoints_get_a_clause_each_and_the_rest_a_count() -> None:
    other = ("billing", "GET", "/invoices")
    hurt = [harmed("acme", errors=90), harmed("globex", LOGIN, 50), harmed("initech", other, 5)]
    said = headline.overview(SAY, red(errors=9), red(), hurt, 14, [], [])
    assert said.text == (
        "Three of 14 tenants are hurt. POST /reports/{id}/export fails for acme since 14:02, "
        "POST /login fails for globex since 14:02, and 1 more endpoint fails."
    )


def test_many_tenants_are_summed_up() -> None:
    said = headline.overview(SAY, red(errors=9), red(), [harmed(f"t{n}") for n in range(6)], 14, [], [])
    assert "fails for t0, t1 and 4 more since 14:02." in said.text


def test_failures_without_a_tenant_are_not_counted_as_one() -> None:
    said = headline.overview(SAY, red(errors=9), red(), [harmed("")], 14, [], [])
    assert said.text == "POST /reports/{id}/export fails since 14:02."


def test_harm_at_no_particular_endpoint() -> None:
    said = headline.overview(SAY, red(errors=9), red(), [harmed("acme", None)], 14, [], [])
    assert said.text == "One of 14 tenants is hurt. Requests fail for acme since 14:02."


def test_failures_that_hurt_nobody_in_particular() -> None:
    rows = [endpoint_row(LOGIN, red(errors=2)), endpoint_row(figures=red(errors=70))]
    said = headline.overview(SAY, red(errors=80), red(), [], 14, rows, [error_group()])
    assert said.state == "bad"
    assert said.text == "8 % of the requests failed in the last hour, most at POST /reports/{id}/export."
    assert f"/traces/{TRACE_ID}" in [part.href for part in said.sub]


def test_a_few_failures_are_a_warning() -> None:
    assert headline.overview(SAY, red(errors=20), red(), [], 14, [], []).state == "warn"


def test_single_failures_are_no_headline() -> None:
    assert headline.overview(SAY, red(errors=5), red(), [], 14, [], []).text == "All is well."


def test_slowness_is_measured_against_the_time_before() -> None:
    said = headline.overview(SAY, red(p95=0.6), red(p95=0.2), [], 14, [], [])
    assert said.state == "warn"
    assert said.text == f"Answers come slower: p95 600{NB}ms, 3× that of the hour before."


def test_slowness_nobody_feels_is_none() -> None:
    assert headline.overview(SAY, red(p95=0.03), red(p95=0.005), [], 14, [], []).state == "ok"


def test_slowness_needs_a_time_before() -> None:
    assert headline.overview(SAY, red(p95=5), red(requests=0), [], 14, [], []).state == "ok"


def test_all_is_well_is_short() -> None:
    said = headline.overview(SAY, red(14_200), red(), [], 14, [], [])
    assert said.text == "All is well."
    assert said.sub_text == f"14.2k requests from 14 tenants, none failed, p95 200{NB}ms."


def test_requests_are_well_while_alerts_fire() -> None:
    said = headline.overview(SAY, red(14_200), red(), [], 14, [], [], 2)
    assert (said.state, said.text) == ("warn", "Requests are well, but 2 alerts fire.")


def test_no_requests_is_said_and_offers_a_longer_time() -> None:
    said = headline.overview(SAY, red(0), red(), [], 0, [], [])
    assert said.text == "No requests in the last hour."
    assert "?range=24h" in [part.href for part in said.sub]


def test_nothing_ever_received() -> None:
    assert headline.nothing_yet().text == "Nothing has arrived yet."


def test_tenants_all_well_names_the_busiest() -> None:
    said = headline.tenants(SAY, [tenant_row("acme", red(3000)), tenant_row("globex", red(1000))], [])
    assert said.text == "Both tenants are well."
    assert said.sub_text == "acme is the busiest with 75 % of the requests."


def test_tenants_hurt() -> None:
    said = headline.tenants(SAY, [tenant_row("acme"), tenant_row("globex")], [harmed("acme")])
    assert said.text.startswith("One of 2 tenants is hurt. ")


def test_tenant_that_failed_earlier_is_a_warning() -> None:
    rows = [tenant_row("acme", red(errors=90)), tenant_row("globex", red(errors=60)), tenant_row("initech")]
    said = headline.tenants(SAY, rows, [])
    assert said.state == "warn"
    assert said.text == "acme has 9 % failed requests in the last hour, 1 more tenant above 5%."


def test_requests_without_a_tenant_say_what_to_set() -> None:
    said = headline.tenants(SAY, [tenant_row("")], [])
    assert said.text == "Requests arrive without a tenant."
    assert "TOCSIN_TENANT" in said.sub_text


def test_no_tenant_at_all() -> None:
    assert headline.tenants(SAY, [], []).text == "No requests in the last hour."


def test_tenant_hurt_does_not_link_to_itself() -> None:
    said = headline.tenant(SAY, "acme", red(errors=9), red(), [harmed("globex"), harmed("acme")], [])
    assert said.text == "acme is hurt: POST /reports/{id}/export fails since 14:02."
    assert "/tenants/acme" not in [part.href for part in said.sub]


def test_tenant_slower_than_the_platform() -> None:
    said = headline.tenant(SAY, "acme", red(p95=0.9), red(p95=0.3), [], [])
    assert said.text == f"acme waits longer than the platform: p95 900{NB}ms against 300{NB}ms."


def test_tenant_viewer_is_compared_with_nobody() -> None:
    assert headline.tenant(SAY, "acme", red(p95=0.9), None, [], []).text == "acme is well."


def test_tenant_without_requests() -> None:
    assert headline.tenant(SAY, "acme", red(0), red(), [], []).text == "acme sent no requests in the last hour."


def test_services_name_the_failing_one_with_its_tenants() -> None:
    said = headline.services(SAY, [service_row("reports"), service_row("accounts")], [harmed("acme")])
    assert said.text == f"reports fails for acme since {SAY.clock(harmed('acme').since_ns)}."
    assert "open the failing traces" in said.sub_text


def test_services_with_failures_of_nobody_in_particular() -> None:
    said = headline.services(SAY, [service_row("reports", red(errors=30)), service_row("accounts")], [])
    assert (said.state, said.text) == ("warn", "reports fails: 3 % of the requests.")


def test_many_failing_services_are_counted_after_the_third() -> None:
    rows = [service_row(name, red(errors=30)) for name in ("a", "b", "c", "d", "e")]
    assert headline.services(SAY, rows, []).text == "a, b, c and 2 more fail: 3 % of the requests."


def test_services_well_but_one_is_silent() -> None:
    silent = service_row("billing", heard_ns=NOW_NS - 7200 * 10**9)
    said = headline.services(SAY, [service_row("reports"), silent], [])
    assert said.text == "Both services are well."
    assert said.sub_text == f"billing was last heard 2{NB}h ago."


def test_service_ignores_harm_elsewhere() -> None:
    said = headline.service(SAY, "accounts", red(), red(), [harmed("acme")], [], [])
    assert said.text == "accounts is well."


def test_endpoint_failing() -> None:
    said = headline.endpoint(SAY, "POST /login", red(errors=9), red(), [harmed("acme", LOGIN)], [error_group()])
    assert said.text == "POST /login fails for acme since 14:02."
    assert said.sub_text == "Mostly TimeoutError, 328 times · open a failing trace"


def test_endpoint_slower() -> None:
    said = headline.endpoint(SAY, "POST /login", red(p95=1), red(p95=0.5), [], [])
    assert said.text == f"POST /login answers slower: p95 1{NB}s, 2× that of the hour before."


def test_endpoint_with_failures_now_over() -> None:
    said = headline.endpoint(SAY, "POST /login", red(errors=30), red(), [], [])
    assert (said.state, said.text) == ("warn", "3 % of POST /login failed in the last hour.")


def test_traces_with_failures_say_whose() -> None:
    found = [summary(is_error=True), summary(), summary(is_error=True, tenant="globex")]
    said = headline.traces(SAY, found, True, False)
    assert said.text == "The newest 3 traces, two failed for acme and globex."


def test_traces_all_failed() -> None:
    assert headline.traces(SAY, [summary(is_error=True)], False, True).text == "1 trace, all failed for acme."


def test_traces_without_failures_name_the_slowest() -> None:
    said = headline.traces(SAY, [summary(took_ms=40), summary(took_ms=900)], False, False)
    assert said.text == "2 traces, none failed."
    assert said.sub_text == f"Slowest: GET /reports, 900{NB}ms"


def test_search_without_a_match() -> None:
    assert headline.traces(SAY, [], False, True).text == "No trace matches."
    assert headline.traces(SAY, [], False, False).text == "No traces in the last hour."


def test_names_with_slashes_stay_one_path_segment() -> None:
    said = headline.tenants(SAY, [tenant_row("a/b", red(errors=90))], [])
    assert said.parts[0].href == "/tenants/a%2Fb"
