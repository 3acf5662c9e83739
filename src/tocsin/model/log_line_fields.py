"""Under which names the fields of a JSON line say when, how bad, what, by whom and for whom."""

from __future__ import annotations

TIME = ("timestamp", "@timestamp", "time", "ts", "asctime", "datetime", "date", "eventTime", "created")
LEVEL = ("level", "levelname", "severity", "log.level", "log_level", "loglevel", "lvl", "severity_text")
MESSAGE = ("message", "msg", "event", "body", "text", "log")
LOGGER = ("logger", "name", "logger_name", "logger.name", "log.logger")
TENANT = ("tocsin.tenant", "tenant", "tenant_id", "tenant.id", "organization_id", "org_id")
ERROR_TYPE = ("error_type", "exception.type", "error.type", "exc_type", "exception_type", "exception_class")
PLACE = ("http.route", "route", "endpoint", "path", "request_path", "url.path")
METHOD = ("http.request.method", "http.method", "method", "request_method")
