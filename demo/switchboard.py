"""Lists and switches the faults of a running product over HTTP."""

from __future__ import annotations

from typing import Any

import httpx2


class SwitchError(Exception):
    """The product could not be reached or knows no such fault or tenant."""


def describe_faults(product_url: str) -> str:
    """Every fault with its switch, what it does and what to look for, as lines to print."""
    faults = _ask(product_url, "GET", "/_demo/faults", {})
    return "\n".join(
        f"{_switch_line(fault)}\n    {fault['description']}\n    -> {fault['watch_for']}" for fault in faults
    )


def switch_fault(product_url: str, name: str, on: bool, tenant: str | None) -> str:
    """Switch, and say what to look for."""
    parameters = {"on": str(on).lower()} | ({"tenant": tenant} if tenant else {})
    fault = _ask(product_url, "POST", f"/_demo/faults/{name}", parameters)
    return f"{_switch_line(fault)}\n    -> {fault['watch_for']}" if fault["on"] else _switch_line(fault)


def _switch_line(fault: dict[str, Any]) -> str:
    if not fault["on"]:
        return f"{fault['name']:<22} off"
    who = "everybody" if fault["tenants"] == ["*"] else ", ".join(fault["tenants"])
    return f"{fault['name']:<22} ON for {who}"


def _ask(product_url: str, method: str, path: str, parameters: dict[str, str]) -> Any:
    try:
        answer = httpx2.request(method, product_url + path, params=parameters, timeout=5.0, trust_env=False)
    except httpx2.TransportError as error:
        raise SwitchError(
            f"cannot reach the product at {product_url}: {error}; start it with `python -m demo run`, or give --url"
        ) from error
    if not answer.is_success:
        raise SwitchError(str(answer.json().get("detail", answer.text)))
    return answer.json()
