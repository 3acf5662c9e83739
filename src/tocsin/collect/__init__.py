"""Telemetry pulled in. Enters: what targets show, and a clock. Leaves: the same messages in the spool as senders push.

`scrape_config` reads a prometheus.yml, `discovery` finds targets, `relabel` decides about their labels, `exposition`
reads what they answer, and `scrape` does all of it in time. `collectors` look for themselves.
"""
