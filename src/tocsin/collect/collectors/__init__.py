"""★ Collectors: one module, one source of metrics that the server reads by itself.

A module has a frozen `Settings` dataclass (its section of the settings is `collect_<module>`) and `collect(settings)`,
which gives the metric families of this moment. It raises nothing: what cannot be read is left out or said in an `_up`
gauge. It is called every `settings.interval_seconds` in a thread while `settings.is_on`.
"""
