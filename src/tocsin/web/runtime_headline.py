"""The sentence that opens the page of the runtime: which process leaks, or which call keeps the event loop."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.query.events import EventRecord
from tocsin.query.runtime import BlockingLine, Process
from tocsin.web import format
from tocsin.web.words import Headline, Part, Speech, row

BAD_REASONS = {"crash": "crashed", "oom": "was killed for want of memory", "killed": "was killed"}
OFTEN_TIMES, LONG_SECONDS = 3, 1.0
"""A machine that is busy elsewhere makes a call seem to keep the event loop once; from here on it does."""

FULL_RATIO = 0.9
"""Memory or processor from here on of what the container allows is worth a word."""


def runtime(
    say: Speech, processes: Sequence[Process], blocking: Sequence[BlockingLine], restarts: Sequence[EventRecord]
) -> Headline:
    if not processes:
        return Headline("quiet", (Part(f"No process told how it fares in {say.span}."),), _nobody())
    kept = [line for line in blocking if line.times >= OFTEN_TIMES or line.worst_seconds >= LONG_SECONDS]
    said = [
        *(("bad", sentence) for sentence in map(_leak, filter(lambda one: one.is_leaking, processes))),
        *(("bad", _blocked(line)) for line in kept[:1]),
        *(("bad", sentence) for sentence in map(_ended, restarts[:3]) if sentence),
        *((tone, sentence) for one in processes for tone, sentence in _tight(one)),
    ]
    running = [one for one in processes if one.is_running]
    if not said:
        words = "The process is well." if len(running) == 1 else f"{format.all_word(len(running))} processes are well."
        return Headline("ok", (Part(words if running else "No process is running."),), _level(running))
    tone, first = said[0]
    others = [Part(format.sentence(sentence)) for _, sentence in said[1:4]]
    if kept and kept[0].source:
        others.append(Part(f"{kept[0].line} is {kept[0].source.partition('  #')[0].rstrip()}"))
    return Headline(tone, (Part(f"{format.sentence(first)}."),), row(others) if others else _level(running))


def _leak(one: Process) -> str:
    grown = [each.name.partition(" (")[0] for each in one.growing[:2]]
    what = f": {format.join(grown)} grow{'s' if len(grown) == 1 else ''}" if grown else ""
    rate = format.size(one.of("leak_bytes_per_hour"))
    return f"worker {one.pid or one.instance[:8]} of {one.service} leaks {rate} an hour{what}"


def _blocked(line: BlockingLine) -> str:
    each = format.duration(line.seconds / max(line.times, 1))
    times = "once" if line.times == 1 else f"{format.number(line.times)} times"
    whose = line.endpoints[0] if line.endpoints else f"a call of {line.service}"
    return f"{whose} kept the event loop of {line.service} {times} for {each} at {format.code_line(line.line)}"


def _ended(event: EventRecord) -> str:
    reason = BAD_REASONS.get(str(event.attributes.get("tocsin.restart.reason", "")))
    pid = event.attributes.get("tocsin.restart.previous_pid", "")
    return f"worker {pid} of {event.service} {reason}" if reason else ""


def _tight(one: Process) -> list[tuple[str, str]]:
    """What comes near its limit."""
    who, found = f"worker {one.pid or one.instance[:8]} of {one.service}", []
    if one.is_pool_full:
        limit = format.number(one.of("pool_limit"))
        found.append(("warn", f"all {limit} threads of {who} were taken and calls waited"))
    for used, limit, what in (
        ("memory_bytes", "memory_limit_bytes", "memory"),
        ("cpu_cores", "cpu_limit_cores", "cores"),
    ):
        most = one.of(limit)
        if most and (one.of(used) or 0) >= FULL_RATIO * most:
            found.append(("warn", f"{who} uses {format.percent((one.of(used) or 0) / most)} % of its {what}"))
    return found


def _level(running: Sequence[Process]) -> tuple[Part, ...]:
    memory = sum(one.of("memory_bytes") or 0 for one in running)
    lags = [lag for one in running if (lag := one.of("lag_p99_seconds")) is not None]
    said = f"{format.plural(len(running), 'process', 'processes')}, {format.size(memory)} together"
    return (Part(f"{said}, event loop at most {format.duration(max(lags))} late." if lags else f"{said}."),)


def _nobody() -> tuple[Part, ...]:
    return (Part("The Tocsin SDK tells it by itself with the first requests, unless instruments leave runtime out."),)
