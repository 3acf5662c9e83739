"""Prometheus' text format and OpenMetrics, read into samples; errors name the line."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tocsin.model.labels import METRIC_NAME, Labels

OPENMETRICS = "application/openmetrics-text"
TYPES = {
    "counter", "gauge", "histogram", "summary", "untyped", "unknown", "info", "stateset", "gaugehistogram",
}  # fmt: skip

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_LABELS = re.compile(rf'\{{(?:[^"{{}}]|{_QUOTED})*\}}')
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_PAIR = re.compile(rf"\s*([a-zA-Z_][a-zA-Z0-9_]*|{_QUOTED})\s*(?:=\s*({_QUOTED})\s*)?(,|$)")
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", '"': '"', "\\": "\\"}


class ExpositionError(ValueError):
    """What a target answers is not in its format. The message names the line."""


@dataclass(frozen=True, slots=True)
class ExposedExemplar:
    """A measurement behind a sample."""

    labels: Labels
    value: float
    time_ms: int | None


@dataclass(frozen=True, slots=True)
class Exposed:
    """One line: `series` is the text that names it, the same from one answer to the next."""

    series: str
    value: float
    time_ms: int | None
    exemplar: ExposedExemplar | None = None


@dataclass(slots=True)
class About:
    """What an answer says of a metric."""

    type: str = "unknown"
    help: str = ""
    unit: str = ""


@dataclass(slots=True)
class Exposition:
    """A whole answer."""

    samples: list[Exposed] = field(default_factory=list)
    metadata: dict[str, About] = field(default_factory=dict)


def read_exposition(text: str, *, is_openmetrics: bool = False) -> Exposition:
    """Every sample and what is said about the metrics. Raises ExpositionError."""
    found = Exposition()
    ended = False
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip()
        if not stripped:
            continue
        if ended:
            raise _wrong(number, line, "it comes after # EOF")
        if stripped.startswith("#"):
            ended = is_openmetrics and stripped == "# EOF"
            _comment(stripped, found.metadata, number)
        else:
            found.samples.append(_sample(stripped, number, is_openmetrics))
    if is_openmetrics and not ended:
        raise ExpositionError("cannot read the answer: it is cut off, OpenMetrics ends with '# EOF'")
    return found


def series_labels(series: str) -> dict[str, str]:
    """The labels that the text of a series gives, its name among them. Raises ExpositionError."""
    name, _, block = series.partition("{")
    labels = {METRIC_NAME: name} if name else {}
    if block:
        _read_labels(block[:-1], labels)
    if not labels.get(METRIC_NAME):
        raise ExpositionError("the metric has no name")
    return labels


def _sample(line: str, number: int, is_openmetrics: bool) -> Exposed:
    named = _NAME.match(line)
    at = named.end() if named else 0
    if line[at : at + 1] == "{":
        block = _LABELS.match(line, at)
        if block is None:
            raise _wrong(number, line, "its labels are not closed")
        at = block.end()
    elif named is None:
        raise _wrong(number, line, "it begins with no metric name")
    series = line[:at]
    rest, has_exemplar, exemplar = line[at:].partition(" # ")
    parts = rest.split()
    if not 1 <= len(parts) <= 2 or (series and line[at : at + 1] not in (" ", "\t")):
        raise _wrong(number, line, "a value, and perhaps a time, must follow")
    return Exposed(
        series,
        _number(parts[0], number, line),
        _time_ms(parts[1], number, line, is_openmetrics) if len(parts) == 2 else None,
        _exemplar(exemplar, number, line) if has_exemplar and is_openmetrics else None,
    )


def _exemplar(text: str, number: int, line: str) -> ExposedExemplar:
    block = _LABELS.match(text)
    parts = text[block.end() :].split() if block else []
    if block is None or not 1 <= len(parts) <= 2:
        raise _wrong(number, line, "its exemplar is not {labels} value [time]")
    labels: dict[str, str] = {}
    try:
        _read_labels(block[0][1:-1], labels)
    except ExpositionError as error:
        raise _wrong(number, line, str(error)) from error
    time_ms = _time_ms(parts[1], number, line, True) if len(parts) == 2 else None
    return ExposedExemplar(tuple(sorted(labels.items())), _number(parts[0], number, line), time_ms)


def _read_labels(block: str, labels: dict[str, str]) -> None:
    at = 0
    while block[at:].strip():
        pair = _PAIR.match(block, at)
        if pair is None:
            raise ExpositionError(f'label {block[at : at + 40]!r} is not name="value"')
        name = _unescaped(pair[1]) if pair[1].startswith('"') else pair[1]
        if pair[2] is None:
            # Names beyond the classic ones stand first in the braces, in quotes.
            if at or METRIC_NAME in labels or not pair[1].startswith('"'):
                raise ExpositionError(f"label {name!r} has no value")
            labels[METRIC_NAME] = name
        elif name in labels:
            raise ExpositionError(f"label {name!r} is there twice")
        else:
            labels[name] = _unescaped(pair[2])
        at = pair.end()


def _unescaped(quoted: str) -> str:
    inner = quoted[1:-1]
    if "\\" not in inner:
        return inner
    return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[0]), inner)


def _number(text: str, number: int, line: str) -> float:
    try:
        if "_" not in text:
            return float(text)
    except ValueError:
        pass
    raise _wrong(number, line, f"{text[:40]!r} is no number")


def _time_ms(text: str, number: int, line: str, is_openmetrics: bool) -> int:
    try:
        return round(float(text) * 1000) if is_openmetrics else int(text)
    except (ValueError, OverflowError):
        raise _wrong(number, line, f"{text[:40]!r} is no time") from None


def _comment(line: str, metadata: dict[str, About], number: int) -> None:
    words = line.split(None, 3)
    if len(words) < 3 or words[0] != "#" or words[1] not in ("HELP", "TYPE", "UNIT"):
        return
    said = words[3] if len(words) == 4 else ""
    about = metadata.setdefault(_unescaped(words[2]) if words[2].startswith('"') else words[2], About())
    if words[1] == "HELP":
        about.help = _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[0]), said)
    elif words[1] == "UNIT":
        about.unit = said
    elif said in TYPES:
        about.type = "unknown" if said == "untyped" else said
    else:
        raise _wrong(number, line, f"{said[:40]!r} is no type of metric")


def _wrong(number: int, line: str, cause: str) -> ExpositionError:
    return ExpositionError(f"cannot read line {number} {line.strip()[:120]!r}: {cause}")
