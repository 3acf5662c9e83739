"""The bill of materials of a release, as CycloneDX: every Python package of tocsin[server], every browser library.

The packages are those installed where the release is made, with their versions there; what a user's pip chooses within
the ranges of the wheel may be newer. Equal inputs give equal bytes.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

Component = dict[str, Any]
PRODUCT, EXTRAS = "tocsin", ("server", "postgresql")


def bill_of_materials(lock_file: Path, epoch_seconds: int) -> str:
    """CycloneDX 1.6 as JSON for the installed tocsin and the browser libraries of `lock_file`."""
    packages, needs = _closure(PRODUCT, EXTRAS)
    libraries = list(_browser_libraries(json.loads(lock_file.read_text(encoding="utf-8"))))
    refs = {name: [_purl(packages[need]) for need in sorted(needs[name])] for name in packages}
    refs[PRODUCT] += [library["bom-ref"] for library in libraries]
    edges = [{"ref": _purl(found), "dependsOn": refs[name]} for name, found in sorted(packages.items())]
    product = _package_component(packages.pop(PRODUCT)) | {"type": "application"}
    content = {
        "metadata": {"timestamp": datetime.fromtimestamp(epoch_seconds, UTC).isoformat(), "component": product},
        "components": [_package_component(found) for _, found in sorted(packages.items())] + libraries,
        "dependencies": edges,
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(content, sort_keys=True))
    head = {"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": f"urn:uuid:{serial}", "version": 1}
    return json.dumps(head | content, indent=2, ensure_ascii=False) + "\n"


def _closure(name: str, extras: Iterable[str]) -> tuple[dict[str, Distribution], dict[str, set[str]]]:
    """The distribution and all that it needs here, by canonical name, and which of them each needs."""
    found: dict[str, Distribution] = {}
    needs: dict[str, set[str]] = {}
    seen = set()
    waiting = [(str(canonicalize_name(name)), frozenset(extras))]
    while waiting:
        current, wanted = waiting.pop()
        seen.add((current, wanted))
        found[current] = _installed(current)
        for needed in _requirements(found[current], wanted):
            following = (str(canonicalize_name(needed.name)), frozenset(needed.extras))
            needs.setdefault(current, set()).add(following[0])
            if following not in seen:
                waiting.append(following)
    return found, {each: needs.get(each, set()) for each in found}


def _installed(name: str) -> Distribution:
    try:
        return distribution(name)
    except PackageNotFoundError as error:
        raise SystemExit(f"cannot list the package {name!r}: it is not installed here; run make setup") from error


def _requirements(found: Distribution, extras: Iterable[str]) -> Iterator[Requirement]:
    """What a distribution requires on this platform, with these extras."""
    for text in found.requires or []:
        requirement = Requirement(text)
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield requirement


def _package_component(found: Distribution) -> Component:
    component: Component = {
        "type": "library",
        "bom-ref": _purl(found),
        "name": found.metadata["Name"],
        "version": found.version,
        "purl": _purl(found),
    }
    if "License-Expression" in found.metadata:
        component["licenses"] = [{"expression": found.metadata["License-Expression"]}]
    elif names := _licence_names(found):
        component["licenses"] = [{"license": {"name": name}} for name in names]
    return component


def _licence_names(found: Distribution) -> list[str]:
    """From before licence expressions: the trove classifiers, or else a short licence field."""
    kinds = [text for text in found.metadata.get_all("Classifier") or [] if text.startswith("License :: ")]
    stated = (found.metadata.get_all("License") or [""])[0]
    short = [stated] if stated and "\n" not in stated and len(stated) < 80 else []
    return sorted({kind.rpartition(" :: ")[2] for kind in kinds}) or short


def _browser_libraries(lock: dict[str, Any]) -> Iterator[Component]:
    for path, entry in sorted(lock["packages"].items()):
        if not path or entry.get("dev"):
            continue
        name = path.rpartition("node_modules/")[2]
        purl = f"pkg:npm/{name.replace('@', '%40')}@{entry['version']}"
        component: Component = {
            "type": "library", "bom-ref": purl, "name": name, "version": entry["version"], "purl": purl,
        }  # fmt: skip
        algorithm, _, digest = entry.get("integrity", "").partition("-")
        if algorithm == "sha512":
            component["hashes"] = [{"alg": "SHA-512", "content": base64.b64decode(digest).hex()}]
        if licence := entry.get("license"):
            component["licenses"] = [{"expression": licence}]
        yield component


def _purl(found: Distribution) -> str:
    return f"pkg:pypi/{canonicalize_name(found.metadata['Name'])}@{found.version}"
