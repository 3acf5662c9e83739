"""One fact that two rules see reaches a person once, with the reason why the other was not told."""

from __future__ import annotations

from datetime import timedelta

from tocsin.alerts.decide import Circumstances, holds_on_alert
from tocsin.alerts.inhibit import Inhibitor
from tocsin.alerts.silence import Silencer
from tocsin.detect.rules.instead_of import inhibitions
from tocsin.detect.rules.library import packs
from tocsin.detect.rules.rule import RuleFile
from tocsin.detect.rules.rule_text import read_rules, write_rules
from tocsin.model.alert import Alert
from tocsin.model.alert_state import KnownAlert
from tocsin.model.clock import utc_now

TEXT = """
groups:
  - name: one
    rules:
      - alert: Better
        expr: up == 0
        tocsin: {instead_of: {alert: Worse, equal: [service]}}
"""
NOW = utc_now()


def why_held(files: list[RuleFile], source: dict[str, str], target: dict[str, str]) -> list[str]:
    inhibitor = Inhibitor.over(inhibitions(files), [Alert(source, starts_at=NOW)])
    known = KnownAlert(Alert(target, starts_at=NOW, ends_at=NOW + timedelta(hours=1)), NOW)
    return [hold.reason for hold in holds_on_alert(known, Circumstances(inhibitor, Silencer(())), NOW)]


def shipped(**labels: str) -> list[str]:
    files = [loaded.file for loaded in packs("slo")]
    source = {"alertname": "Isolation Crossing", "service": "shop", "table": "orders", "http_route": "/o"}
    return why_held(files, source, {"alertname": "TenantIsolationBroken", "job": "shop", **labels})


def test_crossing_is_told_as_the_event_and_not_a_second_time_as_the_count() -> None:
    told = shipped(service="shop", table="orders", tenant="acme")
    assert told == ["inhibited by Isolation Crossing, which tells the same"]


def test_crossing_of_another_table_or_service_is_told() -> None:
    assert shipped(service="shop", table="invoices", tenant="acme") == []
    assert shipped(service="mail", table="orders", tenant="acme") == []


def test_tenants_rule_stands_for_that_tenants_alerts_alone() -> None:
    files = [read_rules(f"tocsin: {{tenant: acme}}{TEXT}", "a.yaml")]
    source = {"alertname": "Better", "service": "shop", "tenant": "acme"}
    worse = {"alertname": "Worse", "service": "shop"}
    assert why_held(files, source, {**worse, "tenant": "acme"})
    assert not why_held(files, source, {**worse, "tenant": "globex"})
    assert not why_held(files, {**source, "tenant": "globex"}, {**worse, "tenant": "globex"})


def test_file_is_written_as_it_was_read() -> None:
    file = read_rules(TEXT, "a.yaml")
    assert read_rules(write_rules(file), "a.yaml").rules[0].notes == file.rules[0].notes
