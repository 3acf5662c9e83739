"""What is pending and firing, written down in the control store, so that a restart does not forget it."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from sqlalchemy.exc import SQLAlchemyError

from tocsin.detect.rules.alerting import plain
from tocsin.detect.rules.group_run import GroupRun
from tocsin.storage.control.rules import Rules

log = structlog.get_logger("tocsin.rules")


class KeptStates:
    """Keeps the alerts of each rule under its key, and forgets those of rules that have none any more."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def keep(self, run: GroupRun, at_ms: int) -> None:
        """Writes down what the group's rules say; a store that is away gets it after the next evaluation."""
        changes = {state.key: plain(state.alerts, at_ms) if state.alerts else None for state in run.states}
        changes = {key: state for key, state in changes.items() if state is not None or key in run.kept}
        if not changes:
            return
        try:
            self._rules.keep_states(changes)
        except SQLAlchemyError as error:
            log.warning("rules.state_not_kept", group=run.id, error=str(error))
            return
        for key, state in changes.items():
            if state is None:
                run.kept.discard(key)
            else:
                run.kept.add(key)

    def forget(self, keys: Sequence[str]) -> None:
        if keys:
            self._rules.keep_states(dict.fromkeys(keys))
