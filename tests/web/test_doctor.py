"""What single checks of the doctor say of a server that is not well."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from tocsin.storage.telemetry.spool import SpoolSettings
from tocsin.web.api.doctor import State, _disk


@pytest.mark.parametrize(("least", "state"), [(0, State.OK), (1 << 60, State.FAILURE)])
def test_disk_without_the_room_that_ingest_needs_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, least: int, state: State
) -> None:
    half = SimpleNamespace(total=2 * 10**9, free=10**9)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: half)
    spool = SimpleNamespace(settings=SpoolSettings(min_free_bytes=least))
    check = _disk(SimpleNamespace(data=tmp_path, spool=spool))
    assert check.state is state
    assert ("nothing more is accepted" in check.detail) is (state is State.FAILURE)
