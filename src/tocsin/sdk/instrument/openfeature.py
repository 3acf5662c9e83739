"""OpenFeature: what each flag gave to whom, how long that took, and when it began to give something else.

Source: OpenTelemetry's semantic conventions for feature flags, and OpenFeature's appendix D.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from time import perf_counter
from typing import Any

from tocsin.sdk.agents import active_agent, current_agent
from tocsin.sdk.exposition import labels_of
from tocsin.sdk.guard import guarded
from tocsin.sdk.instrument import _contract
from tocsin.sdk.instrument._flips import Flips
from tocsin.sdk.settings import Settings
from tocsin.sdk.sums import describe
from tocsin.sdk.tenant import current_tenant

EVALUATIONS, DURATION = "feature_flag_evaluations_total", "feature_flag_evaluation_duration_seconds"
describe(EVALUATIONS, "Evaluations of feature flags, by variant.")
describe(DURATION, "Seconds that evaluating a feature flag took.")
EVENT = "feature_flag.evaluation"
FLIP = "tocsin.flag.flip"

# Flags told of in one change of a provider's configuration.
_CHANGED = 20
# Values that stand for themselves where a provider names no variant.
_PLAIN = (bool, int, float, str)
_VALUE_CHARACTERS = 64


class Instrument(_contract.Instrument):
    """Evaluations as numbers and on the request's span, changes as events."""

    modules = ("openfeature.client", "openfeature.api")

    def switch_on(self, settings: Settings) -> None:
        from openfeature import api
        from openfeature.client import OpenFeatureClient
        from openfeature.event import ProviderEvent

        self._flips = Flips()
        self.patches.wrap(OpenFeatureClient, "evaluate_flag_details", self._watch)
        self.patches.wrap(OpenFeatureClient, "evaluate_flag_details_async", self._watch_async)
        api.add_handler(ProviderEvent.PROVIDER_CONFIGURATION_CHANGED, tell_changed)

    def switch_off(self) -> None:
        super().switch_off()
        from openfeature import api
        from openfeature.event import ProviderEvent

        with suppress(ValueError):  # the app has cleared its handlers, ours among them
            api.remove_handler(ProviderEvent.PROVIDER_CONFIGURATION_CHANGED, tell_changed)

    def _watch(self, original: Callable[..., Any]) -> Callable[..., Any]:
        note = self._note

        def evaluate_flag_details(self: Any, *args: Any, **kwargs: Any) -> Any:
            began = perf_counter()
            details = original(self, *args, **kwargs)
            note(self, details, perf_counter() - began, args, kwargs)
            return details

        return evaluate_flag_details

    def _watch_async(self, original: Callable[..., Any]) -> Callable[..., Any]:
        note = self._note

        async def evaluate_flag_details_async(self: Any, *args: Any, **kwargs: Any) -> Any:
            began = perf_counter()
            details = await original(self, *args, **kwargs)
            note(self, details, perf_counter() - began, args, kwargs)
            return details

        return evaluate_flag_details_async

    @guarded(None)
    def _note(self, client: Any, details: Any, seconds: float, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        agent = active_agent()
        if agent is None:
            return
        flag, variant, reason = details.flag_key, _variant(details), str(details.reason or "unknown").lower()
        tenant = current_tenant() or ""
        labels = labels_of({"flag": flag, "reason": reason, "variant": variant})
        agent.increases.count(EVALUATIONS, labels, tenant)
        agent.increases.time(DURATION, (("flag", flag),), tenant, seconds)
        facts = {"feature_flag.key": flag, "feature_flag.result.variant": variant, "feature_flag.result.reason": reason}
        if details.error_code is not None:
            facts["error.type"] = str(details.error_code.value).lower()
        _put_on_span(flag, variant, facts)
        if details.error_code is None:
            self._look_for_flip(agent, client, facts, reason, tenant, _subject(args, kwargs))

    def _look_for_flip(
        self, agent: Any, client: Any, facts: dict[str, str], reason: str, tenant: str, subject: str
    ) -> None:
        """A split without a targeting key may answer anything each time: that says nothing about the flag."""
        if reason == "split" and not subject:
            return
        flag, variant = facts["feature_flag.key"], facts["feature_flag.result.variant"]
        before = self._flips.see(flag, tenant, subject or tenant, variant)
        if before is None:
            return
        of = f" for {tenant}" if tenant else ""
        said = {**facts, "tocsin.flag.before": before, "feature_flag.provider.name": _provider(client)}
        agent.emit(FLIP, f"flag {flag}{of}: {before or 'none'} → {variant or 'none'}", said, tenant=tenant)


@guarded(None)
def tell_changed(details: Any) -> None:
    """A provider's configuration has changed, which it says itself; nobody's in particular."""
    agent = current_agent()
    if agent is None:
        return
    for flag in (details.flags_changed or [])[:_CHANGED]:
        facts = {"feature_flag.key": flag, "feature_flag.provider.name": details.provider_name or ""}
        agent.emit(FLIP, f"flag {flag} was changed in {details.provider_name or 'its provider'}", facts, tenant="")


def _put_on_span(flag: str, variant: str, facts: dict[str, str]) -> None:
    """Once a flag and request: the event, and on the request's own span what traces are searched by."""
    from opentelemetry import trace

    span = trace.get_current_span()
    root = getattr(span, "root", None)
    if root is None:
        return
    seen: dict[str, str] | None = root.__dict__.get("flags")
    if seen is None:
        seen = root.__dict__["flags"] = {}
        if getattr(root, "is_request", False):
            root.agent.flag_requests.add(root)
    if seen.get(flag) == variant:
        return
    seen[flag] = variant
    span.add_event(EVENT, {name: value for name, value in facts.items() if value})
    root.set_attribute(f"tocsin.flag.{flag}", variant)


def _variant(details: Any) -> str:
    """The variant's name, else a plain value as text."""
    if details.variant:
        return str(details.variant)[:_VALUE_CHARACTERS]
    value = details.value
    return (
        (str(value).lower() if isinstance(value, bool) else str(value)[:_VALUE_CHARACTERS])
        if isinstance(value, _PLAIN)
        else ""
    )


def _subject(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """The targeting key of the evaluation, whose answer should stay the same."""
    context = kwargs.get("evaluation_context") or (args[3] if len(args) > 3 else None)
    return str(getattr(context, "targeting_key", None) or "")


def _provider(client: Any) -> str:
    return str(getattr(client.provider.get_metadata(), "name", ""))
