"""Makes the files of a release from the commit that is checked out: sdist, wheel, bill of materials, sums, signature.

python -m scripts.release [--key KEY] [--out dist]

Built from what git has, not from the working tree, with the commit's time as every file's time: whoever builds the same
commit gets the same bytes. Without a key the sums are not signed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from scripts.sbom import bill_of_materials

ROOT = Path(__file__).parent.parent
SUMS, NAMESPACE = "SHA256SUMS", "tocsin-release"


class ReleaseError(Exception):
    """The release cannot be made; the message says why and what to do."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--key", type=Path, help="SSH key to sign with; its public half stands in release-signers")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder for the files; emptied first")
    options = parser.parse_args()
    try:
        release(options.out.absolute(), options.key)
    except ReleaseError as error:
        sys.exit(str(error))


def release(out: Path, key: Path | None) -> None:
    """Fill `out`. Raises ReleaseError; `out` then has no sums."""
    if changed := _run("git", "status", "--porcelain", cwd=ROOT).strip():
        raise ReleaseError(f"cannot release: these changes are not committed; commit or stash them\n{changed}")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    epoch_seconds = int(_run("git", "log", "-1", "--format=%ct", cwd=ROOT))
    build(out, epoch_seconds)
    wheel = next(out.glob("*.whl"))
    bill = out / f"{'-'.join(wheel.name.split('-')[:2])}.cdx.json"
    bill.write_text(bill_of_materials(ROOT / "package-lock.json", epoch_seconds), encoding="utf-8")
    write_sums(out)
    print(_run("cat", SUMS, cwd=out), end="")
    if key is None:
        print(f"not signed: name the key with --key, or sign {SUMS} later")
        return
    sign(out / SUMS, key)
    print(_run(str(ROOT / "scripts" / "verify-release"), str(out), cwd=ROOT), end="")


def build(out: Path, epoch_seconds: int) -> None:
    """The sdist, and the wheel of the same tree."""
    with tempfile.TemporaryDirectory() as folder:
        archive, tree = Path(folder) / "tree.tar", Path(folder) / "tree"
        _run("git", "-c", "tar.umask=0022", "archive", "-o", str(archive), "HEAD", cwd=ROOT)
        tree.mkdir()
        _run("tar", "-xf", str(archive), "-C", str(tree), cwd=ROOT)
        _run(
            sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-t", "wheel", "-d", str(out),
            cwd=tree, environ={"SOURCE_DATE_EPOCH": str(epoch_seconds)},
        )  # fmt: skip


def write_sums(out: Path) -> None:
    """SHA256SUMS as `sha256sum --check` reads it."""
    files = sorted(path for path in out.iterdir() if path.name != SUMS)
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (out / SUMS).write_text("".join(lines))


def sign(sums: Path, key: Path) -> None:
    """SHA256SUMS.sig beside it; asks for the key's passphrase, or the agent, as ssh does."""
    sums.with_name(f"{sums.name}.sig").unlink(missing_ok=True)  # ssh-keygen would ask before it overwrites
    if not key.is_file():
        raise ReleaseError(f"cannot sign with {key}: there is no such file; make a key as docs/releases.md says")
    command = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(sums)]
    if subprocess.run(command, check=False).returncode:
        raise ReleaseError(f"cannot sign with {key}: ssh-keygen refused; its words are above")


def _run(*command: str, cwd: Path, environ: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **(environ or {})}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ReleaseError(f"cannot run {' '.join(command[:3])}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


if __name__ == "__main__":
    main()
