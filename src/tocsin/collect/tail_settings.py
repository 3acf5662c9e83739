"""Settings of the reading of log files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo
from zoneinfo import ZoneInfo

from tocsin.model.settings import setting


@dataclass(frozen=True)
class TailSettings:
    """Log files of this machine that are read as they are written."""

    promtail_file: str = setting("", help="A promtail-config.yml whose files are read; empty reads none of it.")
    files: tuple[str, ...] = setting(
        (), help="Patterns of further files, such as /var/log/shop/*.log; ** goes through folders, {a,b} is either."
    )
    files_service: str = setting("", help="The service of these files, where their lines do not name one.")
    docker_folder: str = setting(
        "/var/lib/docker/containers", help="Where Docker keeps its containers' logs, for docker_sd_configs."
    )
    timezone: str = setting(
        "",
        help="Of times that name none, such as Europe/Berlin; empty is this machine's. Set it for files from others.",
    )
    poll_seconds: float = setting(0.25, unit="seconds", help="Time between two looks at the files that are followed.")
    look_seconds: float = setting(
        1.0, unit="seconds", help="Time between two looks for new files; raise it for patterns with very many."
    )
    max_line_bytes: int = setting(
        1024**2, unit="bytes", help="What is kept of a line; the rest of a longer one is left out and counted."
    )

    def __post_init__(self) -> None:
        if not 256 <= self.max_line_bytes <= 16 * 1024**2:
            raise ValueError(f"max_line_bytes = {self.max_line_bytes} is not between 256 bytes and 16 MiB; use 1MiB")
        if self.poll_seconds <= 0 or self.look_seconds <= 0:
            raise ValueError("poll_seconds and look_seconds must be more than 0; use 250ms and 1s")
        try:
            self.zone()
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"timezone = {self.timezone!r} is no time zone such as Europe/Berlin") from error

    def zone(self) -> tzinfo | None:
        """None is this machine's."""
        return ZoneInfo(self.timezone) if self.timezone else None

    @property
    def is_on(self) -> bool:
        return bool(self.promtail_file or self.files)
