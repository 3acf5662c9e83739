"""What the app logs as lines of JSON, to stdout and to files of one day each.

`tocsin.instrument(app)` sends the app's log records to the server and leaves its handlers and formats as they are;
nothing of this is needed for that.

```python
import tocsin

tocsin.logs.to_stdout()
tocsin.logs.to_file("logs/app.jsonl")
tocsin.logs.to_file("logs/errors/app.jsonl", level="ERROR")
```
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

from tocsin.sdk.logs import hook, output
from tocsin.sdk.logs.files import DatedFileHandler
from tocsin.sdk.logs.json_format import FIELDS, RESERVED, JsonFormatter
from tocsin.sdk.logs.levels import level_of

__all__ = ["RESERVED", "DatedFileHandler", "JsonFormatter", "off", "to_file", "to_stdout"]


def to_stdout(level: str = "INFO", **how: Any) -> logging.Handler:
    """Writes every record of the process from this level on to stdout, a line of JSON each.

    Records of structlog and loguru, too, and of loggers that do not propagate, such as uvicorn's. Arguments are those
    of `JsonFormatter`: rename_fields, static_fields, timestamp, fmt … Raises ValueError for a level that does not
    exist.
    """
    return _add(output.StreamOutput(lambda: sys.stdout, level_of(level)), how)


def to_file(
    path: str | os.PathLike[str], level: str = "INFO", *, max_bytes: int = 0, utc: bool = True, **how: Any
) -> logging.Handler:
    """The same to a file whose name gets the day: `logs/app.jsonl` is written as `logs/app-2026-11-21.jsonl`.

    Any number of processes may write to it. max_bytes: where a further file of the day begins, 0 for one a day. utc:
    days of UTC, else of local time. `tocsin logs maintain` compresses, archives and deletes such files.
    """
    return _add(DatedFileHandler(path, level_of(level), max_bytes, utc), how)


def off(handler: logging.Handler) -> None:
    """Ends what `to_stdout` or `to_file` has begun."""
    output.remove(handler)
    hook.remove_if_idle()


def _add(handler: logging.Handler, how: dict[str, Any]) -> logging.Handler:
    handler.setFormatter(JsonFormatter(how.pop("fmt", FIELDS), **{"timestamp": True, **how}))
    output.add(handler)
    hook.install()
    # `logging` lets nothing below WARNING through unless told otherwise.
    root = logging.getLogger()
    root.setLevel(min(root.level or logging.WARNING, handler.level))
    return handler
