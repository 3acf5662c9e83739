"""How patterns of log lines are mined, and when one is news."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.model.settings import setting


@dataclass(frozen=True)
class PatternSettings:
    """Patterns of log lines."""

    is_on: bool = setting(True, help="Mine patterns; turn off to save their share of each core that logs cost.")
    learning_seconds: float = setting(
        3600.0,
        unit="seconds",
        help="Time after a service's first line in which no pattern is news; raise it if lines repeat only daily.",
    )
    exploding_factor: float = setting(
        10.0, help="How many times as often as in the hour before a pattern must come in five minutes to be told."
    )
    exploding_lines: int = setting(
        50, help="Lines in five minutes below which no pattern explodes; raise it for products that log a lot."
    )
    most_patterns: int = setting(
        5_000, help="Patterns of one service kept in memory; raise it if known ones are told as new."
    )

    def __post_init__(self) -> None:
        if self.exploding_factor <= 1 or self.exploding_lines < 1 or self.most_patterns < 1:
            raise ValueError(
                "exploding_factor must be above 1, exploding_lines and most_patterns at least 1; raise them"
            )
