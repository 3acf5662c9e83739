"""Samples of named metrics beside what their series say of themselves, for questions put in SQL."""

from __future__ import annotations


def series_samples(*names: str) -> str:
    """A subquery with name, series, tenant, time, value, labels, service, environment and instance of these metrics.

    `names` are our own, never a caller's. Without the markers that end a series, and other values that are no numbers.
    The time is the column `time`; conditions on it reach the samples.
    """
    listed = ", ".join(f"'{name}'" for name in names)
    return (
        f"SELECT s.name AS name, s.series AS series, s.tenant AS tenant, s.time AS time, s.value AS value, "
        f"i.labels AS labels, i.service AS service, i.environment AS environment, i.instance AS instance "
        f"FROM samples AS s INNER JOIN (SELECT id, any(labels) AS labels, any(service) AS service, "
        f"any(environment) AS environment, any(instance) AS instance FROM series WHERE name IN ({listed}) "
        f"GROUP BY id) AS i ON s.series = i.id WHERE s.name IN ({listed}) AND NOT isNaN(s.value)"
    )
