"""Rule files made here, switches and states: versions, audit, and what outlives a restart."""

from __future__ import annotations

import pytest

from tocsin.model.control import SYSTEM
from tocsin.storage.control import ControlStore, NotFound, Taken


def test_file_is_saved_in_versions_and_audited(store: ControlStore) -> None:
    store.rules.save(SYSTEM, id="b", text="b", over_version=0)
    store.rules.save(SYSTEM, id="a", text="1", over_version=0)
    second = store.rules.save(SYSTEM, id="a", text="2", over_version=1)

    assert ([one.id for one in store.rules.files()], second.version) == (["a", "b"], 2)
    with pytest.raises(Taken, match="changed them meanwhile"):
        store.rules.save(SYSTEM, id="a", text="3", over_version=1)
    store.rules.delete(SYSTEM, "a")
    with pytest.raises(NotFound):
        store.rules.delete(SYSTEM, "a")
    actions = [entry.action for entry in store.audit.entries(object="a")]
    assert actions == ["rules.delete", "rules.save", "rules.save"]


def test_switch_is_remembered_with_who_did_it_and_audited(store: ControlStore) -> None:
    store.rules.switch(SYSTEM, "k", "High CPU", False)
    store.rules.switch(SYSTEM, "k", "High CPU", True)

    assert (store.rules.switches()["k"].is_on, store.rules.switches()["k"].changed_by) == (True, SYSTEM.name)
    assert [entry.action for entry in store.audit.entries(object="k")] == ["rule.switch_on", "rule.switch_off"]


def test_states_are_replaced_and_forgotten(store: ControlStore) -> None:
    store.rules.keep_states({"a": {"alerts": [1]}, "b": {"alerts": []}})
    store.rules.keep_states({"a": {"alerts": [2]}, "b": None, "never": None})

    assert store.rules.states() == {"a": {"alerts": [2]}}
