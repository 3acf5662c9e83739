"""The embedded store's words for tests. They cut no power, so an insert need not wait until it is on the disk."""

from __future__ import annotations

from tocsin.storage.telemetry.migrate import EMBEDDED

UNSYNCED = EMBEDDED | {
    "table_settings": EMBEDDED["table_settings"]
    .replace("fsync_after_insert = 1", "fsync_after_insert = 0")
    .replace("fsync_part_directory = 1", "fsync_part_directory = 0")
}
