"""Telemetry that is fetched rather than pushed in: targets that are scraped, and collectors that look for themselves.

Enters: settings and a clock. Leaves: metric families and samples, which go through the same spool as everything else.
`scrape_config` reads a prometheus.yml, `discovery` finds targets, `relabel` decides about their labels, `exposition`
reads what they answer, and `scrape` does all of it in time.
"""
