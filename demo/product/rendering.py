"""Calls the invoice rendering service over HTTP, in the trace of the request that asked for it."""

from __future__ import annotations

from dataclasses import dataclass

import httpx2
from opentelemetry import propagate

from demo.faults import DEPENDENCY_DOWN

# The discard port: nothing has listened there for decades, so connections are refused.
_STALE_URL = "http://127.0.0.1:9"


class RenderingError(Exception):
    """The rendering service could not be reached or did not render."""


@dataclass(frozen=True)
class Renderer:
    """The rendering service at `url`."""

    client: httpx2.AsyncClient
    url: str

    async def render(self, org_id: str, number: str, customer: str, total_cents: int) -> str:
        """The invoice as text. Raises RenderingError when the service is down or refuses."""
        headers = {"X-Tenant-ID": org_id}
        propagate.inject(headers)
        body = {"number": number, "customer": customer, "total_cents": total_cents}
        url = _STALE_URL if DEPENDENCY_DOWN.bites(org_id) else self.url
        try:
            answer = await self.client.post(f"{url}/render", json=body, headers=headers)
            answer.raise_for_status()
        except httpx2.HTTPError as error:
            raise RenderingError(f"cannot render invoice {number}: {error}; try again in a minute") from error
        return str(answer.json()["document"])
