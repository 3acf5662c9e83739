"""`tocsin dashboards`: folders and the server brought together, boards from and to Grafana."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import Run
from served import Served

pytestmark = pytest.mark.xdist_group("commands")

BOARD = "title: Mine\nid: mine\npanels:\n  - {title: P, id: 1, at: [0,0,12,8], type: chart, queries: [{expr: up}]}\n"


@pytest.fixture(autouse=True)
def _clean(metrics_server: Served) -> Iterator[None]:
    yield
    for id in ("mine", "old"):
        metrics_server.administrator.delete(f"/api/v1/dashboards/{id}")


def test_folder_goes_to_the_server_once(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(BOARD)
    tried = run("dashboards", "sync", str(tmp_path), "--dry-run")
    assert (tried.exit_code, tried.output.split("\n")[-2]) == (1, "1 board would change")
    assert "+title: Mine" in tried.output
    done = run("dashboards", "sync", str(tmp_path))
    assert (done.exit_code, done.output.split("\n")[-2]) == (0, "1 board changed")
    again = run("dashboards", "sync", str(tmp_path))
    assert again.output == "0 boards changed\n"
    changed = BOARD.replace("title: P", "title: Q")
    (tmp_path / "mine.yaml").write_text(changed)
    diff = run("dashboards", "sync", str(tmp_path), "--dry-run").output
    assert "-    title: P\n+    title: Q" in diff


def test_server_goes_to_the_folder_as_files_that_go_back_unchanged(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "boards"
    assert run("dashboards", "sync", str(folder), "--pull").exit_code == 0
    assert {file.name for file in folder.iterdir()} >= {"application.yaml", "runtime.yaml", "tocsin.yaml"}
    assert run("dashboards", "sync", str(folder), "--dry-run").output == "0 boards would change\n"
    assert run("dashboards", "sync", str(folder), "--pull").output == "0 boards changed\n"


def test_one_bad_file_keeps_all_from_being_written(run: Run, tmp_path: Path, metrics_server: Served) -> None:
    (tmp_path / "mine.yaml").write_text(BOARD)
    (tmp_path / "bad.yaml").write_text("id: bad\ntitle: B\npanels: [{id: 1, kind: chart}]\n")
    result = run("dashboards", "sync", str(tmp_path))
    assert result.exit_code == 2
    assert "line 3, panels[0].kind: there is no field 'kind'" in result.output
    assert metrics_server.administrator.get("/api/v1/dashboards/mine").status_code == 404
    assert "it is no folder" in run("dashboards", "sync", str(tmp_path / "none")).output


def test_viewer_cannot_sync(run: Run, tmp_path: Path, metrics_server: Served) -> None:
    (tmp_path / "mine.yaml").write_text(BOARD)
    token = metrics_server.tom.headers["authorization"].removeprefix("Bearer ")
    result = run("dashboards", "sync", str(tmp_path), token=token)
    assert result.exit_code == 2
    assert "it takes the role operator" in result.output


def test_grafana_files_come_in_with_what_is_not_kept(run: Run, tmp_path: Path) -> None:
    panel = {"id": 1, "title": "M", "type": "geomap", "targets": []}
    (tmp_path / "old.json").write_text(json.dumps({"title": "Old", "panels": [panel]}))
    (tmp_path / "grafana-dashboards.yml").write_text("providers: [{name: d, options: {path: /x}, folder: F}]")
    files = [str(tmp_path / name) for name in ("old.json", "grafana-dashboards.yml")]
    result = run("dashboards", "import", *files)
    assert result.exit_code == 0
    assert "is the board old\n  not kept: panel 1 'M': panels of the type geomap" in result.output
    assert "not kept: provider 'd': the folder 'F'" in result.output
    assert run("dashboards", "import", files[0]).exit_code == 2
    assert run("dashboards", "import", files[0], "--overwrite").exit_code == 0
    assert json.loads(run("dashboards", "export", "old").output)["title"] == "Old"
    (tmp_path / "broken.json").write_text("{")
    assert "cannot read it" in run("dashboards", "import", str(tmp_path / "broken.json")).output
