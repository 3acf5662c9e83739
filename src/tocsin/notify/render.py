"""The words of a notification, once for all channels: what, who is hurt, since when, why, and where to go.

Pure functions of the notification; a channel puts the parts into its provider's form.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from tocsin.model.alert import ALERT_NAME, Alert
from tocsin.model.notification import Notification, Report
from tocsin.model.runbooks import runbook_link
from tocsin.model.severity import Severity

NEWLINE = "\n"
SHOWN_ALERTS = 20
SHOWN_TENANTS = 5
TITLE_CHARS, SUMMARY_CHARS, FACT_CHARS, URL_CHARS = 200, 1000, 1000, 2000
COLORS = {  # for a bar beside the message; the states' colours of the pages
    Severity.P0: "#b3261e",
    Severity.P1: "#b3261e",
    Severity.P2: "#c4590b",
    Severity.P3: "#b58105",
    Severity.P4: "#3b6fb6",
}
RESOLVED_COLOR = "#2e7d4f"
REPORT_COLORS = {"bad": "#b3261e", "warn": "#b58105", "ok": RESOLVED_COLOR}
QUIET_COLOR = "#667"


@dataclass(frozen=True, slots=True)
class Link:
    label: str
    url: str


@dataclass(frozen=True, slots=True)
class AlertText:
    """One alert of the group in words."""

    name: str
    summary: str
    description: str
    labels: str
    since: str
    is_firing: bool
    runbook_url: str
    source_url: str


@dataclass(frozen=True, slots=True)
class Text:
    """A notification in words. `facts` are (heading, words); `links` begin with the page of the group."""

    title: str
    summary: str
    facts: tuple[tuple[str, str], ...]
    alerts: tuple[AlertText, ...]
    left_out: int
    links: tuple[Link, ...]
    color: str
    is_firing: bool
    severity: Severity

    @property
    def plain(self) -> str:
        """All of it as lines of text."""
        lines = [self.summary, "", *(_fact_line(heading, words) for heading, words in self.facts)]
        if len(self.alerts) > 1 or self.left_out:
            lines += ["", *(alert_line(alert) for alert in self.alerts)]
            lines += [f"and {self.left_out} more"] if self.left_out else []
        lines += ["", *(f"{link.label}: {link.url}" for link in self.links)]
        return "\n".join(lines).strip() + "\n"

    @property
    def short(self) -> str:
        """What fits on a lock screen: the sentence and the facts."""
        return "\n".join([self.summary, *(_fact_line(heading, words) for heading, words in self.facts)])

    def link(self, label: str) -> str:
        return next((link.url for link in self.links if link.label == label), "")

    @property
    def page_url(self) -> str:
        return self.links[0].url if self.links else ""


def text_of(notification: Notification) -> Text:
    """The words for a notification."""
    if notification.report is not None:
        return _text_of_report(notification.report, notification)
    told = [*notification.firing, *notification.resolved]
    is_firing = bool(notification.firing)
    return Text(
        title=cut(title_of(notification), TITLE_CHARS),
        summary=cut(_summary(notification), SUMMARY_CHARS),
        facts=tuple((heading, cut(words, FACT_CHARS)) for heading, words in _facts(notification)),
        alerts=tuple(_alert_text(alert, notification, alert in notification.firing) for alert in told[:SHOWN_ALERTS]),
        left_out=max(0, len(told) - SHOWN_ALERTS) + notification.held_back,
        links=tuple(_links(notification)),
        color=COLORS[notification.severity] if is_firing else RESOLVED_COLOR,
        is_firing=is_firing,
        severity=notification.severity,
    )


def _text_of_report(report: Report, notification: Notification) -> Text:
    base = notification.external_url.rstrip("/")
    facts = (*report.facts, *((("Why", notification.cause),) if notification.cause else ()))
    links = [Link(label, f"{base}{path}") for label, path in report.links] if base else []
    return Text(
        title=cut(report.title, TITLE_CHARS),
        summary=cut(report.summary, SUMMARY_CHARS),
        facts=tuple((heading, cut(words, FACT_CHARS)) for heading, words in facts),
        alerts=(),
        left_out=0,
        links=tuple(_that_programs_take(links)),
        color=REPORT_COLORS.get(report.state, QUIET_COLOR),
        is_firing=report.is_harm,
        severity=Severity.P4,
    )


def title_of(notification: Notification) -> str:
    """One line: "P1 HighErrorRate: checkout, acme"; where no label says where, what: "P4 BackupLate: No backup…"."""
    state = notification.severity.named("priority") if notification.firing else "Resolved:"
    name = notification.common_labels.get(ALERT_NAME) or _joined(sorted({one.name for one in notification.alerts}), 3)
    where = _where(notification.common_labels)
    if not where and notification.alerts:
        where = _said(notification.alerts[0])
    count = f" ({len(notification.alerts)})" if len(notification.alerts) > 1 else ""
    return f"{state} {name or 'alert'}{count}{': ' + where if where else ''}"


def alert_line(alert: AlertText) -> str:
    """One alert on one line."""
    mark = "firing" if alert.is_firing else "resolved"
    return f"- {mark} since {alert.since}: {alert.summary}{' (' + alert.labels + ')' if alert.labels else ''}"


def cut(text: str, limit: int) -> str:
    """At most `limit` characters, with an ellipsis when something is missing."""
    return text if len(text) <= limit else text[: max(limit - 1, 0)] + "…"


def cut_bytes(text: str, limit: int) -> str:
    """At most `limit` bytes of UTF-8, never half a character."""
    encoded = text.encode()
    if len(encoded) <= limit:
        return text
    return encoded[: limit - 3].decode("utf-8", "ignore") + "…"


def html_of(text: Text, image: str = "", caption: str = "") -> str:
    """An HTML page that mail programs can show: tables, inline styles, no script and no outside image.

    image: the address of a picture within the mail (cid:…), caption its words.
    """
    escape = html.escape
    facts = "".join(
        f'<tr style="vertical-align:top"><td style="padding:2px 12px 2px 0;color:#667">{escape(heading)}</td>'
        f"<td>{escape(words).replace(NEWLINE, '<br>')}</td></tr>"
        for heading, words in text.facts
    )
    alerts = "".join(f"<li>{escape(alert_line(alert)[2:])}</li>" for alert in text.alerts)
    more = f"<p>and {text.left_out} more</p>" if text.left_out else ""
    listed = f"<ul>{alerts}</ul>{more}" if len(text.alerts) > 1 or text.left_out else ""
    chart = f'<p><img src="{escape(image)}" alt="{escape(caption)}" width="640"></p>' if image else ""
    chart += f'<p style="color:#667;font-size:12px">{escape(caption)}</p>' if caption else ""
    links = " &nbsp; ".join(f'<a href="{escape(link.url)}">{escape(link.label)}</a>' for link in text.links)
    return (
        '<!doctype html><html><body style="font:15px/1.5 system-ui,sans-serif;color:#1c2430;margin:0;padding:16px">'
        f'<div style="border-left:6px solid {text.color};padding:4px 16px">'
        f'<h1 style="font-size:19px;margin:0 0 8px">{escape(text.title)}</h1><p>{escape(text.summary)}</p>'
        f"<table>{facts}</table>{chart}{listed}<p>{links}</p></div></body></html>"
    )


def _summary(notification: Notification) -> str:
    alerts = notification.firing or notification.resolved
    if not alerts:
        return "There is nothing in this notification."
    first = _said(alerts[0])
    rest = len(alerts) - 1
    sentence = f"{first} and {rest} more {'alert' if rest == 1 else 'alerts'} with it" if rest else first
    return sentence if notification.firing else f"Over: {sentence}"


def _said(alert: Alert) -> str:
    notes = alert.annotations
    return notes.get("summary") or notes.get("message") or notes.get("description") or alert.name or "an alert"


def _facts(notification: Notification) -> Sequence[tuple[str, str]]:
    facts = []
    tenants = sorted({alert.tenant for alert in notification.alerts if alert.tenant})
    if tenants:
        facts.append(("Hurt", _joined(tenants, SHOWN_TENANTS)))
    services = sorted({alert.labels["service"] for alert in notification.alerts if alert.labels.get("service")})
    if services:
        facts.append(("Service", _joined(services, SHOWN_TENANTS)))
    if notification.alerts:
        began = min(alert.starts_at for alert in notification.firing or notification.resolved)
        facts.append(("Since", f"{_time(began)} ({_ago(began, notification.made_at)})"))
    if why := notification.cause or notification.common_annotations.get("description", ""):
        facts.append(("Why", why))
    if notification.held_back:
        facts.append(("Held back", f"{notification.held_back} more alerts, for which this message stands"))
    return facts


def _links(notification: Notification) -> Sequence[Link]:
    links = []
    base = notification.external_url.rstrip("/")
    if base:
        group = quote(notification.group_key, safe="")
        links.append(Link("Open", f"{base}/alerts?group={group}"))
        if notification.firing:
            links.append(Link("Acknowledge", f"{base}/alerts?group={group}&do=acknowledge"))
            links.append(Link("Silence", f"{base}/silences?{urlencode({'filter': _matchers(notification)})}"))
            links.append(Link("Declare", f"{base}/alerts?group={group}&do=declare"))
    notes = notification.common_annotations
    if runbook := notes.get("runbook_url") or notes.get("runbook"):
        links.append(Link("Runbook", runbook_link(runbook, base)))
    if dashboard := notes.get("dashboard_url") or notes.get("dashboard"):
        links.append(Link("Dashboard", dashboard))
    sources = {alert.generator_url for alert in notification.alerts if alert.generator_url}
    if len(sources) == 1:
        links.append(Link("Source", sources.pop()))
    return _that_programs_take(links)


def _that_programs_take(links: Sequence[Link]) -> list[Link]:
    """A link that no program takes, or that is none, would cost the whole message."""
    return [link for link in links if link.url.startswith(("https://", "http://")) and len(link.url) <= URL_CHARS]


def _fact_line(heading: str, words: str) -> str:
    """A list stands below its heading."""
    return f"{heading}: {words}" if NEWLINE not in words else NEWLINE.join([f"{heading}:", *_dashed(words)])


def _dashed(words: str) -> list[str]:
    return [f"- {line}" for line in words.splitlines()]


def _matchers(notification: Notification) -> str:
    """The labels all alerts share, as Alertmanager writes matchers."""
    pairs = [f'{name}="{_escaped(value)}"' for name, value in sorted(notification.common_labels.items())]
    return "{" + ", ".join(pairs) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _alert_text(alert: Alert, notification: Notification, is_firing: bool) -> AlertText:
    shared = notification.common_labels if len(notification.alerts) > 1 else alert.labels
    own = {name: value for name, value in alert.labels.items() if shared.get(name) != value}
    notes = alert.annotations
    return AlertText(
        name=alert.name,
        summary=cut(_said(alert), SUMMARY_CHARS),
        description=notes.get("description", ""),
        labels=cut(", ".join(f"{name}={value}" for name, value in sorted(own.items())), FACT_CHARS),
        since=_time(alert.starts_at),
        is_firing=is_firing,
        runbook_url=runbook_link(notes.get("runbook_url", ""), notification.external_url),
        source_url=alert.generator_url,
    )


def _where(labels: Mapping[str, str]) -> str:
    named = [labels.get(name, "") for name in ("service", "job", "tenant", "instance")]
    return ", ".join(dict.fromkeys(value for value in named if value))


def _joined(names: Sequence[str], limit: int) -> str:
    shown = ", ".join(names[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _ago(began: datetime, now: datetime) -> str:
    seconds = max(0.0, (now - began).total_seconds())
    for size, word in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {word} ago"
    return f"{seconds:.0f} s ago"
