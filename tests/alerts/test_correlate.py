"""Related alerts become one cluster, the likely root first; unrelated ones stay apart, and none is lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tocsin.alerts.correlate import cause_of, compression, correlate
from tocsin.model.alert import Alert

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
TOPOLOGY = {"web": frozenset({"orders"}), "orders": frozenset({"postgres"}), "mail": frozenset({"smtp"})}


def alert(name: str, after: float = 0, **labels: str) -> Alert:
    return Alert({"alertname": name, **labels}, starts_at=NOW + timedelta(seconds=after))


def test_callers_of_a_broken_database_are_one_cluster_with_the_database_first() -> None:
    alerts = [
        alert("HighErrors", 0, service="web", tenant="acme", severity="critical"),
        alert("SlowOrders", 20, service="orders", tenant="acme"),
        alert("DatabaseDown", 40, service="postgres", severity="critical"),
        alert("QueueFull", 10, service="mail"),
    ]
    clusters = correlate(alerts, TOPOLOGY)

    assert [[each.name for each in cluster.alerts] for cluster in clusters] == [
        ["DatabaseDown", "HighErrors", "SlowOrders"], ["QueueFull"],
    ]  # fmt: skip
    assert clusters[0].cause == "Likely root: DatabaseDown of postgres, because orders calls it."
    assert clusters[0].tenants == {"acme": 2}
    assert compression(clusters) == 0.5


def test_far_apart_in_time_is_not_together() -> None:
    clusters = correlate([alert("A", 0, service="web"), alert("B", 3600, service="web")], TOPOLOGY)

    assert len(clusters) == 2


def test_same_name_on_many_hosts_is_one_cluster() -> None:
    alerts = [alert("DiskFull", 3 * place, instance=f"h{place}:9100") for place in range(50)]
    (cluster,) = correlate(alerts, {})

    assert len(cluster.alerts) == 50
    assert cluster.cause == "Likely root: DiskFull, because it began first."


def test_tenants_stay_apart_unless_something_else_joins_them() -> None:
    clusters = correlate([alert("A", 0, tenant="acme"), alert("B", 1, tenant="globex")], {})

    assert len(clusters) == 2


def test_every_alert_is_in_one_cluster_and_the_worst_cluster_is_first() -> None:
    alerts = [alert(f"N{place % 40}", place * 7, tenant=f"t{place % 13}", severity="info") for place in range(500)]
    alerts.append(alert("Breach", 9000, severity="page"))
    clusters = correlate(alerts, TOPOLOGY)

    assert sorted(each.fingerprint for cluster in clusters for each in cluster.alerts) == sorted(
        each.fingerprint for each in alerts
    )
    assert clusters[0].root.name == "Breach"


def test_one_alone_has_no_cause() -> None:
    assert cause_of([alert("A")], {}) == ""
