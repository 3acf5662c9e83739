"""Bodies of log records that are maps or lists are written out as JSON, which reads, filters and groups like any line.

Events keep theirs as they were sent.
"""

from __future__ import annotations

import base64
import json
import math
import re
from typing import Any

# Field 5 of a record (its body), a length, and in it first field 5 or 6 of a value (a list or a map). Bytes that look
# so by chance cost one pass over the records.
_MAYBE = re.compile(rb"\x2a[\x80-\xff]{0,4}[\x00-\x7f][\x2a\x32]", re.DOTALL)


def write_out(request: Any, body: bytes | None) -> bool:
    """Whether a record of the ExportLogsServiceRequest was changed. `body` is its encoding, if it came so."""
    if body is not None and _MAYBE.search(body) is None:
        return False
    is_changed = False
    for part in request.resource_logs:
        for scope in part.scope_logs:
            for record in scope.log_records:
                kind = record.body.WhichOneof("value")
                if kind in ("kvlist_value", "array_value") and not record.event_name:
                    record.body.string_value = json.dumps(_plain(record.body), ensure_ascii=False)
                    is_changed = True
    return is_changed


def _plain(value: Any) -> Any:
    """The value as JSON knows it: bytes in base64, numbers that JSON does not have as words."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    of = getattr(value, kind)
    if kind == "kvlist_value":
        return {item.key: _plain(item.value) for item in of.values}
    if kind == "array_value":
        return [_plain(item) for item in of.values]
    if kind == "bytes_value":
        return base64.b64encode(of).decode()
    if kind == "double_value" and not math.isfinite(of):
        return str(of)
    return of
