"""The sentences that open the pages of alerting."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.alerts.correlate import Cluster
from tocsin.alerts.review import Review
from tocsin.model.alert_state import AlertChange, Change, KnownAlert
from tocsin.model.severity import Severity
from tocsin.model.silence import Maintenance, Silence
from tocsin.web import format
from tocsin.web.alert_board import AlertBoard
from tocsin.web.words import Headline, Part, Speech, listed, tenant_link

MOST_NAMED = 3


def alerts(say: Speech, board: AlertBoard, maintenance: Sequence[Maintenance]) -> Headline:
    """Of the list: what fires, whom it hurts, and the likely root."""
    active = board.active
    held = len(board.suppressed)
    sub = _aside(say, board, held, maintenance)
    if not active:
        if held:
            verb = "is" if held == 1 else "are"
            return Headline(
                "quiet", (Part(f"{format.plural(held, 'alert')} {verb} held back; nothing else fires."),), sub
            )
        return Headline("ok", (Part("Nothing fires."),), sub)
    worst = min(known.alert.severity for known in active)
    cluster = next(each for each in board.clusters if any(_is_in(known, each) for known in active))
    state = "bad" if worst <= Severity.P1 else "warn"
    count = format.plural(len(active), "alert")
    fires = f"fires, {worst.name}" if len(active) == 1 else f"fire, the worst {worst.name}"
    parts = [Part(f"{count} {fires}: ")]
    parts.append(Part(cluster.root.name, say.link(f"/alerts/{cluster.root.fingerprint}"), is_harm=state == "bad"))
    parts.append(Part(f" since {say.clock(int(cluster.since.timestamp() * 1e9))}"))
    if tenants := list(cluster.tenants)[:MOST_NAMED]:
        more = len(cluster.tenants) - len(tenants)
        parts.append(Part(" hurts "))
        parts += listed([Part(name, tenant_link(say.link, name)) for name in tenants])
        parts.append(Part(f" and {format.plural(more, 'tenant')} more" if more else ""))
    return Headline(state, (*parts, Part(".")), ((Part(f"{cluster.cause} "),) if cluster.cause else ()) + sub)


def alert(say: Speech, known: KnownAlert, state: str, sentence: str) -> Headline:
    """Of one alert: that it fires, and why who is told."""
    severity = known.alert.severity
    tone = {"resolved": "quiet", "suppressed": "quiet"}.get(state, "bad" if severity <= Severity.P1 else "warn")
    since = say.clock(int(known.alert.starts_at.timestamp() * 1e9))
    verb = {"resolved": "is over; it began", "suppressed": "fires, held back, since"}.get(state, "fires since")
    parts = [Part(f"{known.alert.name} {verb} {since}")]
    if known.handling.acknowledged_by:
        parts.append(Part(f"; {known.handling.acknowledged_by} has acknowledged it"))
    return Headline(tone, (*parts, Part(".")), (Part(sentence),))


def silences(now_words: str, active: Sequence[Silence], maintenance: Sequence[Maintenance], held: int) -> Headline:
    """Of the silences: what nobody is told of."""
    if maintenance:
        parts = (Part(f"Maintenance is on: nobody is told until {now_words}."),)
        return Headline("warn", parts, (Part(f"It holds back {format.plural(held, 'alert')} so far."),))
    if not active:
        sub = "A silence hides alerts by their labels for a time; maintenance holds back everything."
        return Headline("quiet", (Part("Nothing is silenced."),), (Part(sub),))
    verb = "hides" if len(active) == 1 else "hide"
    return Headline(
        "quiet", (Part(f"{format.plural(len(active), 'silence')} {verb} {format.plural(held, 'alert')} now."),)
    )


def history(say: Speech, changes: Sequence[AlertChange], is_all: bool) -> Headline:
    """Of the history within the chosen time."""
    fired = sum(1 for change in changes if change.change is Change.FIRING)
    told = len({change.detail.get("key") for change in changes if change.change is Change.NOTIFIED})
    if not changes:
        return Headline("quiet", (Part(f"Nothing happened to any alert in {say.span}."),))
    least = "" if is_all else "at least "
    sent = format.plural(told, "notification")
    return Headline(
        "quiet", (Part(f"In {say.span} {least}{format.plural(fired, 'alert')} fired and {sent} went out."),)
    )


def reviewed(say: Speech, made: Review) -> Headline:
    """Of the review: what should change, and how often critical alerts were false."""
    if not made.names:
        return Headline("quiet", (Part(f"No alert fired in {say.span}."),))
    wrong = [one for one in made.names if one.proposal]
    sub: tuple[Part, ...] = ()
    if made.critical_false_ratio is not None:
        share = f"{format.percent(made.critical_false_ratio)} %"
        counts = f"{made.critical_false} of {made.critical_fired}"
        sub = (Part(f"Of critical alerts {share} were called false ({counts}); the aim is below 2 %."),)
    if not wrong:
        fired = format.plural(made.fired, "alert")
        return Headline("ok", (Part(f"{fired} fired in {say.span}; none of their rules asks for a change."),), sub)
    names = listed([Part(one.name) for one in wrong[:MOST_NAMED]])
    more = f" and {format.count_word(len(wrong) - MOST_NAMED)} more" if len(wrong) > MOST_NAMED else ""
    return Headline("warn", (*names, Part(f"{more} rang for nothing in {say.span}.")), sub)


def _is_in(known: KnownAlert, cluster: Cluster) -> bool:
    return any(alert is known.alert for alert in cluster.alerts)


def _aside(say: Speech, board: AlertBoard, held: int, maintenance: Sequence[Maintenance]) -> tuple[Part, ...]:
    parts: list[Part] = []
    if maintenance:
        parts.append(Part("Maintenance is on: nobody is told. ", say.link("/silences")))
    elif held and board.active:
        parts.append(Part(f"{format.count_word(held).capitalize()} more {'is' if held == 1 else 'are'} held back. "))
    if board.storms:
        waiting = sum(len(held) for held in board.storms.values())
        parts.append(Part(f"A storm: {format.plural(waiting, 'notification')} wait for a digest. "))
    taken = sum(1 for known in board.active if known.handling.acknowledged_by)
    if taken:
        parts.append(Part(f"{format.count_word(taken).capitalize()} {'is' if taken == 1 else 'are'} acknowledged."))
    return tuple(parts)
