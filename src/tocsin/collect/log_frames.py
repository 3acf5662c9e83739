"""Bytes of a log file cut into lines, and these put through a pipeline.

The same bytes give the same entries again, whatever was read before or after them: what a pipeline keeps back is not
used up, and is read once more together with the lines that follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tocsin.collect.log_entry import Chain, Entry


@dataclass(frozen=True, slots=True)
class Framed:
    """Entries, and how many bytes they used up. is_skipping: the next bytes are the rest of a line that was cut."""

    entries: list[Entry]
    used: int
    is_skipping: bool
    lines: int
    cut_lines: int


def frame(
    data: bytes,
    start: int,
    labels: Mapping[str, str],
    chain: Chain,
    max_line_bytes: int,
    *,
    is_skipping: bool = False,
    closes_block: bool = False,
    takes_rest: bool = False,
) -> Framed:
    """`start`: where `data` begins in its file. `closes_block`, `takes_rest`: an open block, a half line count now."""
    position = 0
    if is_skipping:
        newline = data.find(b"\n")
        if newline < 0:
            return Framed([], len(data), True, 0, 0)
        position = newline + 1
    entries: list[Entry] = []
    lines = cut_lines = 0
    whole = data.rfind(b"\n", position) + 1 or position
    for raw in data[position : whole - 1].split(b"\n") if whole > position else ():
        entry = _entry(raw, start + position, labels, max_line_bytes)
        lines, cut_lines = lines + 1, cut_lines + entry.is_cut
        position += len(raw) + 1
        entries += chain.push(entry)
    rest = len(data) - position
    is_cut = rest >= max_line_bytes
    if is_cut or (takes_rest and rest):
        entry = _entry(data[position:], start + position, labels, max_line_bytes)
        entry.is_cut |= is_cut
        lines, cut_lines = lines + 1, cut_lines + entry.is_cut
        entries += chain.push(entry)
        position = len(data)
    entries += chain.finish(closes_block or is_cut)
    held = chain.held()
    used = position if held is None else held - start
    return Framed([entry for entry in entries if entry.line], used, is_cut, lines, cut_lines)


def _entry(raw: bytes, start: int, labels: Mapping[str, str], max_line_bytes: int) -> Entry:
    is_cut = len(raw) > max_line_bytes
    # Where a file was emptied under a writer that does not append, what it writes next stands behind zeros.
    line = raw[:max_line_bytes].removesuffix(b"\r").lstrip(b"\0")
    return Entry(line.decode("utf-8", "replace"), start, dict(labels), is_cut=is_cut)
