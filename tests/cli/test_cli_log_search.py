"""What `tocsin logs` prints of a line."""

from __future__ import annotations

from typing import Any

from tocsin.cli.log_search import narrowed, text_of

LINE: dict[str, Any] = {
    "time": "2026-11-21T14:02:31.204512Z", "level": "error", "service": "shop", "tenant": "acme",
    "message": "export failed", "event_name": "", "attributes": {},
}  # fmt: skip


def test_a_line_reads_like_one_of_a_file() -> None:
    assert text_of(LINE).plain == "2026-11-21 14:02:31.204 error shop acme  export failed"
    failed = LINE | {"attributes": {"exception.type": "TimeoutError", "exception.message": "pool"}}
    assert text_of(failed).plain.endswith("export failed  TimeoutError: pool")
    quiet = LINE | {
        "time": "2026-11-21T14:02:31Z",
        "level": "",
        "tenant": "",
        "message": "",
        "event_name": "order.paid",
    }
    assert text_of(quiet).plain == "2026-11-21 14:02:31     -     shop  order.paid"


def test_what_strangers_log_cannot_drive_the_terminal() -> None:
    shown = text_of(LINE | {"message": "\x1b[2Jgone\r\x07 ü\tok"}).plain
    assert "\x1b" not in shown
    assert "\r" not in shown
    assert shown.endswith("\ufffd[2Jgone\ufffd\ufffd ü\tok")


def test_only_what_is_given_is_asked_for() -> None:
    assert narrowed("a", "", "", "acme", "", "", "") == {"q": "a", "tenant": "acme"}
