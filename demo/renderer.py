"""The invoice rendering service: a second, small product that Tallyroom calls over HTTP."""

from __future__ import annotations

import asyncio
import random

from fastapi import FastAPI
from pydantic import BaseModel, Field

import tocsin


class InvoiceToRender(BaseModel):
    """What stands on the invoice."""

    number: str = Field(min_length=1, max_length=60)
    customer: str
    total_cents: int = Field(ge=0)


def create_renderer(latency_scale: float = 1.0) -> FastAPI:
    """The service's app; rendering takes about 45 ms times `latency_scale`."""
    app = FastAPI(title="Invoice renderer", openapi_url=None)
    tocsin.instrument(app, service="invoice-renderer", environment="demo", release="1.3.0", tenant="header:X-Tenant-ID")
    rng = random.Random(5)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/render")
    async def render(invoice: InvoiceToRender) -> dict[str, str]:
        with tocsin.span("lay out pages"):
            await asyncio.sleep(latency_scale * 0.045 * rng.lognormvariate(0, 0.4))
        total = f"{invoice.total_cents / 100:,.2f}"
        return {"document": f"Invoice {invoice.number}\nTo: {invoice.customer}\nTotal: {total}\n"}

    return app
