"""Tallyroom's HTTP surface: one module for each area, put together under `/api/v1`."""

from fastapi import APIRouter

from demo.product.routes import admin, auth, dashboard, files, invoices, live, organisation, projects, reports

api = APIRouter(prefix="/api/v1")
for area in (auth, organisation, dashboard, projects, reports, invoices, files, live, admin):
    api.include_router(area.router)
