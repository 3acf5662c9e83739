"""One syslog message as a log record: RFC 5424, RFC 3164 as it is really sent, and what else claims to be syslog."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from tocsin.model.log_line import LogLine, json_object, line_of_fields
from tocsin.model.log_severity import SYSLOG, SYSLOG_NAMES
from tocsin.model.log_time import EPOCH, ns_of, time_ns_of

FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
)  # fmt: skip
NIL = "-"
_PRIORITY = re.compile(r"<(\d{1,3})>")
_HEADER = re.compile(r"1 (\S+) (\S+) (\S+) (\S+) (\S+) ")
_ELEMENT = re.compile(r'\[([^\s=\]"]+)((?: [^\s=\]"]+="(?:[^"\\\]]|\\.)*")*)\]')
_PARAMETER = re.compile(r' ([^\s=\]"]+)="((?:[^"\\\]]|\\.)*)"')
_OLD_TIME = re.compile(r"([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d):(\d\d)(?:\.(\d+))? ")
_ISO_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\S+) ")
_TAG = re.compile(r"([^\s:\[]{1,64})(?:\[([^\]\s]{1,64})\])?: ?")
_HOST = re.compile(r"([^\s:\[\]]+) (?=[^\s:\[]{1,64}(?:\[[^\]\s]{1,64}\])?: ?)")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_COOKIE = "@cee:"


@dataclass(frozen=True, slots=True)
class _Header:
    time_ns: int = 0
    host: str = ""
    app: str = ""
    process: str = ""


def read_message(data: bytes, now_ns: int, zone: tzinfo | None = None) -> LogLine:
    """`now_ns` tells the year of times without one; `zone` is that of times which name none, None this machine's."""
    text = data.decode("utf-8", "replace").rstrip("\r\n\0")
    found = _PRIORITY.match(text)
    priority = int(found[1]) if found and int(found[1]) < 192 else None
    rest = text[found.end() :] if found and priority is not None else text
    attributes: dict[str, str | int] = {}
    if header := _HEADER.match(rest):
        origin, body = _of_5424(header, rest[header.end() - 1 :], attributes)
    else:
        origin, body = _of_3164(rest, now_ns, zone)
    line = _line(body)
    line.time_ns = line.time_ns or origin.time_ns or now_ns
    if priority is not None:
        number = priority & 7
        if not line.severity:
            line.severity, line.severity_text = SYSLOG[number], SYSLOG_NAMES[number]
        line.attributes["syslog.facility"] = FACILITIES[priority >> 3]
    line.attributes |= attributes
    if origin.process:
        line.attributes["process.pid"] = int(origin.process) if origin.process.isdigit() else origin.process
    if origin.host:
        line.resource.setdefault("host.name", origin.host)
    if origin.app:
        line.resource.setdefault("service.name", origin.app)
    return line


def _line(body: str) -> LogLine:
    said = body.removeprefix(_COOKIE).strip()
    fields = json_object(said)
    return LogLine(body) if fields is None else line_of_fields(said, fields)


def _of_5424(header: re.Match[str], rest: str, attributes: dict[str, str | int]) -> tuple[_Header, str]:
    written, host, app, process, message_id = (value if value != NIL else "" for value in header.groups()[:5])
    rest = rest[1:]
    if message_id:
        attributes["syslog.msgid"] = message_id
    if rest.startswith(NIL):
        rest = rest[1:]
    while element := _ELEMENT.match(rest):
        for name, value in _PARAMETER.findall(element[2]):
            attributes[f"{element[1]}.{name}"] = re.sub(r'\\(["\\\]])', r"\1", value)
        rest = rest[element.end() :]
    body = rest.removeprefix(" ").removeprefix("\ufeff")
    return _Header(time_ns_of(written, UTC), host, app, process), body


def _of_3164(text: str, now_ns: int, zone: tzinfo | None) -> tuple[_Header, str]:
    time_ns, host = 0, ""
    written = _OLD_TIME.match(text)
    if written is not None:
        time_ns = _old_time_ns(written, now_ns, zone)
    elif (written := _ISO_TIME.match(text)) is not None:
        time_ns = time_ns_of(written[1], zone)
    if written is not None:
        text = text[written.end() :]
    # Without a time there is no host: what stands first is the tag.
    if written is not None and (found := _HOST.match(text)):
        host = found[1]
        text = text[found.end() :]
    if tag := _TAG.match(text):
        return _Header(time_ns, host, tag[1], tag[2] or ""), text[tag.end() :]
    return _Header(time_ns, host), text


def _old_time_ns(found: re.Match[str], now_ns: int, zone: tzinfo | None) -> int:
    if found[1] not in _MONTHS:
        return 0
    now = EPOCH + timedelta(microseconds=now_ns // 1000)
    day, hour, minute, second = (int(found[place]) for place in (2, 3, 4, 5))
    # At the turn of the year a message may be of the one before, or of the next one in another zone.
    for year in (now.year + 1, now.year, now.year - 1):
        try:
            moment = datetime(year, _MONTHS.index(found[1]) + 1, day, hour, minute, second)
        except ValueError:
            continue
        aware = moment.replace(tzinfo=zone) if zone else moment.astimezone()
        if aware <= now + timedelta(days=1):
            return ns_of(aware) + int((found[6] or "0")[:9].ljust(9, "0"))
    return 0
