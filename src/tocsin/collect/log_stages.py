"""The stages of a promtail-config.yml's pipeline_stages, each made of its entry in the file.

`stages_of` gives the stages that can be carried out, and names in `ignored` what cannot.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from tocsin.collect.go_time import go_time
from tocsin.collect.log_entry import Chain, Each, Entry, MakeStage, Run, Stage
from tocsin.collect.log_extract import Expression, expression, logfmt_pairs
from tocsin.collect.log_formats import Cri, Docker
from tocsin.collect.log_selector import compiled, selector
from tocsin.collect.log_template import template, text_of
from tocsin.collect.scrape_config import bytes_of, seconds_of
from tocsin.model.log_line import json_object

Config = Mapping[str, Any]
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
MAX_DEPTH = 10


def stages_of(entries: Any, where: str, ignored: list[str], depth: int = 0) -> tuple[MakeStage, ...]:
    """Raises ValueError for a stage that is known but said wrongly."""
    if not isinstance(entries or [], list) or depth > MAX_DEPTH:
        raise ValueError(f"{where} is no list of stages")
    made: list[MakeStage] = []
    for place, entry in enumerate(entries or ()):
        if not isinstance(entry, dict) or len(entry) != 1:
            raise ValueError(f"{where}[{place}] must be one stage, such as 'json: …'")
        ((name, config),) = entry.items()
        at = f"{where}[{place}].{name}"
        if name == "match":
            made += _match(config or {}, at, ignored, depth)
        elif name in STAGES:
            try:
                made.append(STAGES[name](config if config is not None else {}))
            except (TypeError, AttributeError, KeyError) as error:
                raise ValueError(f"{at} cannot be read: {type(error).__name__} {error}") from error
        elif name in ELSEWHERE:
            ignored.append(f"{at}: {ELSEWHERE[name]}")
        else:
            ignored.append(f"{at}: not carried out, lines pass it unchanged")
    return tuple(made)


def _each(keep: Callable[[Entry], bool]) -> MakeStage:
    stage = Each(keep)
    return lambda run: stage


def _source(entry: Entry, name: str) -> Any:
    return entry.extracted.get(name) if name else entry.line


def _json(config: Config) -> MakeStage:
    source = str(config.get("source") or "")
    drops = bool(config.get("drop_malformed"))
    wanted: list[tuple[str, Expression]] = [
        (str(name), expression(str(path) if path else f'"{name}"'))
        for name, path in (config.get("expressions") or {}).items()
    ]

    def keep(entry: Entry) -> bool:
        text = _source(entry, source)
        fields = json_object(text) if isinstance(text, str) else text if isinstance(text, dict) else None
        if fields is None:
            return not drops
        for name, read in wanted:
            entry.extracted[name] = read(fields)
        return True

    return _each(keep)


def _logfmt(config: Config) -> MakeStage:
    source = str(config.get("source") or "")
    wanted = {str(name): str(key or name) for name, key in (config.get("mapping") or {}).items()}

    def keep(entry: Entry) -> bool:
        pairs = logfmt_pairs(text_of(_source(entry, source)))
        for name, key in wanted.items():
            if key in pairs:
                entry.extracted[name] = pairs[key]
        return True

    return _each(keep)


def _regex(config: Config) -> MakeStage:
    source, pattern = str(config.get("source") or ""), compiled(str(config["expression"]))

    def keep(entry: Entry) -> bool:
        text = _source(entry, source)
        found = pattern.search(text_of(text)) if text is not None else None
        if found is not None:
            entry.extracted |= {name: value or "" for name, value in found.groupdict().items()}
        return True

    return _each(keep)


def _replace(config: Config) -> MakeStage:
    source, pattern = str(config.get("source") or ""), compiled(str(config["expression"]))
    render = template(str(config.get("replace") or ""))

    def keep(entry: Entry) -> bool:
        text = text_of(_source(entry, source))
        parts, position = [], 0
        for found in pattern.finditer(text):
            for group in range(1, pattern.groups + 1) if pattern.groups else (0,):
                begin, end = found.span(group)
                if begin < position:
                    continue
                parts += [text[position:begin], render(entry.extracted | {"Value": found.group(group)})]
                position = end
        replaced = "".join(parts) + text[position:]
        if source:
            entry.extracted[source] = replaced
        else:
            entry.line = replaced
        return True

    return _each(keep)


def _template(config: Config) -> MakeStage:
    source, render = str(config["source"]), template(str(config.get("template") or ""))

    def keep(entry: Entry) -> bool:
        fields = {"Entry": entry.line, **entry.extracted, "Value": text_of(entry.extracted.get(source))}
        value = render(fields)
        if value:
            entry.extracted[source] = value
        else:
            entry.extracted.pop(source, None)
        return True

    return _each(keep)


def _timestamp(config: Config) -> MakeStage:
    source, location = str(config["source"]), str(config.get("location") or "")
    readers = [go_time(str(layout), location) for layout in (config["format"], *(config.get("fallback_formats") or ()))]
    action = str(config.get("action_on_failure") or "fudge")
    if action not in ("fudge", "skip"):
        raise ValueError(f"action_on_failure {action!r} is neither fudge nor skip")

    def stage(run: Run) -> Stage:
        def keep(entry: Entry) -> bool:
            text = text_of(entry.extracted.get(source))
            for read in readers:
                try:
                    entry.time_ns = read(text)
                except ValueError:
                    continue
                entry.has_stated_time = True
                run.last_ns = entry.time_ns
                return True
            run.note_fault(f"timestamp: no time in {source!r}")
            if action == "fudge" and run.last_ns:
                run.last_ns += 1
                entry.time_ns, entry.has_stated_time = run.last_ns, True
            return True

        return Each(keep)

    return stage


def _labels(config: Config) -> MakeStage:
    wanted = [(str(name), str(source or name)) for name, source in config.items()]

    def keep(entry: Entry) -> bool:
        found = {
            name: text_of(entry.extracted[source]) for name, source in wanted if entry.extracted.get(source) is not None
        }
        entry.labels = entry.labels | found
        return True

    return _each(keep)


def _metadata(config: Config) -> MakeStage:
    wanted = [(str(name), str(source or name)) for name, source in config.items()]

    def keep(entry: Entry) -> bool:
        for name, source in wanted:
            value = entry.extracted.get(source, entry.labels.get(source))
            if value is not None:
                entry.metadata[name] = text_of(value)
        return True

    return _each(keep)


def _static_labels(config: Config) -> MakeStage:
    fixed = {str(name): text_of(value) for name, value in config.items()}

    def keep(entry: Entry) -> bool:
        entry.labels = entry.labels | fixed
        return True

    return _each(keep)


def _label_filter(config: Any, *, keeps: bool) -> MakeStage:
    names = {str(name) for name in config}

    def keep(entry: Entry) -> bool:
        entry.labels = {name: value for name, value in entry.labels.items() if (name in names) is keeps}
        return True

    return _each(keep)


def _tenant(config: Config) -> MakeStage:
    label, source, value = (str(config.get(key) or "") for key in ("label", "source", "value"))

    def keep(entry: Entry) -> bool:
        entry.tenant = value or entry.labels.get(label, "") or text_of(entry.extracted.get(source)) or entry.tenant
        return True

    return _each(keep)


def _output(config: Config) -> MakeStage:
    source = str(config["source"])

    def keep(entry: Entry) -> bool:
        if entry.extracted.get(source) is not None:
            entry.line = text_of(entry.extracted[source])
        return True

    return _each(keep)


def _decolorize(_: Config) -> MakeStage:
    def keep(entry: Entry) -> bool:
        entry.line = _COLOURS.sub("", entry.line)
        return True

    return _each(keep)


def _drop(config: Config) -> MakeStage:
    raw = config.get("source") or ""
    sources = [str(name) for name in raw] if isinstance(raw, list) else [str(raw)] if raw else []
    separator = str(config.get("separator") or ";")
    pattern = compiled(str(config["expression"])) if config.get("expression") else None
    value = config.get("value")
    oldest = seconds_of(config["older_than"]) if config.get("older_than") else 0.0
    longest = bytes_of(config["longer_than"]) if config.get("longer_than") else 0
    reason = str(config.get("drop_counter_reason") or "drop_stage")
    if not (sources or pattern or value is not None or oldest or longest):
        raise ValueError("a drop stage needs source, expression, value, older_than or longer_than")

    def is_dropped(entry: Entry, now_ns: int) -> bool:
        if longest and len(entry.line.encode()) <= longest:
            return False
        if oldest and (not entry.time_ns or entry.time_ns >= now_ns - oldest * 1e9):
            return False
        if sources:
            if any(entry.extracted.get(name) is None for name in sources):
                return False
            text = separator.join(text_of(entry.extracted[name]) for name in sources)
            if value is not None and text != text_of(value):
                return False
            return pattern is None or pattern.search(text) is not None
        return pattern is None or pattern.search(entry.line) is not None

    def stage(run: Run) -> Stage:
        def keep(entry: Entry) -> bool:
            if is_dropped(entry, run.now_ns):
                run.note_drop(reason, entry.lines)
                return False
            return True

        return Each(keep)

    return stage


def _match(config: Config, at: str, ignored: list[str], depth: int) -> list[MakeStage]:
    action = str(config.get("action") or "keep")
    if action not in ("keep", "drop"):
        raise ValueError(f"{at}: action {action!r} is neither keep nor drop")
    matches = selector(str(config.get("selector") or ""))
    nested = stages_of(config.get("stages"), f"{at}.stages", ignored, depth + 1)
    reason = str(config.get("drop_counter_reason") or "match_stage")
    return [lambda run: Match(matches, nested, action == "drop", reason, run)]


class Match:
    """Runs stages on the entries that match, or drops these."""

    def __init__(
        self, matches: Callable[[Entry], bool], nested: tuple[MakeStage, ...], drops: bool, reason: str, run: Run
    ) -> None:
        self._matches, self._drops, self._reason, self._run = matches, drops, reason, run
        self._nested = Chain(nested, run)

    def push(self, entry: Entry) -> list[Entry]:
        if not self._matches(entry):
            # What the nested stages still hold came before this one, so it goes on first.
            return [*self._nested.finish(is_end=True), entry]
        if self._drops:
            self._run.note_drop(self._reason, entry.lines)
            return []
        return self._nested.push(entry)

    def finish(self, is_end: bool) -> list[Entry]:
        return self._nested.finish(is_end)

    def held(self) -> int | None:
        return self._nested.held()


def _multiline(config: Config) -> MakeStage:
    first, most = compiled(str(config["firstline"])), int(config.get("max_lines") or 128)
    seconds_of(config.get("max_wait_time") or "3s")
    return lambda run: Multiline(first, most)


class Multiline:
    """Joins the lines that follow a first line to it. Lines of another stream end a block."""

    def __init__(self, first: Any, max_lines: int) -> None:
        self._first, self._max_lines = first, max_lines
        self._block: Entry | None = None
        self._lines: list[str] = []

    def push(self, entry: Entry) -> list[Entry]:
        is_first = self._first.search(entry.line) is not None
        if self._block is not None and not is_first and entry.labels == self._block.labels:
            self._lines.append(entry.line)
            self._block.lines += entry.lines
            self._block.is_cut |= entry.is_cut
            return self._closed() if len(self._lines) >= self._max_lines else []
        given = self._closed()
        if not is_first:
            return [*given, entry]  # lines before the first block stand for themselves
        self._block, self._lines = entry, [entry.line]
        return given

    def finish(self, is_end: bool) -> list[Entry]:
        return self._closed() if is_end else []

    def held(self) -> int | None:
        return None if self._block is None else self._block.start

    def _closed(self) -> list[Entry]:
        if self._block is None:
            return []
        block, self._block = self._block, None
        block.line = "\n".join(self._lines)
        return [block]


STAGES: dict[str, Callable[[Any], MakeStage]] = {
    "docker": lambda config: Docker,
    "cri": lambda config: Cri,
    "json": _json,
    "logfmt": _logfmt,
    "regex": _regex,
    "replace": _replace,
    "template": _template,
    "timestamp": _timestamp,
    "labels": _labels,
    "structured_metadata": _metadata,
    "static_labels": _static_labels,
    "labeldrop": lambda config: _label_filter(config, keeps=False),
    "labelallow": lambda config: _label_filter(config, keeps=True),
    "tenant": _tenant,
    "output": _output,
    "decolorize": _decolorize,
    "drop": _drop,
    "multiline": _multiline,
}
ELSEWHERE = {"metrics": "not carried out; make metrics of logs with rules"}
