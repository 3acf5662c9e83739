"""The sentence that opens the pages about jobs: what fails for whom, what is late, what waits."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from tocsin.query.job_schedules import QueueRow, ScheduleRow
from tocsin.query.jobs import Hurt, JobRow
from tocsin.web import format
from tocsin.web.words import FAILING_RATIO, Headline, Linker, Part, Speech, tenant_link

OLD_QUEUE_SECONDS = 300.0
"""A first job that waits longer is worth the headline."""

STORM_RETRIES, STORM_RATIO = 10, 0.5
"""So many retries, and to so many runs, are a storm."""

Said = tuple[Part, ...]


def jobs(say: Speech, rows: Sequence[JobRow], schedules: Sequence[ScheduleRow], queues: Sequence[QueueRow]) -> Headline:
    """All jobs the reader may see, or one of them."""
    now = say.now_ns / 1e9
    late = sorted((each for each in schedules if each.late_seconds(now)), key=lambda each: -each.late_seconds(now))
    failing = [each for each in rows if is_failing(each)]
    said = [_fails(say, each) for each in failing if each.hurt] + [_late(say, each, now) for each in late]
    said += [_fails(say, each) for each in rows if each not in failing and any(one.in_a_row for one in each.hurt)]
    said += [_stormy(say, each) for each in rows if is_storm(each)]
    said += [_waits(each) for each in queues if (each.oldest_seconds or 0) >= OLD_QUEUE_SECONDS]
    if said:
        return Headline("bad" if late or failing else "warn", _joined(said))
    if not rows and not schedules:
        return Headline("quiet", (Part(f"No background job ran in {say.span}."),))
    names = {each.key.name for each in rows} | {each.name for each in schedules}
    failures = sum(each.failures for each in rows)
    well = (
        "The job runs as it should." if len(names) == 1 else f"{format.all_word(len(names))} jobs run as they should."
    )
    runs = format.plural(sum(each.runs for each in rows), "run")
    failed = f"{format.number(failures)} failed" if failures else "none failed"
    sub = f"{runs} in {say.span}, {failed}." if rows else f"None was due in {say.span}."
    return Headline("ok", (Part(well),), (Part(sub),))


def is_failing(job: JobRow) -> bool:
    """Whether its failures are harm: two in a row for somebody, or too large a part of all runs."""
    ratio = job.success_ratio
    in_a_row = max((each.in_a_row for each in job.hurt), default=0)
    return in_a_row >= 2 or (ratio is not None and 1 - ratio >= FAILING_RATIO)


def is_storm(job: JobRow) -> bool:
    return job.retries >= STORM_RETRIES and job.retries >= STORM_RATIO * max(job.runs, 1)


def job_link(link: Linker, name: str, service: str = "") -> str:
    return link(f"/jobs/{quote(name, safe='')}", service=service or None)


def late_words(seconds: float) -> str:
    """'12 minutes', as people say it."""
    for size, word in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= 1.5 * size or (size == 60 and seconds >= 60):
            return format.plural(round(seconds / size), word)
    return format.plural(max(1, round(seconds)), "second")


def _fails(say: Speech, job: JobRow) -> Said:
    name = Part(job.key.name, job_link(say.link, job.key.name, job.key.service), True)
    worst = max(job.hurt, key=lambda each: (each.in_a_row, each.failures))
    if worst.in_a_row >= 2:
        return (name, Part(f" failed its last {worst.in_a_row} runs"), *_for(say, worst, job))
    if worst.in_a_row and not is_failing(job):
        return (name, Part(" failed its last run"), *_for(say, worst, job))
    return (name, Part(f" failed {job.failures} of {job.runs} runs"), *_for(say, worst, job))


def _for(say: Speech, worst: Hurt, job: JobRow) -> Said:
    if not worst.tenant:
        return ()
    more = len([each for each in job.hurt if each.tenant and each is not worst])
    others = (Part(f" and {format.plural(more, 'other tenant')}"),) if more else ()
    return (Part(" for "), Part(worst.tenant, tenant_link(say.link, worst.tenant)), *others)


def _late(say: Speech, schedule: ScheduleRow, now: float) -> Said:
    name = Part(schedule.name, job_link(say.link, schedule.name, schedule.service), True)
    never = "" if schedule.last_run else " and has never run"
    return (name, Part(f" is {late_words(schedule.late_seconds(now))} late{never}"))


def _stormy(say: Speech, job: JobRow) -> Said:
    name = Part(job.key.name, job_link(say.link, job.key.name, job.key.service), True)
    return (name, Part(f" was tried again {format.number(job.retries)} times"))


def _waits(queue: QueueRow) -> Said:
    jobs = format.plural(queue.depth, "job")
    verb = "waits" if queue.depth == 1 else "wait"
    return (Part(f"{jobs} {verb} in {queue.queue}, the first for {late_words(queue.oldest_seconds or 0)}"),)


def _joined(said: Sequence[Said], most: int = 3) -> Said:
    parts: list[Part] = []
    for place, each in enumerate(said[:most]):
        parts += [Part("; "), *each] if place else each
    if len(said) > most:
        left = len(said) - most
        parts.append(Part(f"; {left} more {'needs' if left == 1 else 'need'} a look"))
    return (*parts, Part("."))
