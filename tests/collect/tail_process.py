"""Reads FOLDER/logs/app.log into a spool in FOLDER until it is killed, or with --once as far as it goes now."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tocsin.collect.tail import Tailer
from tocsin.collect.tail_settings import TailSettings
from tocsin.ingest.gate import Gate
from tocsin.storage.telemetry.decode import Signal
from tocsin.storage.telemetry.spool import Spool, SpoolSettings

folder = Path(sys.argv[1])
spool = Spool(folder / "spool", SpoolSettings(min_free_bytes=0))
gate = Gate(spool, lambda secret: None)
settings = TailSettings(files=(str(folder / "logs" / "app.log"),), look_seconds=0.1, poll_seconds=0.01)
tailer = Tailer(settings, folder / "tail", lambda request: gate.admit(Signal.LOGS, None, request, None))
if "--once" in sys.argv:
    tailer.read_all()
    tailer.read_all()
    tailer.close()
    spool.close()
else:
    tailer.start()
    sys.stdout.write("reads\n")
    sys.stdout.flush()
    time.sleep(3600)
