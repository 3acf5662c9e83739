"""What anybody may see, as an app of its own mounted at `/public`."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI, HTTPException, status

from demo.tenants import TENANTS

_PRICES_CENTS = {"starter": 0, "team": 900, "business": 1900, "enterprise": 3900}


def create_public() -> FastAPI:
    """Prices and the directory of customers who agreed to be named."""
    app = FastAPI(title="Tallyroom, public pages", openapi_url=None)

    @app.get("/prices")
    async def prices() -> dict[str, int]:
        return _PRICES_CENTS

    @app.get("/customers/{slug}")
    async def customer(slug: str) -> dict[str, str]:
        await asyncio.sleep(0.002)
        for tenant in TENANTS:
            if tenant.slug == slug:
                return {"name": tenant.name, "plan": tenant.plan}
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"no customer {slug!r}")

    return app
