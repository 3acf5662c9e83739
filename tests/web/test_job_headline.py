"""What the pages about jobs say first."""

from __future__ import annotations

from dataclasses import replace

from telemetry_rows import NOW_NS, SAY

from tocsin.query.job_schedules import QueueRow, ScheduleRow
from tocsin.query.jobs import Hurt, JobKey, JobRow
from tocsin.web.job_headline import jobs, late_words
from tocsin.web.pages.jobs import lines

NOW = NOW_NS / 1e9
WELL = JobRow(
    JobKey("worker", "nightly-invoices", "", "own"), 100, 100, 0, 0, 0, 100, 0, 1.0, 2.0, 120.0, 0.1, NOW_NS, ()
)
FAILING = replace(WELL, successes=97, failures=3, hurt=(Hurt("acme", 3, 3),))
SCHEDULE = ScheduleRow("worker", "report-export", "own", "every 10m", 600.0, NOW - 100, NOW - 100, 0.0)
LATE = replace(SCHEDULE, last_run=NOW - 1320)
QUEUE = QueueRow("worker", "mail", "rq", 12, 480.0)


def test_all_is_well() -> None:
    said = jobs(SAY, [WELL], [SCHEDULE], [replace(QUEUE, oldest_seconds=3.0)])
    assert (said.state, said.text) == ("ok", "Both jobs run as they should.")
    assert said.sub_text == "100 runs in the last hour, none failed."


def test_failing_and_late_jobs_are_named_with_whom_they_hurt() -> None:
    said = jobs(SAY, [FAILING], [LATE], [])
    assert said.state == "bad"
    assert said.text == "nightly-invoices failed its last 3 runs for acme; report-export is 12 minutes late."
    links = [part.href for part in said.parts if part.href]
    assert links == ["/jobs/nightly-invoices?service=worker", "/tenants/acme", "/jobs/report-export?service=worker"]


def test_a_large_part_of_failures_is_harm_also_when_others_succeed() -> None:
    some = replace(WELL, successes=90, failures=10, hurt=(Hurt("acme", 6, 0), Hurt("globex", 4, 0)))
    said = jobs(SAY, [some], [], [])
    assert (said.state, said.text) == ("bad", "nightly-invoices failed 10 of 100 runs for acme and 1 other tenant.")


def test_one_failure_at_the_end_is_worth_a_word() -> None:
    said = jobs(SAY, [replace(WELL, successes=99, failures=1, hurt=(Hurt("acme", 1, 1),))], [], [])
    assert (said.state, said.text) == ("warn", "nightly-invoices failed its last run for acme.")


def test_storms_and_old_queues_are_told() -> None:
    said = jobs(SAY, [replace(WELL, retries=60)], [], [QUEUE])
    assert said.state == "warn"
    assert said.text == "nightly-invoices was tried again 60 times; 12 jobs wait in mail, the first for 8 minutes."


def test_nothing_ran() -> None:
    assert jobs(SAY, [], [], []).text == "No background job ran in the last hour."


def test_a_schedule_without_runs_is_a_line_of_its_own() -> None:
    first, second = lines([WELL], [LATE], 60.0, NOW)
    assert (first.job.key.name, first.late_seconds, first.job.runs) == ("report-export", 720.0, 0)
    assert (second.job.key.name, second.schedule) == ("nightly-invoices", None)


def test_lateness_in_words() -> None:
    assert [late_words(seconds) for seconds in (61, 720, 7200, 200_000)] == [
        "1 minute",
        "12 minutes",
        "2 hours",
        "2 days",
    ]
