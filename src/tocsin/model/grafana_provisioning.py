"""Grafana's provisioning files: what grafana-datasources.yml and grafana-dashboards.yml ask for, and what that means
here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tocsin.model.yaml_text import Problem, TextError, read_yaml

WHAT = "this provisioning file"
SPOKEN = {
    "prometheus": "Tocsin answers Prometheus' API at /prometheus; point this data source there",
    "alertmanager": "Tocsin routes alerts itself",
    "loki": "Tocsin takes logs itself",
    "jaeger": "Tocsin keeps the traces itself; see the page Traces",
    "tempo": "Tocsin keeps the traces itself; see the page Traces",
}
PROVIDER_KEYS = {"name", "orgId", "folder", "folderUid", "type", "options", "apiVersion"}


@dataclass(slots=True)
class Report:
    """Sentences about each entry; `folders` are where its dashboards lie."""

    understood: list[str] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)


def read_provisioning(text: str) -> Report:
    """Raises TextError for what is neither file."""
    value = read_yaml(text, WHAT).value
    if not isinstance(value, dict) or not ({"datasources", "providers"} & value.keys()):
        raise TextError(WHAT, [Problem("", 0, "it has neither 'datasources' nor 'providers'")])
    report = Report()
    for one in _entries(value, "datasources", report):
        _data_source(one, report)
    for one in _entries(value, "providers", report):
        _provider(one, report)
    known = {"apiVersion", "datasources", "providers"}
    report.unsupported += [f"{key}: it has no meaning here" for key in value if key not in known]
    return report


def _entries(value: dict[str, Any], key: str, report: Report) -> list[dict[str, Any]]:
    found = value.get(key) or []
    if not isinstance(found, list):
        report.unsupported.append(f"{key}: expected a list")
        return []
    return [one for one in found if isinstance(one, dict)]


def _data_source(given: dict[str, Any], report: Report) -> None:
    name, kind = given.get("name") or "unnamed", str(given.get("type") or "")
    where = f"data source '{name}' ({kind or 'no type'}, {given.get('url') or 'no address'})"
    if kind in SPOKEN:
        report.understood.append(f"{where}: {SPOKEN[kind]}")
    else:
        report.unsupported.append(f"{where}: Tocsin is no client of data sources of the type {kind or 'none'}")
    details = given.get("jsonData") if isinstance(given.get("jsonData"), dict) else {}
    kept = {"timeInterval", "httpMethod", "prometheusType", "prometheusVersion"}
    for key in details or {}:
        if key not in kept:
            report.unsupported.append(f"{where}: jsonData.{key}")
    if given.get("secureJsonData") or given.get("basicAuth"):
        report.unsupported.append(f"{where}: its credentials; Tocsin gives API tokens instead")


def _provider(given: dict[str, Any], report: Report) -> None:
    name = given.get("name") or "unnamed"
    options = given.get("options") if isinstance(given.get("options"), dict) else {}
    path = str((options or {}).get("path") or "")
    where = f"provider '{name}'"
    if str(given.get("type") or "file") != "file" or not path:
        report.unsupported.append(f"{where}: only files in a folder can be read, and it names none")
        return
    report.folders.append(path)
    report.understood.append(f"{where}: dashboards in {path}; bring them in with tocsin dashboards import {path}")
    if given.get("folder"):
        report.unsupported.append(f"{where}: the folder '{given['folder']}'; boards have tags instead")
    for key in ("updateIntervalSeconds", "disableDeletion", "allowUiUpdates", "editable"):
        if key in given:
            report.unsupported.append(f"{where}: {key}; files are read when you say so, with tocsin dashboards sync")
    report.unsupported += [
        f"{where}: {key}"
        for key in given
        if key not in PROVIDER_KEYS | {"updateIntervalSeconds", "disableDeletion", "allowUiUpdates", "editable"}
    ]
