"""The sentence that opens the Channels page: can anybody be told, and who could not."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.notify.overview import ChannelState
from tocsin.web import format
from tocsin.web.words import Headline, Part

LOG = "log"


def channels(states: Sequence[ChannelState]) -> Headline:
    usable = [one for one in states if not one.problem]
    people = sorted({one.channel for one in usable} - {LOG})
    failing = sorted({_named(one) for one in usable if one.state == "failing"})
    if failing:
        verb = "was" if len(failing) == 1 else "were"
        noun = "message" if len(failing) == 1 else "messages"
        text = f"The last {noun} to {format.join(failing)} {verb} not delivered"
        return Headline("bad", (Part(f"{text}.", is_harm=True),), (Part("The log below says why."),))
    broken = [one for one in states if one.problem and one.receiver not in (one.channel,)]
    if not people:
        sub = "Configure e-mail, Slack, Pushover or another channel in tocsin.toml, then send a test from here."
        return Headline("warn", (Part("Alerts reach nobody yet: only the log is told."),), (Part(sub),))
    sent, failed = sum(one.sent for one in usable), sum(one.failed for one in usable)
    said = f"Alerts can go out by {format.join(people)}"
    day = f"{format.sentence(format.plural(sent, 'message'))} delivered in the last day"
    day += f", {failed} failed." if failed else "."
    if broken:
        named = format.join(sorted({f"{one.integration} of {one.receiver}" for one in broken}))
        return Headline("warn", (Part(f"{said}; {named} cannot be used."),), (Part(day),))
    return Headline("ok", (Part(f"{said}."),), (Part(day),))


def _named(state: ChannelState) -> str:
    return state.channel if state.receiver == state.channel else f"{state.channel} of {state.receiver}"
