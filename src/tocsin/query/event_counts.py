"""How often something happened of late: events counted by tenant, service or what else tells them apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tocsin.model.tenant import Scope
from tocsin.storage.telemetry.store import TelemetryStore

COLUMNS = ("tenant", "service", "environment", "release", "name")
"""What may tell events apart as it is; anything else is looked for among their attributes."""

MOST = 10_000


def event_counts(
    store: TelemetryStore,
    scope: Scope,
    names: Sequence[str],
    where: Mapping[str, str],
    by: Sequence[str],
    start_ms: int,
    end_ms: int,
) -> list[tuple[dict[str, str], float]]:
    """The label sets with how many events of these names they had after start, up to end; empty labels are left out.

    where: columns or attributes that must have these values. At most 10,000 label sets, those with the most events.
    """
    parameters: dict[str, object] = {}

    def term(key: str) -> str:
        if key in COLUMNS:
            return f"CAST({key}, 'String')"
        name = f"key{len(parameters)}"
        parameters[name] = key
        return f"attributes[{{{name}:String}}]"

    conditions = []
    for key, value in where.items():
        column = term(key)
        name = f"value{len(parameters)}"
        parameters[name] = value
        conditions.append(f"AND {column} = {{{name}:String}}")
    columns = [f"{term(key)} AS by{place}" for place, key in enumerate(by)]
    grouping = f"GROUP BY {', '.join(f'by{place}' for place in range(len(by)))}" if by else "HAVING count() > 0"
    sql = (
        f"SELECT {''.join(f'{column}, ' for column in columns)}count() AS total FROM events "
        f"WHERE name IN ({{names:Array(String)}}) AND time > fromUnixTimestamp64Milli({{start:Int64}}) "
        f"AND time <= fromUnixTimestamp64Milli({{end:Int64}}) {' '.join(conditions)} {grouping} "
        f"ORDER BY total DESC LIMIT {MOST}"
    )
    rows = store.read(scope, sql, names=list(names), start=start_ms, end=end_ms, **parameters).dicts()  # type: ignore[arg-type]  # texts alone
    made = []
    for row in rows:
        labels = {key.replace(".", "_"): str(row[f"by{place}"]) for place, key in enumerate(by)}
        made.append(({key: text for key, text in labels.items() if text}, float(row["total"])))
    return made
