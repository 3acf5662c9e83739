from __future__ import annotations

import sysconfig
from types import CodeType
from typing import Any

from tocsin.sdk.errors import CapturedError, Frame, capture, fingerprint, qualified_name, stack_text


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


def named(source: str, module: str, path: str) -> str:
    try:
        exec(compile(source, path, "exec"), {"__name__": module})
    except Exception as error:  # noqa: BLE001  any of them
        return mark(error)
    raise AssertionError("nothing was raised")


def test_a_release_unpacked_elsewhere_leaves_the_fingerprint() -> None:
    first = named(FAULT, "app.orders", "/srv/releases/2026.11.2/app/orders.py")
    assert first == named(FAULT, "app.orders", "/srv/releases/2026.11.3/app/orders.py")
    assert first != named(FAULT, "app.refunds", "/srv/releases/2026.11.3/app/orders.py")


def test_the_depth_of_a_recursion_leaves_the_fingerprint() -> None:
    deep = "def place(n):\n    if not n: raise ValueError\n    place(n - 1)\nplace({})\n"
    assert mark(caught(deep.format(3))) == mark(caught(deep.format(50)))


def test_the_endpoint_that_led_to_a_fault_leaves_the_fingerprint_and_who_asked_for_it_does_not() -> None:
    code = "def convert(): raise KeyError\ndef totals(): convert()\ndef other(): convert()\n"
    routes = "def a(): totals()\ndef b(): totals()\ndef c(): other()\n"
    first = mark(caught(code + routes + "a()"))
    assert first == mark(caught(code + routes + "b()"))
    assert first != mark(caught(code + routes + "c()"))


def test_what_caused_a_fault_is_part_of_it() -> None:
    code = (
        "def one(): raise KeyError\ndef two(): raise IndexError\n"
        "def wrap(f):\n    try: f()\n    except LookupError as e: raise RuntimeError from e\n"
    )
    assert mark(caught(code + "wrap(one)")) != mark(caught(code + "wrap(two)"))


def test_an_app_installed_like_a_library_has_frames_of_its_own() -> None:
    site = sysconfig.get_paths()["purelib"]
    frames = (
        Frame(f"{site}/starlette/routing.py", 1, "app", "starlette.routing"),
        Frame(f"{site}/shop/orders.py", 2, "place", "shop.orders"),
    )
    error = CapturedError("ValueError", "x", frames)
    other = error._replace(frames=(frames[0]._replace(function="wrapped", module="starlette.routing"), frames[1]))
    assert fingerprint(error) == fingerprint(other) == fingerprint(error._replace(frames=frames[1:]))


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
