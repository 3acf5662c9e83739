"""Spans of time."""

from __future__ import annotations

from tocsin.model.window import Window


def test_time_before_is_as_long_and_ends_where_the_window_begins() -> None:
    assert Window(100, 130).before() == Window(70, 100)


def test_time_before_the_beginning_of_time_is_what_there_is_of_it() -> None:
    assert Window(10, 130).before() == Window(0, 10)
    assert Window(0, 130).before() == Window(0, 1)
