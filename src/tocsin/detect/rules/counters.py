"""What the evaluation of rules says of itself, under Prometheus' names with our prefix."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Summary

GROUP = ("rule_group",)

evaluation_seconds = Summary("tocsin_rule_evaluation_duration_seconds", "Time that one rule took.")
evaluations = Counter("tocsin_rule_evaluations_total", "Evaluations of rules.", GROUP)
failures = Counter("tocsin_rule_evaluation_failures_total", "Evaluations of rules that failed.", GROUP)
iterations = Counter("tocsin_rule_group_iterations_total", "Evaluations of groups, missed ones included.", GROUP)
missed = Counter(
    "tocsin_rule_group_iterations_missed_total", "Evaluations of groups that came too late to be made.", GROUP
)
last_duration = Gauge("tocsin_rule_group_last_duration_seconds", "Time that a group's last evaluation took.", GROUP)
last_evaluation = Gauge(
    "tocsin_rule_group_last_evaluation_timestamp_seconds", "When a group was evaluated last.", GROUP
)
interval = Gauge("tocsin_rule_group_interval_seconds", "Time between two evaluations of a group.", GROUP)
rules = Gauge("tocsin_rule_group_rules", "Rules of a group.", GROUP)
samples = Gauge("tocsin_rule_group_last_evaluation_samples", "Samples that a group wrote last.", GROUP)
template_errors = Counter("tocsin_rule_template_errors_total", "Templates of rules that could not be filled.")
unreadable_files = Gauge("tocsin_rule_files_unreadable", "Rule files that cannot be read, whose former rules go on.")
alerts_told = Counter("tocsin_rule_alerts_told_total", "Alerts handed to the pipeline, repetitions included.")
not_told = Counter(
    "tocsin_rule_alerts_not_told_total", "Times that the pipeline did not take alerts; they are told again."
)
outside_told = Counter(
    "tocsin_rule_alertmanager_alerts_sent_total", "Alerts that an Alertmanager of ours took.", ("alertmanager",)
)
outside_errors = Counter(
    "tocsin_rule_alertmanager_errors_total", "Requests that an Alertmanager of ours did not take.", ("alertmanager",)
)
outside_dropped = Counter(
    "tocsin_rule_alertmanager_alerts_dropped_total",
    "Alerts that an Alertmanager of ours refused, or that waited for it when too many did.",
    ("alertmanager",),
)
not_written = Counter("tocsin_rule_samples_not_written_total", "Samples of rules that could not be stored.")

ALL_BY_GROUP = (
    evaluations, failures, iterations, missed, last_duration, last_evaluation, interval, rules, samples,
)  # fmt: skip


def forget(group: str) -> None:
    """A group that is gone has no series any more."""
    for metric in ALL_BY_GROUP:
        try:
            metric.remove(group)
        except KeyError:
            pass  # it never had any
