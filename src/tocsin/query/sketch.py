"""Percentiles out of exponential duration buckets, as kept by the rollups."""

from __future__ import annotations

from collections.abc import Mapping

SCALE = 64  # buckets per doubling; bucket b holds 2^(b/64) to 2^((b+1)/64) seconds


def bucket_bounds(bucket: int) -> tuple[float, float]:
    """Lower and upper bound in seconds."""
    return 2.0 ** (bucket / SCALE), 2.0 ** ((bucket + 1) / SCALE)


def percentiles(buckets: Mapping[int, int], quantiles: tuple[float, ...]) -> list[float | None]:
    """Seconds below which the given parts (0-1, rising) of all durations lie; None where there are none.

    The middle of a bucket stands for all in it, which is right within 0.6 %.
    """
    total = sum(buckets.values())
    if not total:
        return [None] * len(quantiles)
    found: list[float | None] = []
    ranks = [quantile * (total - 1) for quantile in quantiles]
    seen = 0
    for bucket, count in sorted(buckets.items()):
        seen += count
        while len(found) < len(ranks) and ranks[len(found)] < seen:
            found.append(2.0 ** ((bucket + 0.5) / SCALE))
        if len(found) == len(ranks):
            break
    return found


def parse_buckets(document: Mapping[str, int] | None) -> dict[int, int]:
    """A bucket map as the engine prints it in JSON."""
    return {int(bucket): int(count) for bucket, count in (document or {}).items()}
