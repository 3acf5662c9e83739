"""The saved views of logs that come with Tocsin, and what puts a line into one.

One definition for the pages, REST, `tocsin logs search --view` and `tocsin logs analyze`: `query/log_view_sql.py` says
it to the engine, `model/log_view_match.py` to Python, and a test holds that both find the same lines. All patterns are
RE2, case-insensitive, searched anywhere in the text; a dot also stands for a line's end. A line is in a view when any
one of its conditions holds.

The names are those of the runbook's reports: errors, performance, slow-queries, security, suspicious, business-events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

ERROR = 17
"""OTLP's severity number from which on a line is an error."""

NAME_FIELDS = (
    "event", "event.name", "event_name", "event_type", "event.type", "event.category", "event.action", "category",
    "log_type", "type", "action", "business_event", "security_event", "audit.event",
)  # fmt: skip
"""Fields whose value says what kind of thing a line tells of; the record's own event name counts as one of them."""

MILLISECOND, MICROSECOND, NANOSECOND = 1e-3, 1e-6, 1e-9
UNITS: Mapping[str, float] = {
    "ns": NANOSECOND, "us": MICROSECOND, "µs": MICROSECOND,
    "ms": MILLISECOND, "msec": MILLISECOND, "millisecond": MILLISECOND, "milliseconds": MILLISECOND,
    "s": 1.0, "sec": 1.0, "secs": 1.0, "second": 1.0, "seconds": 1.0,
    "m": 60.0, "min": 60.0,
}  # fmt: skip
"""Units that may stand behind a number, in seconds; a unit that is written counts, not that of the field's name."""

_SPENT: Mapping[str, float] = {
    "duration_ms": MILLISECOND, "durationMs": MILLISECOND, "elapsed_ms": MILLISECOND, "elapsedMs": MILLISECOND,
    "took_ms": MILLISECOND, "latency_ms": MILLISECOND, "execution_time_ms": MILLISECOND,
    "duration_us": MICROSECOND, "duration_ns": NANOSECOND,
    "duration": 1.0, "duration_s": 1.0, "duration_seconds": 1.0, "elapsed": 1.0, "elapsed_seconds": 1.0,
    "execution_time": 1.0, "latency": 1.0, "took": 1.0,
}  # fmt: skip
_QUERY_SPENT: Mapping[str, float] = {
    "query_duration_ms": MILLISECOND, "query_time_ms": MILLISECOND, "query_ms": MILLISECOND,
    "sql_duration_ms": MILLISECOND, "db_duration_ms": MILLISECOND, "db.duration_ms": MILLISECOND,
    "db.query.duration_ms": MILLISECOND, "database_duration_ms": MILLISECOND,
    "query_duration": 1.0, "query_time": 1.0, "query_seconds": 1.0, "query_duration_seconds": 1.0,
    "db_duration": 1.0, "db.client.operation.duration": 1.0, "database_query_duration_seconds": 1.0,
}  # fmt: skip
_REQUEST_SPENT: Mapping[str, float] = {
    "response_time_ms": MILLISECOND, "responseTime": MILLISECOND, "request_duration_ms": MILLISECOND,
    "response_time": 1.0, "response_time_seconds": 1.0, "request_duration": 1.0, "request_time": 1.0,
    "process_time": 1.0, "http.server.request.duration": 1.0,
}  # fmt: skip
STATEMENT_FIELDS = (
    "db.query.text", "db.statement", "db.query.summary", "db.operation.name", "db.operation", "db.system.name",
    "db.system", "sql", "query", "statement", "sql_query", "query_text", "db_query",
)  # fmt: skip
REQUEST_FIELDS = (
    "http.route", "http.request.method", "http.method", "http.response.status_code", "http.status_code", "url.path",
    "request_path", "path", "endpoint", "route", "status_code",
)  # fmt: skip

_NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
_UNIT = r"\s?(ms|msec|milliseconds?|µs|us|ns|seconds?|secs?|s|min|m)\b"


@dataclass(frozen=True, slots=True)
class Took:
    """How long something took, and from when on that is slow.

    The duration is that of the first of `own` that the line has, else of the first of `shared` where the line also has
    one of `beside`, its logger matches `loggers` or its message `says`, else what the first of `texts` finds in the
    message (group 1 the number, group 2 the unit). The values of `own` and `shared` are seconds for one unit of the
    field; where the value is written with a unit, that counts. A line without any duration is slow when its message
    matches `says`. hints: every message in which `texts` or `says` find something has one of these, in any case.
    """

    own: Mapping[str, float]
    shared: Mapping[str, float]
    beside: tuple[str, ...]
    loggers: str = ""
    texts: tuple[str, ...] = ()
    says: str = ""
    hints: tuple[str, ...] = ()
    threshold_seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class LogView:
    """A saved view. `least_severity` 0 is no condition; `unlevelled_fields` count only where a line has no severity.

    text: pattern of the message. names: pattern of the values of NAME_FIELDS and of the event's name. loggers: pattern
    of the logger's name.
    """

    id: str
    title: str
    description: str
    least_severity: int = 0
    unlevelled_fields: tuple[str, ...] = ()
    text: str = ""
    names: str = ""
    loggers: str = ""
    took: Took | None = None
    name_fields: tuple[str, ...] = field(default=NAME_FIELDS)

    def with_threshold(self, seconds: float | None) -> LogView:
        """The same with another threshold of what is slow; None, and views without one, stay as they are."""
        if self.took is None or seconds is None:
            return self
        return replace(self, took=replace(self.took, threshold_seconds=seconds))


