"""Which line of the customer's own code is at work: the innermost frame that no library, nor Python itself, wrote."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any, NamedTuple

from tocsin.sdk.errors import is_outside, tail

_FILES_KEPT = 4096
_FRAMES = 120

# By file name: whether it is the customer's. File names are few and their hashes are kept by Python.
_is_own: dict[str, bool] = {}


class Line(NamedTuple):
    """One line of code."""

    path: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{tail(self.path)}:{self.line} in {self.function}"

    def attributes(self) -> dict[str, Any]:
        """In OpenTelemetry's words."""
        return {"code.file.path": tail(self.path), "code.line.number": self.line, "code.function.name": self.function}


def own_line() -> Line | None:
    """The line of the customer's code that led here, or None when there is none on the stack.

    SQLAlchemy's asyncio runs statements in a greenlet of their own, whose stack ends at its start: what awaits it is in
    the parent's.
    """
    found = line_of(sys._getframe(1))
    if found is None and "greenlet" in sys.modules:
        greenlet = sys.modules["greenlet"].getcurrent().parent
        while greenlet is not None and found is None:
            found = line_of(greenlet.gr_frame)
            greenlet = greenlet.parent
    return found


def line_of(frame: FrameType | None, until: tuple[str, ...] = ()) -> Line | None:
    """The innermost own line at or above a frame, below any of a file that ends in one of `until`."""
    for _ in range(_FRAMES):
        if frame is None:
            return None
        path = frame.f_code.co_filename
        if until and path.endswith(until):
            return None
        own = _is_own.get(path)
        if own is None:
            own = _judge(path)
        if own:
            return Line(path, frame.f_lineno, frame.f_code.co_name)
        frame = frame.f_back
    return None


def _judge(path: str) -> bool:
    if len(_is_own) >= _FILES_KEPT:
        _is_own.clear()
    # <frozen …> and <string> are nobody's file.
    own = _is_own[path] = not path.startswith("<") and not is_outside(path)
    return own
