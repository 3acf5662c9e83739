"""Lines of the store, newest or oldest first, and how many there were: what LogQL reads from.

A window is read in slices that grow, each up to a number of lines, so that a query whose newest lines are enough reads
no more than these and never holds more than a slice.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from tocsin.model.tenant import Scope
from tocsin.query.attributes import decode_attributes, values_sql
from tocsin.query.filters import within
from tocsin.query.log_labels import IN_COLUMNS, LogLabels, Parameters, labels_in
from tocsin.query.log_pushdown import Pushdown, pushed_down
from tocsin.query.logql.errors import LimitError, too_many_series
from tocsin.query.logql.expressions import LogQuery, Stage
from tocsin.query.logql.line import Line
from tocsin.query.logql.names import label_name
from tocsin.query.promql.errors import QueryCanceledError
from tocsin.query.promql.source import Labels, Series
from tocsin.storage.telemetry.engine import Column
from tocsin.storage.telemetry.store import TelemetryStore

MOST_IN_SLICE = 20_000
SHORTEST_SLICE_NS = 300 * 10**9
SLICE_GROWTH = 4
PLAIN_SLICES = 2
"""So many slices are read without the word index: looking a word up costs more than reading the newest lines."""

_STREAM = ("service", "tenant", "environment", "level", "release")
_BODY = "if(body_type IN ('a', 'k', 'x'), base64Encode(body), toValidUTF8(body))"
_HAS_FIELDS = f"arrayExists(key -> key NOT IN {tuple(sorted(IN_COLUMNS))!r}, mapKeys(attributes))"
MOST_ROWS = 2_000_000


def _never() -> bool:
    return False


@dataclass(slots=True)
class LogSource:
    """The lines within a scope."""

    store: TelemetryStore
    scope: Scope
    canceled: Callable[[], bool] = _never
    bytes_read: int = 0
    lines_read: int = 0
    _streams: dict[tuple[str, ...], Labels] = field(default_factory=dict)

    def labels(self, start_ns: int, end_ns: int) -> LogLabels:
        return labels_in(self.store, self.scope, start_ns, end_ns)

    def lines(
        self,
        query: LogQuery,
        start_ns: int,
        end_ns: int,
        *,
        newest_first: bool = True,
        most: int = MOST_IN_SLICE,
        names: frozenset[str] | None = None,
    ) -> Iterator[tuple[list[Line], tuple[Stage, ...]]]:
        """Lines of [start, end) that may pass the pipeline, some at a time, with the stages still to be applied.

        most: so many lines are enough when no stage is left. names: the structured metadata wanted; None is all.
        """
        labels = self.labels(start_ns, end_ns)
        most = max(1, min(most, MOST_IN_SLICE))
        low, high = start_ns, end_ns
        length = max((end_ns - start_ns) // 256, SHORTEST_SLICE_NS)
        slices = 0
        while low < high:
            self.check()
            edges = (max(low, high - length), high) if newest_first else (low, min(high, low + length))
            parameters = Parameters()
            pushdown = pushed_down(query, labels, parameters, indexed=slices >= PLAIN_SLICES)
            wanted = most if pushdown.is_exact else MOST_IN_SLICE
            found = self._slice(pushdown, parameters, edges, labels, newest_first, wanted, names)
            if len(found) < wanted:
                low, high = (low, edges[0]) if newest_first else (edges[1], high)
                length *= SLICE_GROWTH
                slices += 1
            elif pushdown.is_exact and wanted == most:
                low = high  # enough
            else:
                found, edge = _without_last_instant(found)
                if edge is None:  # a whole slice within one nanosecond
                    raise LimitError(f"more than {wanted} lines bear the same time; narrow the selector")
                low, high = (low, edge + 1) if newest_first else (edge, high)
            yield found, pushdown.rest

    def _slice(
        self,
        pushdown: Pushdown,
        parameters: Parameters,
        edges: tuple[int, int],
        labels: LogLabels,
        newest_first: bool,
        limit: int,
        names: frozenset[str] | None,
    ) -> list[Line]:
        wanted = None if names is None else sorted(names)
        if wanted is None:
            metadata = (
                f"toJSONString(({_map_sql('attributes', 'attribute_types')})) AS attributes_json, "
                "lower(hex(trace_id)) AS trace, lower(hex(span_id)) AS span, CAST(scope_name, 'String') AS scope, "
                "CAST(event_name, 'String') AS event"
            )
        else:
            values = [f"{_plain(labels.value_sql(name, parameters))} AS m{at}" for at, name in enumerate(wanted)]
            metadata = ", ".join(values) or "'' AS none"
        order = "DESC" if newest_first else "ASC"
        sql = (
            f"SELECT toUnixTimestamp64Nano(time) AS time_ns, {_BODY} AS text, CAST(body_type, 'String') AS kind, "
            f"{', '.join(f'{_plain(name)} AS stream_{name}' for name in _STREAM)}, "
            f"toJSONString(({_map_sql('resource', 'resource_types')})) AS resource_json, {metadata}, "
            f"toUInt64({_HAS_FIELDS}) AS has_fields FROM logs "
            f"WHERE {window_sql(parameters, *edges)} AND {pushdown.condition} "
            f"ORDER BY time {order} LIMIT {parameters.integer(limit)}"
        )
        lines: list[Line] = []
        with closing(self.store.stream_arrays(self.scope, sql, **parameters.values)) as blocks:
            for block in blocks:
                self.check()
                lines += self._lines_of(block, labels, wanted)
        return lines

    def _lines_of(self, block: dict[str, Column], labels: LogLabels, wanted: list[str] | None) -> list[Line]:
        if not block:
            return []
        times = np.asarray(block["time_ns"]).tolist()
        texts = _texts(block["text"], block["kind"])
        self.lines_read += len(times)
        self.bytes_read += sum(map(len, texts))
        keys = zip(*(block[f"stream_{name}"] for name in _STREAM), block["resource_json"], strict=True)
        streams = [self._stream(key, labels) for key in keys]
        if wanted is None:
            metadata = [
                _metadata(*one)
                for one in zip(
                    *(block[name] for name in ("attributes_json", "trace", "span", "scope", "event")), strict=True
                )
            ]
        else:
            columns = [block[f"m{at}"] for at in range(len(wanted))]
            rows = zip(*columns, strict=True) if columns else ((),) * len(times)
            metadata = [{name: value for name, value in zip(wanted, row, strict=True) if value} for row in rows]
            for stream, own in zip(streams, metadata, strict=True):
                for name in [name for name, value in own.items() if stream.get(name) == value]:
                    del own[name]
        has_fields = np.asarray(block["has_fields"], bool).tolist()
        return [Line(*parts) for parts in zip(times, texts, streams, metadata, has_fields, strict=True)]

    def _stream(self, key: tuple[str, ...], labels: LogLabels) -> Labels:
        found = self._streams.get(key)
        if found is None:
            service, tenant, environment, level, release, resource = key
            named = {
                "service_name": service, "tenant": tenant, "environment": environment, "level": level,
                "release": release,
            }  # fmt: skip
            own = labels.resource_labels(_decoded(resource))
            found = {name: value for name, value in (own | named).items() if value}
            self._streams[key] = found
        return found

    def counts(
        self,
        query: LogQuery,
        by: Sequence[str] | None,
        edges_ms: tuple[int, int],
        bucket_ms: int,
        *,
        in_bytes: bool,
        max_series: int,
    ) -> list[Series] | None:
        """Lines (or their bytes) of (start, end] per bucket, each at the bucket's end, by these labels or by stream.

        None when a stage needs Python.
        """
        start_ms, end_ms = edges_ms
        start_ns, end_ns = start_ms * 1_000_000, end_ms * 1_000_000
        labels, parameters = self.labels(start_ns, end_ns), Parameters()
        pushdown = pushed_down(query, labels, parameters)
        if not pushdown.is_exact:
            return None
        if by is None:
            keys = [_plain(name) for name in _STREAM]
            keys.append("cityHash64(mapKeys(resource), mapValues(resource))")
            more = f", toJSONString(any(({_map_sql('resource', 'resource_types')}))) AS resource_json"
        else:
            keys, more = [_plain(labels.value_sql(name, parameters)) for name in by], ""
        origin, width = parameters.integer(start_ns), parameters.integer(bucket_ms * 1_000_000)
        bucket = f"intDiv(toUnixTimestamp64Nano(time) - {origin} + {width} - 1, {width})"
        named = "".join(f", {sql} AS k{at}" for at, sql in enumerate(keys))
        sql = (
            f"SELECT toInt64({bucket}) AS bucket{named}, toUInt64({'sum(length(body))' if in_bytes else 'count()'}) "
            f"AS total{more} FROM logs WHERE {window_sql(parameters, start_ns + 1, end_ns + 1)} "
            f"AND {pushdown.condition} GROUP BY bucket{''.join(f', k{at}' for at in range(len(keys)))}"
        )
        gathered: dict[tuple[str, ...], tuple[Labels, list[int], list[int]]] = {}
        rows = 0
        with closing(self.store.stream_arrays(self.scope, sql, **parameters.values)) as blocks:
            for block in blocks:
                self.check()
                rows += self._gather(block, by, labels, gathered)
                if len(gathered) > max_series or rows > MOST_ROWS:
                    raise too_many_series(max_series)
        return [_series(*one, start_ms, bucket_ms) for one in gathered.values()]

    def _gather(
        self,
        block: dict[str, Column],
        by: Sequence[str] | None,
        labels: LogLabels,
        gathered: dict[tuple[str, ...], tuple[Labels, list[int], list[int]]],
    ) -> int:
        if not block:
            return 0
        buckets, totals = np.asarray(block["bucket"]).tolist(), np.asarray(block["total"]).tolist()
        if by is None:
            columns = [*(block[f"k{at}"] for at in range(len(_STREAM))), block["resource_json"]]
        else:
            columns = [block[f"k{at}"] for at in range(len(by))]
        keys = zip(*columns, strict=True) if columns else ((),) * len(buckets)
        for key, bucket, total in zip(keys, buckets, totals, strict=True):
            held = gathered.get(key)
            if held is None:
                if by is None:
                    made = self._stream(key, labels)
                else:
                    made = {name: value for name, value in zip(by, key, strict=True) if value}
                held = gathered[key] = (made, [], [])
            held[1].append(bucket)
            held[2].append(total)
        return len(buckets)

    def is_canceled(self) -> bool:
        return self.canceled()

    def check(self) -> None:
        if self.canceled():
            raise QueryCanceledError("the query was canceled")


def window_sql(parameters: Parameters, start_ns: int, end_ns: int) -> str:
    """time within [start, end)."""
    start, end = (f"fromUnixTimestamp64Nano({parameters.integer(max(0, one))}, 'UTC')" for one in (start_ns, end_ns))
    return within("time", start, end)


def _series(labels: Labels, buckets: list[int], totals: list[int], start_ms: int, bucket_ms: int) -> Series:
    times = np.array(buckets, np.int64) * bucket_ms + start_ms
    order = np.argsort(times, kind="stable")
    return Series(labels, times[order], np.array(totals, np.float64)[order])


def _without_last_instant(lines: list[Line]) -> tuple[list[Line], int | None]:
    """Without the lines of the last time, of which there may be more, and that time; None when all bear it."""
    last = lines[-1].time_ns
    kept = len(lines)
    while kept and lines[kept - 1].time_ns == last:
        kept -= 1
    return (lines[:kept], last) if kept else (lines, None)


def _plain(text: str) -> str:
    return f"toValidUTF8(CAST({text}, 'String'))"


def _map_sql(attributes: str, types: str) -> str:
    return f"mapKeys({attributes}), {values_sql(attributes, types)}, {types}"


def _decoded(text: str) -> dict[str, str]:
    """Attributes as text, by their names."""
    try:
        keys, values, types = orjson.loads(text).values() if text.startswith("{") else orjson.loads(text)
    except ValueError:
        return {}
    if not any(letter in types for letter in "akxn"):
        return dict(zip(keys, values, strict=False))
    return {key: as_text(value) for key, value in decode_attributes(keys, values, types).items()}


def _metadata(attributes: str, trace: str, span: str, scope: str, event: str) -> Labels:
    found = {label_name(key): value for key, value in _decoded(attributes).items() if value and key not in IN_COLUMNS}
    if trace.strip("0"):
        found["trace_id"] = trace
    if span.strip("0"):
        found["span_id"] = span
    if scope:
        found["scope_name"] = scope
    if event:
        found["event_name"] = event
    return found


def as_text(value: Any) -> str:
    """A value of an attribute or body as it is shown."""
    match value:
        case str():
            return value
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case bytes():
            return base64.b64encode(value).decode()
        case list() | dict():
            return orjson.dumps(value, default=as_text, option=orjson.OPT_NON_STR_KEYS).decode()
    return str(value)


def _texts(texts: Column, kinds: Column) -> list[str]:
    found: list[str] = list(texts)
    for at, kind in enumerate(kinds):
        if kind in ("a", "k", "x"):
            try:
                found[at] = as_text(decode_attributes(["body"], [found[at]], kind)["body"])
            except (ValueError, binascii.Error):
                pass  # shown as it is
    return found
