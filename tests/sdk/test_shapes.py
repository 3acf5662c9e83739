from __future__ import annotations

import pytest

from tocsin.sdk.shapes import Shapes, shape


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("user:42:profile", "user:*:profile"),
        ("session:550e8400-e29b-41d4-a716-446655440000", "session:*"),
        ("session:9f86d081884c7d65", "session:*"),
        ("cart:ada@example.com", "cart:*"),
        ("feature-flags", "feature-flags"),
        ("api:v2:rates", "api:v2:rates"),
        ("report:2026-11-21", "report:*"),
        ("token:eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9", "token:*"),
        ("", ""),
    ],
)
def test_a_key_is_reduced_to_its_kind(key: str, kind: str) -> None:
    assert shape(key, "*") == kind


def test_a_path_is_reduced_to_its_template() -> None:
    shapes = Shapes("{id}", "/")
    assert shapes.of("/api/v1/users/42/orders/550e8400-e29b-41d4-a716-446655440000") == "/api/v1/users/{id}/orders/{id}"
    assert shapes.of("/") == "/"


def test_endless_names_are_cut_to_their_first_part() -> None:
    shapes = Shapes("*", ":")
    names = [f"session:{first}{second}" for first in "abcdefghij" for second in "abcdefghij"]
    kinds = {shapes.of(name) for name in names}
    assert "session:*" in kinds
    assert len(kinds) <= 31
