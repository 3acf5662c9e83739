"""How often something happened of late: events and spans counted by tenant, service or what else tells them apart."""

from __future__ import annotations

from tocsin.model.rows import COLUMNS, EVENTS, KINDS, Counted, Rows, label_of
from tocsin.model.tenant import Scope
from tocsin.query.filters import seconds_text
from tocsin.storage.telemetry.engine import Value
from tocsin.storage.telemetry.store import TelemetryStore

MOST = 10_000
"""Label sets of one count; those with the most rows are given."""
MOST_PARTS = 500_000
LONGEST_SECONDS = 3600.0
"""Spans are found by their start and count when they end: it is looked for so much further back."""

_ENDED = "(toUnixTimestamp64Nano(start) + toInt64(duration_ns))"
_KIND = f"transform(kind, {list(range(len(KINDS)))}, {list(KINDS)}, '{KINDS[0]}')"
_IS_ERROR = "(status = 2 OR status_code >= 500)"


class TooManyCountsError(Exception):
    """A time has more counts than are given at once; the message says what to do."""


def row_counts(
    store: TelemetryStore, scope: Scope, rows: Rows, start_ms: int, end_ms: int, part_ms: int
) -> list[Counted]:
    """The label sets with how many rows they had after start, up to end, in each part of the time.

    Empty labels are left out. An event counts at its time, a span at its end. Raises TooManyCountsError.
    """
    select = _Select(rows)
    is_whole = end_ms - start_ms <= part_ms
    most = MOST if is_whole else MOST_PARTS + 1
    found = store.read(
        scope, select.sql(most), **select.parameters, start_ns=start_ms * 10**6, end_ns=end_ms * 10**6,
        part_ns=part_ms * 10**6, first=seconds_text(select.first_ns(start_ms)), last=seconds_text(end_ms * 10**6),
    ).dicts()  # fmt: skip
    if len(found) > MOST_PARTS:
        raise TooManyCountsError(
            f"cannot count {rows.table} by {', '.join(rows.by)}: there are more than {MOST_PARTS} counts; "
            "ask for a shorter time, or count by less"
        )
    made: dict[tuple[str, ...], Counted] = {}
    for row in found:
        texts = tuple(str(row[f"by{place}"]) for place in range(len(rows.by)))
        labels = {label_of(key): text for key, text in zip(rows.by, texts, strict=True) if text}
        made.setdefault(texts, (labels, []))[1].append((int(row["part"]), float(row["total"])))
    return list(made.values())


class _Select:
    """The SQL for some rows, with its parameters."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.parameters: dict[str, Value] = {}
        self._columns = [f"{self._term(key)} AS by{place}" for place, key in enumerate(rows.by)]
        self._conditions = [f"{self._term(key)} = {self._text(value)}" for key, value in rows.where.items()]
        if rows.names:
            self._conditions.append("name IN ({names:Array(String)})")
            self.parameters["names"] = list(rows.names)
        if rows.least_seconds:
            self._conditions.append("duration_ns >= {least:UInt64}")
            self.parameters["least"] = round(rows.least_seconds * 1e9)
        if rows.is_error is not None:
            self._conditions.append(_IS_ERROR if rows.is_error else f"NOT {_IS_ERROR}")

    def first_ns(self, start_ms: int) -> int:
        """The least time of a row by the column that orders them."""
        reach = 0.0 if self._rows.table == EVENTS else LONGEST_SECONDS + self._rows.least_seconds
        return start_ms * 10**6 - round(reach * 1e9)

    def sql(self, most: int) -> str:
        is_events = self._rows.table == EVENTS
        column, happened = ("time", "toUnixTimestamp64Nano(time)") if is_events else ("start", _ENDED)
        within = [
            f"{column} >= {{first:DateTime64(9)}}", f"{column} <= {{last:DateTime64(9)}}",
            f"{happened} > {{start_ns:Int64}}", f"{happened} <= {{end_ns:Int64}}",
        ]  # fmt: skip
        grouping = ", ".join(["part", *(f"by{place}" for place in range(len(self._columns)))])
        part = f"intDiv({happened} - {{start_ns:Int64}} - 1, {{part_ns:Int64}}) AS part"
        return (
            f"SELECT {', '.join([*self._columns, part])}, count() AS total FROM {'events' if is_events else 'spans'} "
            f"WHERE {' AND '.join([*within, *self._conditions])} GROUP BY {grouping} ORDER BY total DESC LIMIT {most}"
        )

    def _text(self, value: str) -> str:
        name = f"text{len(self.parameters)}"
        self.parameters[name] = value
        return f"{{{name}:String}}"

    def _term(self, key: str) -> str:
        column = COLUMNS[self._rows.table].get(key)
        if column == "kind":
            return _KIND
        if column == "status_code":
            return "if(status_code = 0, '', toString(status_code))"
        if column:
            return f"CAST({column}, 'String')"
        named = self._text(key)
        if self._rows.table == EVENTS:
            return f"attributes[{named}]"
        return f"if(mapContains(attributes, {named}), attributes[{named}], resource[{named}])"