def _any(*patterns: str) -> str:
    return "|".join(f"(?:{pattern})" for pattern in patterns)


_SIGNED_IN = (
    r"\b(?:log-?ins?|logons?|logged in|sign-?ins?|authenticat\w+|auth|passwords?|credentials?|mfa|2fa|otp|api keys?|"
    r"(?:access |refresh |bearer )?tokens?|sessions?|jwt)\b"
)
_WENT_WRONG = (
    r"\b(?:fail\w*|invalid|reject\w*|den(?:y|ied)|refused|expired|revoked|wrong|incorrect|unsuccessful|mismatch\w*)\b"
)
_SUSPICIOUS_TEXT = _any(
    r"\bsuspicious\b",
    r"\bbrute[ _-]?forc\w*",
    r"\bcredential[ _-]stuffing\b",
    r"\b(?:sql|nosql|command|code|template|ldap|xml|header|log)[ _-]injection\b",
    r"\b(?:xss|cross[ _-]site scripting|csrf|ssrf|xxe)\b",
    r"\b(?:path|directory)[ _-]traversal\b",
    r"\b(?:intrusion|exploit\w*|malicious|attack(?:s|er|ers|ed)?|malware|backdoor|web ?shell)\b",
    r"\b(?:privilege|permission)s?[ _-]escalat\w*",
    r"\b(?:impossible travel|session (?:hijack\w*|fixation)|token (?:reuse|replay)\w*)\b",
    r"\b(?:blocked|banned|blacklisted|blocklisted|unusual|unknown) ip\b",
    r"\baccount (?:is |was |has been )?locked\b",
    r"\bunusual (?:activity|access|log-?in|sign-?in|location)\b",
    r"\b(?:rows?|data) of another tenant\b",
    r"\b(?:break-in|possible breakin attempt)\b",
    # As they stand in addresses; written out, these are also what people log of their own statements.
    r"\bunion(?:\+|%20|/\*\*/)+(?:all(?:\+|%20|/\*\*/)+)?select\b",
    r"/\S*'\s+union\s+(?:all\s+)?select\b",
    r"(?:\.\.|%2e%2e)(?:%2f|%5c)",
    r"(?:/|%2f)etc(?:/|%2f)passwd\b",
    r"%3c/?script\b",
)
_SUSPICIOUS_NAMES = _any(
    r"\b(?:suspicious|intrusion|attack|exploit|anomaly|malicious)\b",
    r"brute[ _.-]?force",
    r"injection|traversal|hijack|escalation",
    r"^tocsin\.isolation\b",
)
_SECURITY_TEXT = _any(
    rf"{_SIGNED_IN}.{{0,60}}{_WENT_WRONG}",
    rf"{_WENT_WRONG}.{{0,40}}{_SIGNED_IN}",
    r"\b(?:unauthori[sz]ed|forbidden)\b",
    r"\b(?:access|permission)s? (?:was |is )?(?:denied|refused|revoked|violation)\b",
    r"\bnot (?:permitted|authori[sz]ed|allowed to)\b",
    r"\brate[ _-]?limit(?:ed|ing)?\b.{0,40}\b(?:exceeded|hit|reached|triggered|block\w*)\b",
    r"\b(?:exceeded|hit|reached|over) (?:the |its |their )?rate[ _-]?limit\b",
    r"\btoo many (?:requests|attempts|log-?ins)\b",
    r"\block(?:ed)? out\b",
    r"\b(?:role|permission|privilege)s? (?:was |were |(?:has|have) been )?(?:granted|revoked|changed|added|removed)\b",
    _SUSPICIOUS_TEXT,
)
_SECURITY_NAMES = _any(
    r"^(?:security|auth|authn|authz|authentication|authorization|audit|iam|access[ _-]control)(?:[._:/ -]|$)",
    r"\b(?:log-?in|logon|sign-?in|authentication|authorization|password|mfa|token|session)[._: -]\w*"
    r"(?:fail|invalid|denied|reject|expired|revoked|locked|reset|change)",
    r"\b(?:fail|failed|invalid|denied)[._: -](?:log-?in|logon|sign-?in|auth)",
    r"\b(?:access|permission)[._: -](?:denied|granted|revoked|changed)",
    r"\brate[ _.-]?limit",
    _SUSPICIOUS_NAMES,
)
_THING = (
    r"(?:work[ _-]?order|purchase order|order|invoice|payment|refund|subscription|customer|user|account|member|"
    r"invitation|tenant|organi[sz]ation|workspace|project|task|ticket|contract|quote|offer|deal|lead|campaign|cart|"
    r"checkout|basket|shipment|delivery|booking|reservation|appointment|trial|plan|form|dispenser|report|document|"
    r"file|import|export|sync|onboarding|course|article|product|coupon|feature|automation)s?"
)
_HAPPENED = (
    r"(?:created|placed|submitted|opened|closed|completed|finished|paid|captured|charged|refunded|cancell?ed|"
    r"approved|rejected|shipped|delivered|fulfilled|signed up|signed|registered|invited|joined|activated|deactivated|"
    r"suspended|upgraded|downgraded|renewed|expired|converted|started|published|archived|restored|assigned|"
    r"scheduled|generated|exported|imported|uploaded|downloaded|synced|synchroni[sz]ed|sent|booked|added|removed|"
    r"updated|deleted|switched|failed)"
)

