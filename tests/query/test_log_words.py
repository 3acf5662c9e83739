"""What is typed to search logs, taken apart."""

from __future__ import annotations

import pytest

from tocsin.query.log_words import FieldTest, LogQueryError, SearchText, Words, parse, with_field


@pytest.mark.parametrize(
    ("typed", "words", "fields"),
    [
        ("", (), ()),
        ("  timeout  acme ", (Words("timeout"), Words("acme")), ()),
        ('"pool is empty" -health', (Words("pool is empty"), Words("health", True)), ()),
        ('-"was not"', (Words("was not", True),), ()),
        (r'"say \"hi\" \\"', (Words('say "hi" \\'),), ()),
        ('"never closed', (Words("never closed"),), ()),
        ("enduser.id:u_193", (), (FieldTest("enduser.id", "=", "u_193"),)),
        ('path:"/a b"', (), (FieldTest("path", "=", "/a b"),)),
        ("-level:debug", (), (FieldTest("level", "=", "debug", True),)),
        ("level:>=warn", (), (FieldTest("level", ">=", "warn"),)),
        ("user:*", (), (FieldTest("user", "*", ""),)),
        ("url:/api/*/x*", (), (FieldTest("url", "~", "/api/*/x*"),)),
        ('url:"/api/*"', (), (FieldTest("url", "=", "/api/*"),)),
        ("ms:>1000", (), (FieldTest("ms", ">", "1000.0"),)),
        ("ms:<=.5", (), (FieldTest("ms", "<=", "0.5"),)),
        ("http://shop.example/x", (Words("http://shop.example/x"),), ()),
        ("14:02:33", (Words("14:02:33"),), ()),
        ("Error: now", (Words("Error:"), Words("now")), ()),
        ("- a", (Words("-"), Words("a")), ()),
        ("a\x00b", (Words("a"), Words("b")), ()),
        ('""', (), ()),
    ],
)
def test_parts_are_words_phrases_and_fields(typed: str, words: object, fields: object) -> None:
    assert parse(typed) == SearchText(words, fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("x" * 2001, "at most 2000"),
        (" ".join("ab" for _ in range(41)), "at most 40"),
        ("ms:>fast", "write a number"),
        ("ms:>nan", "write a number"),
    ],
)
def test_too_much_and_no_numbers_are_refused_in_words(typed: str, says: str) -> None:
    with pytest.raises(LogQueryError, match=says):
        parse(typed)


@pytest.mark.parametrize("value", ["plain", "two words", 'quo"te', "back\\slash", "a*b", ">5", "", "a:b", "http://x"])
def test_a_field_that_is_added_is_read_as_it_was(value: str) -> None:
    [test] = parse(with_field("", "name", value)).fields
    assert (test.sign, test.value) == ("=", value)


def test_a_field_is_added_once() -> None:
    once = with_field("timeout", "level", "error")
    assert once == "timeout level:error" == with_field(once, "level", "error")
    assert with_field(once, "level", "error", is_excluded=True) == "timeout level:error -level:error"
