from __future__ import annotations

from types import CodeType
from typing import Any

from tocsin.sdk.errors import capture, fingerprint, qualified_name, stack_text


class ProductError(Exception):
    pass


def caught(source: str, name: str = "/srv/shop/app/orders.py") -> BaseException:
    """The exception that the source raises, as if it stood in a file of a product."""
    code: CodeType = compile(source, name, "exec")
    try:
        exec(code, {})
    except Exception as error:  # noqa: BLE001  any of them
        return error
    raise AssertionError("nothing was raised")


def mark(error: BaseException) -> str:
    return fingerprint(capture(error, 1000))


FAULT = "def place(x):\n    raise ValueError(x)\nplace('a')\n"


def test_moved_lines_and_other_messages_leave_the_fingerprint() -> None:
    moved = "# a comment\n\n\n" + FAULT.replace("'a'", "'another order'")
    assert mark(caught(FAULT)) == mark(caught(moved))
    assert mark(caught(FAULT)) == mark(caught(FAULT, "/other/checkout/of/shop/app/orders.py"))


def test_another_type_function_or_file_is_another_fault() -> None:
    marks = {
        mark(caught(FAULT)),
        mark(caught(FAULT.replace("ValueError", "KeyError"))),
        mark(caught(FAULT.replace("place", "cancel"))),
        mark(caught(FAULT, "/srv/shop/app/refunds.py")),
    }
    assert len(marks) == 4


def test_frames_of_libraries_do_not_count() -> None:
    direct = caught("import json\ndef read():\n    json.loads('x')\nread()\n")
    captured = capture(direct, 1000)
    without = captured._replace(frames=tuple(f for f in captured.frames if "json" not in f.path))
    assert len(without.frames) < len(captured.frames)
    assert fingerprint(captured) == fingerprint(without)


def test_the_stack_tells_causes_and_contexts() -> None:
    def fail() -> None:
        try:
            raise KeyError("id")
        except KeyError as error:
            raise ProductError("no such order") from error

    try:
        fail()
    except ProductError as error:
        text = stack_text(capture(error, 1000))
    assert "KeyError: 'id'" in text
    assert "direct cause" in text
    assert 'raise ProductError("no such order") from error' in text
    assert text.rstrip().endswith("ProductError: no such order")


def test_endless_recursion_gives_a_short_stack() -> None:
    def recurse() -> Any:
        return recurse()

    try:
        recurse()
    except RecursionError as error:
        captured = capture(error, 1000)
    assert len(captured.frames) <= 60
    assert len(stack_text(captured)) < 20_000


def test_built_in_exceptions_go_without_a_module() -> None:
    assert qualified_name(ValueError()) == "ValueError"
    assert qualified_name(ProductError()).endswith("test_errors.ProductError")
