from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tocsin.sdk.decode import MessageReader, fields, rejected_items
from tocsin.sdk.encode import CACHE_ENTRIES, AttributeCache, any_value, instrumentation_scope, key_value, varint

SCALARS = (
    st.text(st.characters(exclude_categories=("Cs",)), max_size=300)
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.binary(max_size=50)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {item.key: plain(item.value) for item in value.kvlist_value.values}
    return getattr(value, kind) if kind else None


@given(VALUES)
def test_any_value_is_read_back_by_the_official_decoder(value: Any) -> None:
    assert plain(AnyValue.FromString(any_value(value))) == value


@given(st.dictionaries(st.text(max_size=20), SCALARS, max_size=8))
def test_attributes_are_read_back_by_both_decoders(attributes: dict[str, Any]) -> None:
    encoded = AttributeCache(b"\x4a").encode_all(attributes)
    assert {item.key: plain(item.value) for item in Span.FromString(encoded).attributes} == attributes
    assert MessageReader(encoded).attributes(9) == attributes


@given(st.integers(-(2**63), 2**64 - 1))
def test_varint_is_read_back(value: int) -> None:
    assert next(fields(b"\x08" + varint(value))) == (1, value % 2**64)


def test_what_otlp_cannot_say_is_sent_as_text() -> None:
    assert plain(AnyValue.FromString(any_value(2**70))) == str(2**70)
    assert plain(AnyValue.FromString(any_value({1, 2}))) == "{1, 2}"
    assert plain(AnyValue.FromString(any_value("lone \ud800"))) == "lone ?"
    assert plain(AnyValue.FromString(any_value(None))) is None


def test_nesting_is_bounded() -> None:
    deep: Any = "end"
    for _ in range(2000):
        deep = [deep]
    AnyValue.FromString(any_value(deep))


def test_equal_values_of_different_types_are_kept_apart() -> None:
    cache = AttributeCache(b"\x4a")
    kinds = [
        Span.FromString(cache.encode("key", value)).attributes[0].value.WhichOneof("value")
        for value in (True, 1, 1.0, "1")
    ]
    assert kinds == ["bool_value", "int_value", "double_value", "string_value"]


def test_the_cache_is_bounded() -> None:
    cache = AttributeCache(b"\x4a")
    for number in range(3 * CACHE_ENTRIES):
        cache.encode("key", number)
    assert len(cache._kept) <= CACHE_ENTRIES


def test_instrumentation_scope_and_key_value_have_their_fields() -> None:
    scope = InstrumentationScope.FromString(next(fields(instrumentation_scope("tocsin", "1.2")))[1])  # type: ignore[arg-type]
    assert (scope.name, scope.version) == ("tocsin", "1.2")
    assert KeyValue.FromString(key_value("a", 1)).key == "a"


@given(st.binary(max_size=60))
def test_no_answer_of_a_server_can_raise(answer: bytes) -> None:
    assert rejected_items(answer) >= 0


@given(st.integers(0, 1 << 40) | st.sampled_from([127, 128, 2047, 2048, 16383, 16384]))
def test_lengths_are_read_back_whether_kept_or_worked_out(value: int) -> None:
    assert next(fields(b"\x08" + varint(value))) == (1, value)
