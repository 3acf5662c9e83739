"""The sentence that opens the page My browsers: is the reader told anywhere, and where does it not work."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.model.push import PushSubscription
from tocsin.web import format
from tocsin.web.words import Headline, Part


def browsers(rows: Sequence[PushSubscription], is_ready: bool) -> Headline:
    if not is_ready:
        sub = 'An administrator sets contact = "mailto:…" in the section [notify_webpush] of tocsin.toml.'
        return Headline("warn", (Part("Notifications in browsers are not configured."),), (Part(sub),))
    if not rows:
        sub = "Switch it on below, in each browser and on each phone where alerts are to appear."
        return Headline("quiet", (Part("No browser tells you of alerts yet."),), (Part(sub),))
    failing = [row for row in rows if row.failures]
    if failing:
        named = format.join([row.browser for row in failing])
        verb = "was" if len(failing) == 1 else "were"
        return Headline("bad", (Part(f"{named} {verb} not told the last time.", is_harm=True),))
    where = "One browser tells" if len(rows) == 1 else f"{format.sentence(format.count_word(len(rows)))} browsers tell"
    return Headline("ok", (Part(f"{where} you of alerts."),))
