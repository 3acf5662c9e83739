"""Exceptions as telemetry: what was raised, its stack, and a fingerprint that survives edits elsewhere.

A raising request pays only for copying file names and line numbers; source lines and hashes come in the export
thread. The traceback itself is never kept: its frames would hold the request's scope and all local variables.
"""

from __future__ import annotations

import hashlib
import linecache
import sysconfig
from types import FrameType, TracebackType
from typing import NamedTuple

_FRAMES = 60
_CAUSES = 4
# As long as a stack is written down.
STACK_CHARACTERS = 16_384
_MODULE_PARTS = 3
# Functions of the app that name a fault: where it was raised and who asked for that.
_RAISING = 2
_OUTSIDE = tuple({path for name in ("stdlib", "purelib", "platlib") if (path := sysconfig.get_paths().get(name))})
_STDLIB = sysconfig.get_paths()["stdlib"]
# Between the server and the app: they are in every stack, and change with their own releases.
_SERVERS = frozenset({"uvicorn", "hypercorn", "gunicorn", "starlette", "fastapi", "anyio", "asgiref", "opentelemetry"})
_SDK = __file__.rpartition("errors.py")[0]


class Frame(NamedTuple):
    """One line of a stack."""

    path: str
    line: int
    function: str
    module: str = ""


class CapturedError(NamedTuple):
    """An exception without its traceback objects. cause: the exception it came from; link: how they are joined."""

    type_name: str
    message: str
    frames: tuple[Frame, ...]
    cause: CapturedError | None = None
    link: str = ""


def qualified_name(error: BaseException) -> str:
    """`package.module.Class`, without the module for built-in exceptions."""
    kind = type(error)
    return (
        kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    )


def capture(error: BaseException, message_characters: int, level: int = 0) -> CapturedError:
    """What is needed to write the stack down later."""
    cause, link = error.__cause__, "The above exception was the direct cause of the following exception:"
    if cause is None and not error.__suppress_context__:
        cause, link = error.__context__, "During handling of the above exception, another exception occurred:"
    captured = capture(cause, message_characters, level + 1) if cause is not None and level < _CAUSES else None
    return CapturedError(
        qualified_name(error), str(error)[:message_characters], _frames(error.__traceback__), captured, link
    )


def stack_text(error: CapturedError) -> str:
    """The stack as Python prints it, the middle left out when it is very long."""
    text = "".join(_lines(error))
    if len(text) <= STACK_CHARACTERS:
        return text
    half = STACK_CHARACTERS // 2
    return f"{text[:half]}\n  …\n{text[-half:]}"


def fingerprint(error: CapturedError) -> str:
    """16 hex digits from the exception's type and where the app raised it: its innermost two functions, with those of
    what caused it.

    No line numbers, no message and no folder: edits above the fault, ids in the text, how deep a recursion went, which
    endpoint led there and where a release was unpacked leave it as it is. When nothing of the app is in the stack, all
    frames count.
    """
    parts: list[str] = []
    link: CapturedError | None = error
    while link is not None:
        parts += [link.type_name, *_raised_in(link)]
        link = link.cause
    return hashlib.blake2s("\n".join(parts).encode("utf-8", "replace"), digest_size=8).hexdigest()


def _raised_in(error: CapturedError) -> list[str]:
    """The app's innermost functions, each once. An app that was installed like a library is told from others by not
    being one of those that serve it."""
    own = [frame for frame in error.frames if not frame.path.startswith(_OUTSIDE)]
    own = own or [frame for frame in error.frames if not _serves(frame)]
    names = dict.fromkeys(f"{_module(frame)}:{frame.function}" for frame in own or error.frames)
    return list(names)[-_RAISING:] if own else list(names)


def _serves(frame: Frame) -> bool:
    """Whether a frame belongs to Python itself or to what stands between the server and the app."""
    is_python = frame.path.startswith(_STDLIB) and "site-packages" not in frame.path
    return is_python or _module(frame).partition(".")[0] in _SERVERS


def _module(frame: Frame) -> str:
    """`app.orders`; the file alone where the module has no name of its own."""
    if frame.module and frame.module != "__main__":
        return frame.module
    return tail(frame.path).rpartition("/")[2] if frame.module else tail(frame.path)


def is_outside(path: str) -> bool:
    """Whether a source file belongs to Python, a library or to us, and not to the app."""
    return path.startswith(_OUTSIDE) or path.startswith(_SDK)


def _frames(step: TracebackType | None) -> tuple[Frame, ...]:
    found = []
    while step is not None:
        code = step.tb_frame.f_code
        if not code.co_filename.startswith(_SDK):
            found.append(Frame(code.co_filename, step.tb_lineno, code.co_name, _name_of(step.tb_frame)))
        step = step.tb_next
    # The innermost say where it happened; endless recursion says the same thing a thousand times.
    return tuple(found[-_FRAMES:])


def _name_of(frame: FrameType) -> str:
    name = frame.f_globals.get("__name__", "")
    return name if isinstance(name, str) else ""


def _lines(error: CapturedError) -> list[str]:
    lines = [*_lines(error.cause), f"\n{error.link}\n\n"] if error.cause is not None else []
    if error.frames:
        lines.append("Traceback (most recent call last):\n")
    for frame in error.frames:
        lines.append(f'  File "{frame.path}", line {frame.line}, in {frame.function}\n')
        source = linecache.getline(frame.path, frame.line).strip()
        if source:
            lines.append(f"    {source}\n")
    lines.append(f"{error.type_name}: {error.message}\n" if error.message else f"{error.type_name}\n")
    return lines


def tail(path: str) -> str:
    """The end of a path, which says enough and nothing about the machine."""
    return "/".join(path.replace("\\", "/").split("/")[-_MODULE_PARTS:])