ERRORS = LogView(
    "errors",
    "Errors",
    "Lines of severity error and above; where a line has no severity, those that carry an exception.",
    least_severity=ERROR,
    unlevelled_fields=("exception.type", "exception.stacktrace", "error_type", "error.type", "exc_info", "traceback"),
)
PERFORMANCE = LogView(
    "performance",
    "Slow requests",
    "Lines about a request that took 2 s or longer.",
    took=Took(
        own=_REQUEST_SPENT,
        shared=_SPENT,
        beside=REQUEST_FIELDS,
        texts=(
            rf"\b(?:request|response|(?:GET|POST|PUT|PATCH|DELETE) \S+|endpoint)\b.*?\b(?:took|in|after|duration|"
            rf"time)[ :=]+{_NUMBER}{_UNIT}",
        ),
        says=r"\bslow (?:request|response|endpoint)s?\b",
        hints=("request", "response", "endpoint", "get ", "post ", "put ", "patch ", "delete "),
        threshold_seconds=2.0,
    ),
)
SLOW_QUERIES = LogView(
    "slow-queries",
    "Slow queries",
    "Lines about a statement of a database that took 1 s or longer, or that call it slow.",
    took=Took(
        own=_QUERY_SPENT,
        shared=_SPENT,
        beside=STATEMENT_FIELDS,
        loggers=r"(?:^|\.)(?:sqlalchemy|sql|db|databases?|asyncpg|psycopg\w*|aiosqlite|pymongo|peewee|tortoise)(?:\.|$)",
        texts=(
            rf"\bduration: {_NUMBER}{_UNIT}",
            rf"\bslow(?:est)?[ _-](?:sql[ _-])?(?:quer(?:y|ies)|statements?|commands?)\b.*?\b{_NUMBER}{_UNIT}",
            rf"\b(?:quer(?:y|ies)|sql|statement)\b.*?\b(?:took|in|after|for|time)[ :=]+(?:too long: )?"
            rf"{_NUMBER}{_UNIT}",
            rf"\bquery_time: {_NUMBER}(\s)",
        ),
        says=r"\bslow(?:est)?[ _-](?:sql[ _-])?(?:quer(?:y|ies)|statements?)\b",
        hints=("duration: ", "slow", "quer", "sql", "statement"),
        threshold_seconds=1.0,
    ),
)
SECURITY = LogView(
    "security",
    "Security",
    "Sign-ins that failed, access that was denied, limits that were hit, rights that changed, and all that is "
    "suspicious.",
    text=_SECURITY_TEXT,
    names=_SECURITY_NAMES,
    loggers=r"(?:^|\.)(?:security|audit)(?:\.|$)",
)
SUSPICIOUS = LogView(
    "suspicious",
    "Suspicious",
    "Attacks, brute force, injections, locked accounts and unusual access: the part of Security that no slip explains.",
    text=_SUSPICIOUS_TEXT,
    names=_SUSPICIOUS_NAMES,
)
BUSINESS_EVENTS = LogView(
    "business-events",
    "Business events",
    "What customers do: orders placed, invoices paid, users invited, reports exported, and how that failed.",
    text=rf"\b{_THING}\b(?:[ :=]+['\"#(]?[\w./-]*[0-9][\w./-]*['\")]?)?"
    rf"(?: (?:for|by) [\w@.'-]+)?(?: was| were| has been| is| got)?(?: successfully)? {_HAPPENED}\b",
    names=_any(
        r"^business(?:[._:/ -]|$)",
        rf"(?:^|[._:/ -]){_THING}[._:/ -]{_HAPPENED}$",
    ),
    loggers=r"(?:^|\.)business(?:_events?)?(?:\.|$)",
)

BUILT_IN: Mapping[str, LogView] = {
    view.id: view for view in (ERRORS, SLOW_QUERIES, PERFORMANCE, SECURITY, SUSPICIOUS, BUSINESS_EVENTS)
}
"""The views by id, in the order in which they are offered."""
