"""The synthetic alert as an application would raise it: an event in the SDK's bytes, through ingest, store and rule."""

from __future__ import annotations

import time

from tocsin.detect.rules.engine import RuleEngine
from tocsin.ingest.gate import Gate
from tocsin.ingest.validate import parse
from tocsin.model.alert import Alert
from tocsin.model.path_check import CHECK, CHECK_LABEL
from tocsin.sdk.encode import resource
from tocsin.sdk.records import INFO, Record, RecordEncoder
from tocsin.storage.telemetry.decode import Signal

EVENT, ATTRIBUTE = "tocsin.path.check", "tocsin.path.check"
STORED_SECONDS = 10.0


class PathEntry:
    """Lets a synthetic alert in where events come in; straight into the pipeline where the shipped rule is off."""

    def __init__(self, gate: Gate, rules: RuleEngine, version: str) -> None:
        self._gate = gate
        self._rules = rules
        self._encoder = RecordEncoder(resource({"service.name": "tocsin"}), version)

    def __call__(self, alert: Alert) -> str:
        """The hop that was reached. Raises Refused, and TimeoutError when ingest does not keep the event."""
        if not self._is_watched():
            self._rules.sink([alert])
            return "in the pipeline (the rule TocsinPathCheck is off, so ingest is not tried)"
        said = {ATTRIBUTE: alert.labels[CHECK_LABEL]}
        message = self._encoder.encode_request(
            [Record(time.time_ns(), EVENT, INFO, alert.annotations["summary"], said)]
        )
        self._gate.admit(Signal.LOGS, message, parse(Signal.LOGS, message), None).stored.result(STORED_SECONDS)
        return "taken by ingest"

    def _is_watched(self) -> bool:
        return any(state.rule.name == CHECK and state.is_on for run in self._rules.groups for state in run.states)
