"""What every protocol does with a body that has come in: room for it, a thread when it is large, the wait on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from http import HTTPStatus
from typing import TypeVar

from tocsin.ingest import counters
from tocsin.ingest.body import BodyError, BodyTooLargeError, UnknownEncodingError
from tocsin.ingest.gate import LARGE_BODY_BYTES, Gate, Refused, too_large

Taken = TypeVar("Taken")
Admit = Callable[[bytes], tuple["Future[bool]", Taken]]
"""Everything between the bytes as sent and the spool: whether it is stored and new, and what to answer from."""


async def take(gate: Gate, signal: str, body: bytes, admit: Admit[Taken]) -> Taken:
    """What `admit` says of the body, once it is stored. `signal` is who is counted; raises Refused."""
    counters.received_bytes.labels(signal).inc(len(body))
    gate.reserve(len(body))
    try:
        is_large = len(body) > LARGE_BODY_BYTES
        stored, taken = await asyncio.to_thread(admit, body) if is_large else admit(body)
        is_new = await asyncio.wrap_future(stored)
    except UnknownEncodingError as error:
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, str(error)) from error
    except BodyError as error:
        raise Refused(HTTPStatus.BAD_REQUEST, str(error)) from error
    except BodyTooLargeError as error:
        raise too_large(f"it holds more than the {error.max_bytes} bytes allowed once decompressed") from error
    except OSError as error:
        raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, f"cannot write to the spool: {error}; retry later", 5) from error
    finally:
        gate.release(len(body))
    if not is_new:
        counters.repeated.labels(signal).inc()
    return taken
