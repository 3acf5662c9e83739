"""Alembic: each migration that runs in this process is an event, so that charts can show it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tocsin.sdk.agents import current_agent
from tocsin.sdk.guard import guarded
from tocsin.sdk.instrument import _contract
from tocsin.sdk.settings import Settings


class Instrument(_contract.Instrument):
    """Migrations as events `tocsin.migration`."""

    modules = ("alembic.runtime.migration",)

    def switch_on(self, settings: Settings) -> None:
        from alembic.runtime.migration import MigrationContext

        self.patches.wrap(MigrationContext, "__init__", _told)


def _told(original: Callable[..., None]) -> Callable[..., None]:
    """Every context gets our callback beside those of the app; Alembic calls them after each step."""

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.on_version_apply_callbacks = (*self.on_version_apply_callbacks, note_step)

    return __init__


@guarded(None)
def note_step(ctx: Any, step: Any, **_: Any) -> None:
    """Sends the event of one revision that was applied or taken back."""
    agent = current_agent()
    if agent is None or ctx.as_sql:
        return
    revision = (step.up_revision_ids if step.is_upgrade else step.down_revision_ids) or step.up_revision_ids
    name = ", ".join(revision)
    words = (getattr(getattr(step, "up_revision", None), "doc", "") or "").strip()
    did = "migrated to" if step.is_upgrade else "taken back to"
    facts = {"tocsin.migration.revision": name, "tocsin.migration.is_upgrade": bool(step.is_upgrade)}
    if words:
        facts["tocsin.migration.description"] = words
    agent.emit("tocsin.migration", f"database {did} {name}" + (f": {words}" if words else ""), facts, tenant="")
