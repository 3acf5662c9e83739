"""A release is the same bytes from the same commit, is signed, and one changed byte is found."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("release")

ROOT = Path(__file__).parents[2]
IDENTITY = {f"GIT_{who}_{what}": "release@tocsin" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"} | IDENTITY
    return subprocess.run(list(map(str, command)), cwd=cwd, env=environ, capture_output=True, text=True, check=False)


def new_key(folder: Path, name: str) -> Path:
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", folder / name, cwd=folder)
    return folder / name


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What git knows of this tree, committed in a repository of its own, with a signer."""
    folder = tmp_path_factory.mktemp("release")
    tree = folder / "tree"
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", cwd=ROOT)
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tree / name)
    _, public = (new_key(folder, "key").with_suffix(".pub")).read_text().split()[:2]
    (tree / "release-signers").write_text(f'release@tocsin namespaces="tocsin-release" ssh-ed25519 {public}\n')
    for arguments in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "a release")):
        done = run("git", *arguments, cwd=tree)
        assert done.returncode == 0, done.stderr
    return tree


@pytest.fixture(scope="module")
def signed(checkout: Path) -> Path:
    done = make_release(checkout, "signed", "key")
    assert done.returncode == 0, done.stderr
    assert "verified: 3 files" in done.stdout
    return checkout.parent / "signed"


@pytest.fixture
def copy(signed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(signed, tmp_path / "copy"))


def make_release(checkout: Path, out: str, key: str | None = None) -> subprocess.CompletedProcess[str]:
    arguments = ["--out", str(checkout.parent / out), *(["--key", str(checkout.parent / key)] if key else [])]
    return run(sys.executable, "-m", "scripts.release", *arguments, cwd=checkout)


def verify(checkout: Path, folder: Path, *signers: Path) -> subprocess.CompletedProcess[str]:
    return run(checkout / "scripts" / "verify-release", folder, *signers, cwd=folder.parent)


def test_same_commit_gives_the_same_bytes(checkout: Path, signed: Path) -> None:
    assert make_release(checkout, "again").returncode == 0
    assert (checkout.parent / "again" / "SHA256SUMS").read_bytes() == (signed / "SHA256SUMS").read_bytes()


def test_what_was_signed_is_verified(checkout: Path, copy: Path) -> None:
    assert verify(checkout, copy).returncode == 0


@pytest.mark.parametrize("pattern", ["*.whl", "*.tar.gz", "*.cdx.json"])
def test_one_changed_byte_is_found(checkout: Path, copy: Path, pattern: str) -> None:
    path = next(copy.glob(pattern))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    done = verify(checkout, copy)
    assert done.returncode == 1
    assert "a file is not the one that was signed" in done.stderr
    assert path.name in done.stderr


def test_changed_sums_are_found(checkout: Path, copy: Path) -> None:
    sums = copy / "SHA256SUMS"
    sums.write_text(sums.read_text().replace("tocsin", "tocsim", 1))
    assert "was not signed by a key" in verify(checkout, copy).stderr


def test_file_that_was_not_signed_is_found(checkout: Path, copy: Path) -> None:
    (copy / "tocsin-0.1.0.tar").touch()
    assert "'tocsin-0.1.0.tar' was not signed" in verify(checkout, copy).stderr


def test_missing_signature_or_file_is_found(checkout: Path, copy: Path) -> None:
    next(copy.glob("*.whl")).unlink()
    assert verify(checkout, copy).returncode == 1
    (copy / "SHA256SUMS.sig").unlink()
    assert "it is not signed" in verify(checkout, copy).stderr


def test_key_that_is_no_signer_is_found_when_the_release_is_made(checkout: Path, copy: Path, tmp_path: Path) -> None:
    new_key(checkout.parent, "other")
    done = make_release(checkout, "foreign", "other")
    assert done.returncode == 1
    assert "was not signed by a key" in done.stderr
    other = tmp_path / "signers"
    other.write_text(f"release@tocsin {(checkout.parent / 'other.pub').read_text()}")
    assert verify(checkout, copy, other).returncode == 1
    assert verify(checkout, checkout.parent / "foreign", other).returncode == 0


def test_what_is_not_committed_is_not_released(checkout: Path) -> None:
    (checkout / "stray.txt").touch()
    done = make_release(checkout, "stray")
    (checkout / "stray.txt").unlink()
    assert done.returncode == 1
    assert "cannot release: these changes are not committed" in done.stderr
    assert not (checkout.parent / "stray").exists()


def test_bill_of_materials_names_packages_and_browser_libraries(signed: Path) -> None:
    bill = json.loads(next(signed.glob("*.cdx.json")).read_text())
    named = {component["name"]: component for component in bill["components"]}
    assert {"chdb", "fastapi", "starlette", "opentelemetry-api", "argon2-cffi", "uplot"} <= set(named)
    assert "pytest" not in named
    assert len(named["uplot"]["hashes"][0]["content"]) == 128
    refs = {component["bom-ref"] for component in [*bill["components"], bill["metadata"]["component"]]}
    edges = {edge["ref"]: edge["dependsOn"] for edge in bill["dependencies"]}
    assert set(edges) <= refs
    assert {ref for needed in edges.values() for ref in needed} <= refs
    assert named["starlette"]["purl"] in edges[named["fastapi"]["purl"]]
    assert named["uplot"]["purl"] in edges[bill["metadata"]["component"]["purl"]]
