"""Stored dashboards: versions, audit, and that two people do not overwrite each other unseen."""

from __future__ import annotations

import pytest

from tocsin.model.control import SYSTEM
from tocsin.storage.control import ControlStore, NotFound, Taken


def test_board_is_saved_found_and_listed_by_title(store: ControlStore) -> None:
    boards = store.dashboards
    boards.save(SYSTEM, id="b", title="Zebra", text="z")
    boards.save(SYSTEM, id="a", title="Ants", text="a" * 100_000)
    assert [board.id for board in boards.all()] == ["a", "b"]
    found = boards.find("a")
    assert found is not None
    assert (found.version, found.changed_by, len(found.text)) == (1, SYSTEM.name, 100_000)
    assert boards.find("c") is None


def test_every_change_is_a_version_and_in_the_audit(store: ControlStore) -> None:
    first = store.dashboards.save(SYSTEM, id="a", title="A", text="1", over_version=0)
    second = store.dashboards.save(SYSTEM, id="a", title="A", text="2", over_version=1)
    assert (first.version, second.version, second.created_at) == (1, 2, first.created_at)
    store.dashboards.delete(SYSTEM, "a")
    actions = [entry.action for entry in store.audit.entries(object="a")]
    assert actions == ["dashboard.delete", "dashboard.save", "dashboard.save"]


def test_change_of_an_older_version_is_refused(store: ControlStore) -> None:
    store.dashboards.save(SYSTEM, id="a", title="A", text="1")
    for over in (0, 2):
        with pytest.raises(Taken, match="changed it meanwhile"):
            store.dashboards.save(SYSTEM, id="a", title="A", text="2", over_version=over)
    with pytest.raises(Taken):
        store.dashboards.save(SYSTEM, id="new", title="N", text="1", over_version=1)


def test_what_is_not_there_cannot_be_deleted(store: ControlStore) -> None:
    with pytest.raises(NotFound, match="'x'"):
        store.dashboards.delete(SYSTEM, "x")
