"""A small chart for mails: what the alert's expression was in the last hour, with its threshold, as PNG.

Mail programs show no SVG and run no script; a plain line of pixels needs no library beyond zlib.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import numpy as np
import numpy.typing as npt

from tocsin.model.notification import Notification
from tocsin.model.window import Window
from tocsin.query.evaluate import aligned, grid_of, over, parsed, step_ms
from tocsin.query.metric_reader import MetricReader
from tocsin.query.promql.expressions import Binary, NumberLiteral
from tocsin.query.promql.settings import QuerySettings

WIDTH, HEIGHT, MARGIN, SERIES = 640, 160, 8, 8
SHOWN = timedelta(hours=1)
QUERY_SECONDS = 3.0  # a chart that takes longer is not worth a later mail
COMPARISONS = frozenset({">", "<", ">=", "<=", "==", "!="})
BACKGROUND, GRID, THRESHOLD = (255, 255, 255), (228, 231, 236), (179, 38, 30)
COLORS = ((59, 111, 182), (196, 89, 11), (46, 125, 79), (124, 77, 160), (90, 100, 115))

Values = Sequence[float | None]
Draw = Callable[[Notification], "Picture | None"]
Measures = Callable[[str], tuple[str, float | None] | None]
"""What the rule at an address measures, and its threshold; None for an address of somebody else."""

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG and what it shows in words, for who cannot see it."""

    png: bytes
    caption: str


def chart_of(
    notification: Notification, reader: MetricReader, settings: QuerySettings, asked_at: Measures | None = None
) -> Picture | None:
    """What the alerts' expression was in the hour before; None when the alerts name none, or it has no values.

    asked_at: knows sources whose address does not name the expression, such as the pages of our own rules.
    """
    text, threshold = expression_of(notification, asked_at)
    if not text:
        return None
    window = _window(notification.made_at)
    grid = grid_of(window, step_ms(window, WIDTH // 4))
    found = over(reader, text, grid, replace(settings, timeout_seconds=min(QUERY_SECONDS, settings.timeout_seconds)))
    labels = [alert.labels.items() for alert in notification.alerts]
    own = [one for one in found.series if any(set(one.labels.items()) <= set(listed) for listed in labels)]
    lines = [aligned(one, grid) for one in own[:SERIES]]
    known = [value for line in lines for value in line if value is not None]
    if not known:
        return None
    last = next(value for value in reversed(lines[0]) if value is not None) if any(lines[0]) else known[-1]
    caption = f"{text} in the last hour: {min(known):.4g} to {max(known):.4g}, last {last:.4g}"
    return Picture(draw(lines, threshold), caption + (f"; threshold {threshold:.4g}" if threshold is not None else ""))


def expression_of(notification: Notification, asked_at: Measures | None = None) -> tuple[str, float | None]:
    """The expression that the alerts' source stands for, without the comparison that made it an alert, and that."""
    sources = {alert.generator_url for alert in notification.alerts if alert.generator_url}
    if len(sources) != 1:
        return "", None
    source = sources.pop()
    if asked_at is not None and (known := asked_at(source)) is not None:
        return known
    tree = parsed(named_in(source))
    if tree is None:
        return "", None
    if isinstance(tree, Binary) and tree.operator in COMPARISONS and isinstance(tree.right, NumberLiteral):
        return str(tree.left), tree.right.value
    return str(tree), None


def named_in(source: str) -> str:
    """The expression that an address names, as Prometheus' do; '' where it names none."""
    asked = parse_qs(urlsplit(source).query)
    return next((asked[name][0] for name in ("g0.expr", "query", "expr") if asked.get(name)), "")


def draw(lines: Sequence[Values], threshold: float | None = None) -> bytes:
    """The lines as a PNG of WIDTH × HEIGHT, from 0 or the smallest value to the largest."""
    known = [value for line in lines for value in line if value is not None]
    known += [] if threshold is None else [threshold]
    low, high = min(0.0, *known), max([*known, 0.0])
    pixels = np.full((HEIGHT, WIDTH, 3), BACKGROUND, np.uint8)
    for part in range(5):
        pixels[MARGIN + part * (HEIGHT - 2 * MARGIN) // 4, :] = GRID

    def row(value: float) -> int:
        span = (high - low) or 1.0
        return int(HEIGHT - MARGIN - 1 - (value - low) / span * (HEIGHT - 2 * MARGIN - 1))

    if threshold is not None:
        pixels[row(threshold), np.arange(WIDTH) % 10 < 6] = THRESHOLD
    for place, line in enumerate(lines):
        _draw_line(pixels, [None if value is None else row(value) for value in line], COLORS[place % len(COLORS)])
    return _png(pixels)


def _draw_line(pixels: Pixels, rows: Sequence[int | None], color: tuple[int, int, int]) -> None:
    """Joins neighbours; a gap stays a gap."""
    columns = np.linspace(MARGIN, WIDTH - MARGIN - 1, max(len(rows), 2)).astype(int)
    for place, row in enumerate(rows):
        if row is None:
            continue
        before = rows[place - 1] if place else None
        start, first = (int(columns[place - 1]), before) if before is not None else (int(columns[place]), row)
        for column in range(start, int(columns[place]) + 1):
            part = (column - start) / max(int(columns[place]) - start, 1)
            following = (column + 1 - start) / max(int(columns[place]) - start, 1)
            ends = sorted((first + (row - first) * part, first + (row - first) * min(following, 1.0)))
            pixels[int(ends[0]) : int(ends[1]) + 2, column] = color


def _png(pixels: Pixels) -> bytes:
    """Source: the PNG specification (ISO 15948): signature, IHDR, IDAT with filter 0 a row, IEND."""
    height, width, _ = pixels.shape
    raw = np.zeros((height, width * 3 + 1), np.uint8)
    raw[:, 1:] = pixels.reshape(height, -1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw.tobytes(), 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def _window(now: datetime) -> Window:
    end_ns = int(now.timestamp() * 1e9)
    return Window(end_ns - int(SHOWN.total_seconds() * 1e9), end_ns)
