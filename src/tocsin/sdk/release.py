"""Which release a process runs: what the platform's variables say, else the commit that is checked out.

Nothing is run for it: `.git` is read as files. Source: gitrepository-layout(5).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

# Commits, as build and hosting platforms name them.
COMMIT_VARIABLES = (
    "TOCSIN_COMMIT", "GIT_COMMIT", "SOURCE_VERSION", "HEROKU_SLUG_COMMIT", "HEROKU_BUILD_COMMIT", "RENDER_GIT_COMMIT",
    "RAILWAY_GIT_COMMIT_SHA", "VERCEL_GIT_COMMIT_SHA", "GITHUB_SHA", "CI_COMMIT_SHA", "CIRCLE_SHA1",
    "BITBUCKET_COMMIT", "BUILDKITE_COMMIT", "TRAVIS_COMMIT", "DRONE_COMMIT_SHA", "COMMIT_SHA",
    "CODEBUILD_RESOLVED_SOURCE_VERSION", "KOYEB_GIT_SHA", "ZEABUR_GIT_COMMIT_SHA",
)  # fmt: skip
# Releases that are no commit: those of platforms that number their deploys.
RELEASE_VARIABLES = ("HEROKU_RELEASE_VERSION", "K_REVISION", "FLY_MACHINE_VERSION", "WEBSITE_DEPLOYMENT_ID")
SHORT = 12

_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_PACKED_BYTES = 4 * 1024 * 1024


def find_commit(environ: Mapping[str, str], folder: Path | None = None) -> str:
    """The commit, or '' when nothing tells it."""
    for name in COMMIT_VARIABLES:
        value = environ.get(name, "").strip()
        if _COMMIT.fullmatch(value.lower()):
            return value.lower()
    return commit_of(folder or Path(os.curdir))


def find_release(environ: Mapping[str, str], commit: str) -> str:
    """The release where nobody has named one: the platform's number, else the short commit, else ''."""
    return next((environ[name].strip() for name in RELEASE_VARIABLES if environ.get(name)), commit[:SHORT])


def commit_of(folder: Path) -> str:
    """The commit checked out in the folder or one above it; '' outside of any repository."""
    try:
        place = folder.resolve()
        for above in (place, *place.parents):
            if (above / ".git").exists():
                return _read_head(above / ".git")
    except (OSError, UnicodeDecodeError):
        pass  # not ours to read: then it is not known
    return ""


def _read_head(git: Path) -> str:
    if git.is_file():  # a worktree or submodule: the file names its folder
        git = git.parent / git.read_text().partition("gitdir:")[2].strip()
    head = (git / "HEAD").read_text().strip()
    if not head.startswith("ref:"):
        return head if _COMMIT.fullmatch(head) else ""
    name = head.removeprefix("ref:").strip()
    common = git / (git / "commondir").read_text().strip() if (git / "commondir").exists() else git
    for base in (git, common):
        if (base / name).is_file():
            found = (base / name).read_text().strip()
            return found if _COMMIT.fullmatch(found) else ""
    return _read_packed(common / "packed-refs", name)


def _read_packed(packed: Path, name: str) -> str:
    if not packed.is_file() or packed.stat().st_size > _PACKED_BYTES:
        return ""
    for line in packed.read_text().splitlines():
        commit, _, ref = line.partition(" ")
        if ref == name and _COMMIT.fullmatch(commit):
            return commit
    return ""
