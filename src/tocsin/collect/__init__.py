"""Telemetry that is fetched rather than pushed in: targets that are scraped, and collectors that look for themselves.

Enters: settings and a clock. Leaves: metric families and samples, which go through the same spool as everything else.
"""
