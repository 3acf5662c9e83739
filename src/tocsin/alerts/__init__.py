"""The pipeline between an alert that fires and the message somebody gets.

Enters: alerts, from rules, from Prometheus and from checks (`Pipeline.accept`). Leaves: notifications, each once, for
`deliver`. Every decision is a pure stage in a module of its own: route, group, inhibit, silence, mute, maintenance,
cooldown, storm, correlate; `dispatch` reads the state, does the difference and writes it down before anybody is told.
"""
