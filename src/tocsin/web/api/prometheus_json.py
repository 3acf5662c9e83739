"""Results as Prometheus' JSON, made from arrays: the encoder prints all values of a series at once.

A sample is `[unix seconds, "value"]`; the value is printed as Go's strconv does with the shortest digits, with an
exponent below 1e-6 and from 1e21 on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import orjson

from tocsin.query.promql.engine import Point, Result, ResultSeries
from tocsin.query.promql.histogram import NativeHistogram
from tocsin.query.promql.literals import format_float

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]

SMALLEST_PLAIN, SMALLEST_OF_GO = 1e-5, 1e-6
LARGEST_PLAIN, LARGEST_OF_GO = 1e16, 1e21
LARGEST_WHOLE = 2.0**53


def encoded(result: Result, time_ms: int, limit: int = 0) -> Iterator[bytes]:
    """`resultType` and `result`, piece by piece, without the braces round them. A string bears the time `time_ms`."""
    yield b'"resultType":"' + result.type.encode() + b'","result":'
    if isinstance(result.data, list):
        found = result.data[:limit] if limit else result.data
        render = _matrix_series if result.type == "matrix" else _vector_series
        yield b"["
        for place, series in enumerate(found):
            yield (b"," if place else b"") + render(series)
        yield b"]"
    elif isinstance(result.data, Point):
        yield _point(result.data.time_ms, result.data.value)
    else:
        yield orjson.dumps([_seconds(time_ms), _clean(str(result.data))])


def _matrix_series(series: ResultSeries) -> bytes:
    parts = [b'{"metric":', _labels(series.labels)]
    is_float = _is_float(series)
    if is_float.any():
        times, values = series.times, series.values
        if not is_float.all():
            times, values = times[is_float], values[is_float]
        parts += [b',"values":', sample_pairs(times, values)]
    if series.histograms is not None and not is_float.all():
        held = zip(series.times.tolist(), series.histograms, strict=True)
        pairs = [[_seconds(at), histogram_json(one)] for at, one in held if one is not None]
        parts += [b',"histograms":', orjson.dumps(pairs)]
    return b"".join([*parts, b"}"])


def _vector_series(series: ResultSeries) -> bytes:
    point = series.points[0]
    name = b',"histogram":' if isinstance(point.value, NativeHistogram) else b',"value":'
    return b'{"metric":' + _labels(series.labels) + name + _point(point.time_ms, point.value) + b"}"


def _is_float(series: ResultSeries) -> npt.NDArray[np.bool_]:
    if series.histograms is None:
        return np.ones(len(series.times), dtype=bool)
    return np.array([one is None for one in series.histograms], dtype=np.bool_)


def _point(time_ms: int, value: float | NativeHistogram) -> bytes:
    said = histogram_json(value) if isinstance(value, NativeHistogram) else value_text(value)
    return orjson.dumps([_seconds(time_ms), said])


def sample_pairs(times: Times, values: Floats) -> bytes:
    """`[[1700000000,"1.5"],…]`. Values of a size that Go and JSON print alike go through the encoder as they are."""
    if not len(times):
        return b"[]"
    texts = _texts(values)
    pieces = [b""] * (2 * len(texts))
    pieces[::2], pieces[1::2] = _heads(times), texts
    pieces[0] = pieces[0][3:]
    return b"[" + b"".join(pieces) + b'"]]'


def _texts(values: Floats) -> list[bytes]:
    """Each value as the API prints it."""
    sizes = np.abs(values)
    largest = sizes.max(initial=0.0)
    if largest < LARGEST_WHOLE and not np.signbit(values).any() and (values == np.floor(values)).all():
        return orjson.dumps(values.astype(np.int64), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")
    is_plain = ((sizes >= SMALLEST_PLAIN) & (sizes < LARGEST_PLAIN)) | (values == 0) | np.isnan(values)
    if not is_plain.all():
        return [value_text(value).encode() for value in values.tolist()]
    text = orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].replace(b".0,", b",").removesuffix(b".0")
    return text.replace(b"null", b"NaN").split(b",")


_latest_heads: tuple[Times, list[bytes]] = (np.zeros(0, np.int64), [])


def _heads(times: Times) -> list[bytes]:
    """What stands before each value: the end of the sample before, and the time. Series of a range share their times,
    so that the latest are kept."""
    global _latest_heads
    latest, heads = _latest_heads
    if latest is not times:
        seconds = times // 1000 if not (times % 1000).any() else times / 1000
        texts = orjson.dumps(seconds, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].replace(b".0,", b",").removesuffix(b".0")
        heads = [b'"],[' + text + b',"' for text in texts.split(b",")]
        _latest_heads = times, heads
    return heads


def value_text(value: float) -> str:
    """A value as the API prints it."""
    if value == 0 or not math.isfinite(value) or SMALLEST_OF_GO <= abs(value) < LARGEST_OF_GO:
        return format_float(value)
    mantissa, _, exponent = repr(value).partition("e")
    if not exponent:  # Python prints no exponent where Go does
        mantissa, _, exponent = np.format_float_scientific(value, trim="-").partition("e")
    power = int(exponent)
    return f"{mantissa.removesuffix('.0')}e{'-' if power < 0 else '+'}{abs(power):02d}"


def histogram_json(histogram: NativeHistogram) -> dict[str, object]:
    """count, sum and the filled buckets as [which ends belong to it, lower, upper, count]; 0: the upper end, 1: the
    lower end, 2: neither, 3: both."""
    said: dict[str, object] = {"count": value_text(histogram.count), "sum": value_text(histogram.sum)}
    buckets = [
        [_ends(bucket.lower, bucket.upper), *(value_text(one) for one in (bucket.lower, bucket.upper, bucket.held))]
        for bucket in histogram.buckets()
        if bucket.held
    ]
    return said | ({"buckets": buckets} if buckets else {})


def _ends(lower: float, upper: float) -> int:
    if lower < 0 < upper:
        return 3
    return 1 if upper <= 0 else 0


def _seconds(time_ms: int) -> int | float:
    return time_ms // 1000 if time_ms % 1000 == 0 else time_ms / 1000


def _labels(labels: dict[str, str]) -> bytes:
    try:
        return orjson.dumps(labels, option=orjson.OPT_SORT_KEYS)
    except (TypeError, ValueError):  # bytes that were no UTF-8
        return orjson.dumps({_clean(k): _clean(v) for k, v in labels.items()}, option=orjson.OPT_SORT_KEYS)


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
