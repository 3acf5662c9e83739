"""Names and fingerprints of exceptions: the same fault gets the same fingerprint wherever its lines have moved."""

from __future__ import annotations

import hashlib
import sys
import sysconfig
from types import TracebackType

_FRAMES = 50
_OUTSIDE = tuple(
    {path for name in ("stdlib", "platstdlib", "purelib", "platlib") if (path := sysconfig.get_paths().get(name))}
)
_MODULE_PARTS = 3


def qualified_name(error: BaseException) -> str:
    """`package.module.Class`, without the module for built-in exceptions."""
    kind = type(error)
    return (
        kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    )


def fingerprint(error: BaseException) -> str:
    """16 hex digits from the exception's type and the app's own frames (file tail and function).

    No line numbers and no message: edits above the fault and ids in the text leave it as it is. When no frame
    belongs to the app, all frames count.
    """
    frames = _frames(error.__traceback__)
    own = [frame for frame in frames if not frame[0].startswith(_OUTSIDE)] or frames
    parts = [qualified_name(error)] + [f"{_tail(path)}:{function}" for path, function in own]
    return hashlib.blake2s("\n".join(parts).encode("utf-8", "replace"), digest_size=8).hexdigest()


def _frames(step: TracebackType | None) -> list[tuple[str, str]]:
    found = []
    while step is not None:
        code = step.tb_frame.f_code
        if not _is_ours(code.co_filename):
            found.append((code.co_filename, code.co_qualname if sys.version_info >= (3, 11) else code.co_name))
        step = step.tb_next
    return found[-_FRAMES:]


def _is_ours(path: str) -> bool:
    return path.startswith(_SDK)


def _tail(path: str) -> str:
    return "/".join(path.replace("\\", "/").split("/")[-_MODULE_PARTS:])


_SDK = __file__.rpartition("errors.py")[0]
