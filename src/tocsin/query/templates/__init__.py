"""Go's text/template, as Prometheus fills rules with it and Alertmanager messages.

Enters: a template's text, functions and a dot. Leaves: text, within bounds. Knows neither rules nor receivers.
"""
