"""What Tallyroom is started with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ProductSettings:
    """Where the product keeps its data, whom it calls, and how large and slow it is."""

    data_folder: Path
    """Holds the database, the exports and the token secret; created when missing."""
    renderer_url: str = "http://127.0.0.1:8001"
    """The invoice rendering service; change it when that runs elsewhere."""
    latency_scale: float = 1.0
    """Factor on all simulated work; 0 answers at once, for tests."""
    seed_size: float = 1.0
    """Factor on the rows an empty database is filled with; smaller starts faster."""
    release: str = "2.14.0"
    """The release the product reports itself as; change it to play a deployment."""
    export_files_kept: int = 200
    """How many finished exports stay on disk; the oldest go first."""
