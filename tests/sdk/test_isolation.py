"""How rows name a tenant, as declared: forms of one key, what is asked once, and declarations that cannot be used."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tocsin.sdk import guard
from tocsin.sdk.isolation import Declared, IsolationError, declared, forms, isolation, may_be_equal_kind


def test_one_key_has_many_forms() -> None:
    key = uuid.uuid4()
    assert {key, str(key), key.hex, key.bytes} <= forms(str(key).upper())
    assert forms("17") == {"17", 17}
    assert forms(17) == {"17", 17}
    assert forms(" Acme ") >= {"Acme", "acme"}


@pytest.mark.parametrize(
    ("value", "tenant", "may"),
    [(17, "acme", False), (17, "18", True), ("globex", "acme", True), (uuid.UUID(int=7), "acme", False),
     (uuid.UUID(int=7), str(uuid.UUID(int=8)), True)],
)  # fmt: skip
def test_a_number_can_never_be_a_name(value: Any, tenant: str, may: bool) -> None:
    assert may_be_equal_kind(value, tenant) is may


def test_the_product_is_asked_once_a_tenant_and_again_when_it_did_not_know() -> None:
    now, asked = [0.0], list[str]()
    answers: dict[str, Any] = {"acme": 17, "globex": None}

    def key(tenant: str) -> Any:
        asked.append(tenant)
        return answers[tenant]

    made = Declared(clock=lambda: now[0])
    made.change(tenant_key=key, shared=("*",))
    for _ in range(3):
        assert made.find_allowed("acme", None) == {17, "17", "*", None}
        assert made.find_allowed("globex", None) == frozenset()
    assert asked == ["acme", "globex"]
    answers["globex"], now[0] = 18, 31.0
    assert 18 in made.find_allowed("globex", None)
    assert (made.name_of(17), made.name_of(18), made.name_of(99)) == ("acme", "globex", "99")


def test_a_key_function_that_fails_is_a_counted_fault_and_no_answer() -> None:
    def key(tenant: str) -> Any:
        raise KeyError(tenant)

    made = Declared()
    made.change(tenant_key=key)
    assert made.find_allowed("acme", None) == frozenset()
    assert guard.faults["tenant_key"] == 1
    guard.faults.clear()


def test_what_was_said_with_the_tenant_wins() -> None:
    made = Declared()
    assert made.find_allowed("acme", 17) == {17, "17", None}


async def _coroutine(tenant: str) -> int:
    return 1


@pytest.mark.parametrize(
    ("declare", "words"),
    [
        (lambda: isolation(tenant_columns="org_id"), "one text"),
        (lambda: isolation(tenant_columns=[]), "no name in it"),
        (lambda: isolation(exempt_tables="plans"), "one text"),
        (lambda: isolation(models={17: "org_id"}), "no mapped class"),
        (lambda: isolation(tenant_key=_coroutine), "plain function"),
    ],
)
def test_a_declaration_that_cannot_be_used_says_what_to_write(declare: Callable[[], None], words: str) -> None:
    before = declared.now
    with pytest.raises(IsolationError, match=words):
        declare()
    assert declared.now is before
