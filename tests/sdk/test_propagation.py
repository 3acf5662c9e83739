from __future__ import annotations

import os
import re

from hypothesis import given
from hypothesis import strategies as st

from tocsin.sdk.propagation import format_traceparent, new_span_id, new_trace_id, parse_traceparent

TRACE = bytes.fromhex("4bf92f3577b34da6a3ce929d0e0e4736")
SPAN = bytes.fromhex("00f067aa0ba902b7")
HEADER = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
STRICT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?", re.DOTALL)


def test_header_of_the_specification_is_read() -> None:
    assert parse_traceparent(HEADER) == (TRACE, SPAN, True, "")


def test_unsampled_flag_and_trace_state_are_read() -> None:
    parsed = parse_traceparent(HEADER[:-1] + b"0", b"vendor=1,other=2")
    assert parsed == (TRACE, SPAN, False, "vendor=1,other=2")


def test_other_flags_do_not_hide_the_sampled_one() -> None:
    assert parse_traceparent(HEADER[:-2] + b"03") == (TRACE, SPAN, True, "")


def test_malformed_headers_begin_a_new_trace() -> None:
    for header in (
        b"",
        b"00",
        HEADER[:-1],
        HEADER.upper(),
        HEADER + b"-more",
        HEADER.replace(b"-", b"_"),
        b"ff" + HEADER[2:],
        b"00-" + b"0" * 32 + HEADER[35:],
        HEADER[:36] + b"0" * 16 + b"-01",
        b"00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b\u0667-01".encode(),
    ):
        assert parse_traceparent(header) is None, header


def test_future_versions_may_carry_more() -> None:
    assert parse_traceparent(b"01" + HEADER[2:] + b"-what-comes") == (TRACE, SPAN, True, "")
    assert parse_traceparent(b"01" + HEADER[2:] + b"what-comes") is None


def test_trace_state_that_is_too_large_or_not_ascii_is_left_out() -> None:
    assert parse_traceparent(HEADER, b"a=" + b"x" * 9000) == (TRACE, SPAN, True, "")
    assert parse_traceparent(HEADER, b"a=\xff") == (TRACE, SPAN, True, "")
    assert parse_traceparent(HEADER, b",".join(b"k%d=1" % n for n in range(40))) == (TRACE, SPAN, True, "")


@given(st.binary(min_size=16, max_size=16).filter(any), st.binary(min_size=8, max_size=8).filter(any), st.booleans())
def test_what_is_written_is_read_back(trace_id: bytes, span_id: bytes, sampled: bool) -> None:
    assert parse_traceparent(format_traceparent(trace_id, span_id, sampled).encode()) == (
        trace_id,
        span_id,
        sampled,
        "",
    )


@given(st.binary(max_size=80) | st.text("0123456789abcdef-+_ ", max_size=60).map(str.encode))
def test_no_bytes_raise_and_only_well_formed_ones_pass(header: bytes) -> None:
    parsed = parse_traceparent(header)
    assert parsed is None or STRICT.fullmatch(header.strip())


def test_ids_differ_between_forked_processes() -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, new_trace_id())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 16) != new_trace_id()
    assert new_span_id() != new_span_id()
    os.close(reader)
    os.close(writer)
