"""The agents at work in this process, found without loading what they are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin.sdk.tenant import work_at_hand

if TYPE_CHECKING:
    from tocsin.sdk.agent import Agent
    from tocsin.sdk.settings import Settings

by_settings: dict[Settings, Agent] = {}
"""Equal settings share one; the first is the process's own."""


def current_agent() -> Agent | None:
    """The agent of the current request, else the process's first, else None."""
    found: Agent | None = getattr(work_at_hand(), "agent", None)
    return found if found is not None else first_agent()


def active_agent() -> Agent | None:
    """The current agent, unless it is switched off."""
    agent = current_agent()
    return agent if agent is not None and agent.settings.enabled else None


def first_agent() -> Agent | None:
    """The process's own."""
    return next(iter(by_settings.values()), None)


def all_agents() -> list[Agent]:
    return list(by_settings.values())
