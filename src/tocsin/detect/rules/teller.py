"""Tells what rules say after an evaluation: to the pipeline, and to Alertmanagers outside.

Source: github.com/prometheus/compliance, alert_generator/specification.md, for what is told when, and until when it
counts; a rule that could not be evaluated is silent outside, and is told as it was to the pipeline.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog
from sqlalchemy.exc import SQLAlchemyError

from tocsin.alerts.intake import Refused
from tocsin.detect.rules import counters
from tocsin.detect.rules.alerting import due, sent, told
from tocsin.detect.rules.alertmanagers import Alertmanagers
from tocsin.detect.rules.group_run import GroupRun
from tocsin.model.alert import Alert
from tocsin.model.path_check import is_check

log = structlog.get_logger("tocsin.rules")

AlertSink = Callable[[Sequence[Alert]], None]
"""Takes alerts: those that fire, again and again, with the time until which that counts; those resolved, with their
end. Raises Refused when some of them cannot be kept."""

VALID_TIMES = 4
"""So many times may an alert that fires fail to be told before it is over for who hears it."""


class Teller:
    """Hands over what is due, and notes in the states of the rules that it was told."""

    def __init__(self, sink: AlertSink, alertmanagers: Alertmanagers, external_url: str, resend_seconds: float) -> None:
        self._sink = sink
        self._alertmanagers = alertmanagers
        self._external_url = external_url
        self._resend_ms = round(resend_seconds * 1000)

    def tell(self, run: GroupRun, at_ms: int) -> None:
        """What the sink cannot take now is told at the next evaluation; what it refuses stands in `run.untold`."""
        ends_ms = at_ms + VALID_TIMES * max(self._resend_ms, run.interval_ms)
        news: list[Alert] = []
        outside: list[Alert] = []
        keys = [due(state.alerts, at_ms, self._resend_ms) for state in run.states]
        for state, mine in zip(run.states, keys, strict=True):
            url = f"{self._external_url}/rules/{state.key}"
            alerts = [told(state.alerts[key], url, ends_ms) for key in mine]
            news += alerts
            if not state.error:
                outside += [alert for alert in alerts if not is_check(alert.labels)]
        if not news:
            if not any(state.alerts for state in run.states):
                run.untold = ""
            return
        try:
            self._sink(news)
            run.untold = ""
        except Refused as refused:  # the others are taken
            run.untold = str(refused)
            log.warning("rules.refused", group=run.id, reason=run.untold)
        except (OSError, SQLAlchemyError) as error:
            counters.not_told.inc()
            run.untold = f"cannot tell {len(news)} alerts: {error}; they are told at the next evaluation"
            log.warning("rules.not_told", group=run.id, alerts=len(news), error=str(error))
            return
        self._alertmanagers.tell(outside)
        counters.alerts_told.inc(len(news))
        for state, mine in zip(run.states, keys, strict=True):
            state.alerts = sent(state.alerts, mine, at_ms)
