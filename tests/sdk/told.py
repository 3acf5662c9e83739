"""What a test's own code made the SDK say."""

from __future__ import annotations

from tocsin.sdk.capture import Capture, CapturedRecord


def told(captured: Capture) -> list[CapturedRecord]:
    """Its records without those about the process, of which the first comes whenever five seconds have passed."""
    return [record for record in captured.records if not (record.event or "").startswith("tocsin.runtime.")]
