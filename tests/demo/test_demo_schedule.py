"""What the demo does by the clock: one tenant's failing job is that tenant's alone."""

from __future__ import annotations

from demo.faults import JOB_FAILING
from demo.product.schedule import JOBS, write_statements
from demo.product.services import Services
from demo.tenants import TENANTS
from fastapi.testclient import TestClient

from tocsin.sdk.agent import agent_for, close_agent
from tocsin.sdk.settings import Settings
from tocsin.testing import capture_spans


def test_every_organisation_gets_a_statement(client: TestClient) -> None:
    services: Services = client.app.state.services  # type: ignore[attr-defined]  # Starlette's own type hides it
    write_statements(services)
    for tenant in TENANTS:
        assert (
            (services.export_folder / f"statement-{tenant.slug}.csv").read_text().startswith("organisation,reports\n")
        )


def test_the_fault_fails_the_job_of_one_tenant_with_its_line(client: TestClient) -> None:
    services: Services = client.app.state.services  # type: ignore[attr-defined]  # as above
    agent = agent_for(Settings(service="tallyroom"))
    JOB_FAILING.switch(on=True, tenant="acme")
    try:
        with capture_spans() as captured:
            write_statements(services)
            runs = [span for span in captured.spans if span.name == "monthly-statements"]
    finally:
        close_agent(agent, 0.0)
    [failed] = [span for span in runs if span.status == "error"]
    assert len(runs) == len(TENANTS)
    assert failed.tenant == "acme"
    assert "in write_statement" in failed.events[0].attributes["exception.stacktrace"]


def test_the_jobs_names_are_their_own() -> None:
    assert len({job.name for job in JOBS}) == len(JOBS) == 3
