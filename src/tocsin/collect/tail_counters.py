"""What the tailing of files counts about itself."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

lines = Counter("tocsin_tail_lines_total", "Lines of log files that are in the spool.", ["job"])
read_bytes = Counter("tocsin_tail_bytes_total", "Bytes of log files that were read and are done with.", ["job"])
dropped = Counter("tocsin_tail_dropped_lines_total", "Lines that a stage of the pipeline left out.", ["job", "reason"])
cut = Counter(
    "tocsin_tail_cut_lines_total", "Lines longer than max_line_bytes, of which the end was left out.", ["job"]
)
rejected = Counter("tocsin_tail_rejected_lines_total", "Lines that are too old to be kept.", ["job"])
faults = Counter("tocsin_tail_stage_faults_total", "Lines of which a stage could not find what it should.", ["job"])
errors = Counter("tocsin_tail_errors_total", "Files that could not be read, and pieces that had to wait.", ["file"])
files = Gauge("tocsin_tail_files", "Log files that are followed.")
lag_bytes = Gauge("tocsin_tail_lag_bytes", "Bytes written to log files and not yet read.")
lag_seconds = Gauge("tocsin_tail_lag_seconds", "For how long some file has had lines that were not yet read.")
