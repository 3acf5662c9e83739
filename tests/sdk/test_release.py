"""The release of a process: said, found in the platform's variables, or read from `.git`; and announced once."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import tocsin
from sdk.told import told
from tocsin.sdk.agent import agent_for
from tocsin.sdk.release import commit_of, find_commit, find_release
from tocsin.testing import capture_spans

COMMIT = "4f0a1b2c3d4e5f60718293a4b5c6d7e8f9012345"


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", *arguments],
        cwd=folder, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "product"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    git(folder, "commit", "-q", "--allow-empty", "-m", "first")
    return folder


def test_what_is_said_wins(tmp_path: Path) -> None:
    said = tocsin.Settings.load({"TOCSIN_RELEASE": "2026.11.3", "GIT_COMMIT": COMMIT})
    assert (said.release, said.commit) == ("2026.11.3", COMMIT)
    assert tocsin.Settings.load({"GIT_COMMIT": COMMIT}, release="7").release == "7"


def test_platform_variables_name_commit_and_release(tmp_path: Path) -> None:
    assert find_commit({"RENDER_GIT_COMMIT": COMMIT.upper()}, tmp_path) == COMMIT
    assert find_commit({"SOURCE_VERSION": "v17"}, tmp_path) == ""
    assert find_release({"HEROKU_RELEASE_VERSION": "v42"}, COMMIT) == "v42"
    assert find_release({}, COMMIT) == COMMIT[:12]


def test_commit_is_read_from_loose_packed_and_detached_heads(repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    (repository / "src").mkdir()
    assert commit_of(repository / "src") == commit
    git(repository, "pack-refs", "--all")
    assert not (repository / ".git" / "refs" / "heads" / "main").exists()
    assert commit_of(repository) == commit
    git(repository, "checkout", "-q", "--detach")
    assert commit_of(repository) == commit


def test_commit_is_read_in_a_worktree(repository: Path, tmp_path: Path) -> None:
    git(repository, "worktree", "add", "-q", "-b", "other", str(tmp_path / "beside"))
    git(tmp_path / "beside", "commit", "-q", "--allow-empty", "-m", "second")
    assert commit_of(tmp_path / "beside") == git(tmp_path / "beside", "rev-parse", "HEAD")


def test_outside_of_a_repository_there_is_none(tmp_path: Path) -> None:
    assert commit_of(tmp_path) == ""
    (tmp_path / ".git").write_text("gitdir: /nowhere\n")
    assert commit_of(tmp_path) == ""


def test_a_process_announces_its_release_once() -> None:
    agent = agent_for(tocsin.Settings.load(service="shop", release="2026.11.3", commit=COMMIT))
    with capture_spans() as captured:
        agent.announce()
        agent.announce()
    (record,) = told(captured)
    assert (record.event, record.body, record.tenant) == ("tocsin.deploy", "shop 2026.11.3 started", None)
    assert record.attributes == {"tocsin.release": "2026.11.3", "vcs.ref.head.revision": COMMIT}
    agent.after_fork()
    with capture_spans() as captured:
        agent.announce()
    assert len(told(captured)) == 1
