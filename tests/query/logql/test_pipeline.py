"""What the stages of a pipeline make of a line."""

from __future__ import annotations

import time

import pytest

from tocsin.query.logql.expressions import LogQuery
from tocsin.query.logql.line import Line
from tocsin.query.logql.literals import duration_seconds, size_bytes
from tocsin.query.logql.names import attribute_names, label_name
from tocsin.query.logql.parser import parse
from tocsin.query.logql.pipeline import compiled

TIME_NS = 1_700_000_000_123_456_789


def through(stages: str, text: str, **metadata: str) -> Line | None:
    """The line behind the stages; None when they drop it."""
    query = parse('{service_name="shop"} ' + stages)
    assert isinstance(query, LogQuery)
    line = Line(TIME_NS, text, {"service_name": "shop", "level": "info"}, metadata)
    return line if compiled(query.stages)(line) else None


def parsed(stages: str, text: str, **metadata: str) -> dict[str, str]:
    line = through(stages, text, **metadata)
    assert line is not None
    return line.by_kind()[2]


@pytest.mark.parametrize(
    ("stages", "stays"),
    [
        ('|= "card"', True),
        ('|= "CARD"', False),
        ('|= "nothing" or "declined"', True),
        ('!= "nothing" or "declined"', False),
        ("|~ `error: \\w+ declined`", True),
        ("!~ `(?i)CARD`", False),
        ('|> "<_>error: <_>"', True),
        ('|> "error: <_>"', False),
        ('|> "payment <_> card declined from 10.1.2.3"', True),
        ('!> "payment <_>"', False),
        ('|= ip("10.0.0.0/8")', True),
        ('|= ip("10.1.2.4-10.1.2.9")', False),
        ('!= ip("10.1.2.3")', False),
    ],
)
def test_line_filters(stages: str, stays: bool) -> None:
    assert (through(stages, "payment error: card declined from 10.1.2.3") is not None) == stays


def test_dot_of_a_line_pattern_stops_at_the_end_of_a_line() -> None:
    assert through("|~ `a.b`", "a\nb") is None
    assert through("|~ `(?s)a.b`", "a\nb") is not None


def test_json_flattens_objects_and_leaves_lists_out() -> None:
    text = '{"msg":"hi","user":{"id":7,"ok":true,"x-y":1.50},"list":[1],"none":null,"a.b":"c","1x":"y"}'
    assert parsed("| json", text) == {
        "msg": "hi", "user_id": "7", "user_ok": "true", "user_x_y": "1.5", "a_b": "c", "_1x": "y",
    }  # fmt: skip


def test_label_of_the_stream_is_not_overwritten_by_what_was_read() -> None:
    found = parsed("| json", '{"level":"fatal","request_id":"new"}', request_id="old")
    assert found == {"level_extracted": "fatal", "request_id": "new"}


def test_json_paths_pick_fields() -> None:
    text = '{"servers":[{"name":"a"},{"name":"b"}],"headers":{"User-Agent":"curl"},"o":{"k":1}}'
    stages = '| json second="servers[1].name", agent="headers[\\"User-Agent\\"]", whole="o", missing="x.y", o'
    assert parsed(stages, text) == {"second": "b", "agent": "curl", "whole": '{"k":1}', "o": '{"k":1}'}


@pytest.mark.parametrize("text", ["not json", "[1]", "{", '"text"', "\x00", '{"a":' * 5000])
def test_line_that_is_no_json_object_stays_and_says_so(text: str) -> None:
    line = through("| json | status >= 500", text)
    assert line is not None
    assert line.parsed["__error__"] == "JSONParserErr"
    assert through('| json | __error__=""', text) is None


def test_logfmt() -> None:
    text = 'level=warn msg="a \\"quoted\\" text" took=1.5s empty= alone path=/x?y=z a.b=1'
    assert parsed("| logfmt", text) == {
        "level_extracted": "warn", "msg": 'a "quoted" text', "took": "1.5s", "path": "/x?y=z", "a_b": "1",
    }  # fmt: skip
    assert parsed('| logfmt t="took", nope', text) == {"t": "1.5s"}
    line = through("| logfmt --keep-empty", text)
    assert line is not None
    assert (line.get("empty"), line.get("alone")) == ("", "")
    assert parsed("| logfmt --strict", '= "x')["__error__"] == "LogfmtParserErr"


def test_pattern_and_regexp() -> None:
    text = '10.1.2.3 - ann [x] "GET /a/b HTTP/1.1" 200 12ms'
    stages = '| pattern `<ip> - <user> [<_>] "<method> <path> <_>" <status> <took>`'
    assert parsed(stages, text) == {
        "ip": "10.1.2.3", "user": "ann", "method": "GET", "path": "/a/b", "status": "200", "took": "12ms",
    }  # fmt: skip
    assert parsed("| regexp `(?P<status>\\d{3}) (?P<took>\\w+)$`", text) == {"status": "200", "took": "12ms"}
    assert parsed("| regexp `(?P<status>nowhere)`", text) == {}


@pytest.mark.parametrize(
    ("condition", "stays"),
    [
        ("status >= 500", True),
        ("status < 500", False),
        ('status = "503"', True),
        ("status == 503 and took > 1s", True),
        ("took <= 1500ms", True),
        ("size > 1KB and size < 2KiB", True),
        ('path =~ "/api/.+"', True),
        ('path =~ "api"', False),  # anchored
        ('missing = ""', True),
        ("missing > 1", False),
        ('ip = ip("10.0.0.0/8") and ip != ip("10.9.0.0/16")', True),
        ('request_id = "r-1"', True),  # structured metadata
        ('level = "info" or status = "1"', True),
    ],
)
def test_label_filters(condition: str, stays: bool) -> None:
    text = "status=503 took=1.5s size=1.5KB path=/api/x ip=10.1.2.3"
    assert (through(f"| logfmt | {condition}", text, request_id="r-1") is not None) == stays


def test_value_that_is_no_number_is_noted_and_stays() -> None:
    line = through("| logfmt | took > 1s", "took=soon")
    assert line is not None
    assert line.parsed["__error__"] == "LabelFilterErr"


def test_formats_change_line_and_labels() -> None:
    line = through(
        "| logfmt | label_format where=path, who=`{{.user | upper}}!` "
        "| line_format `{{.who}} at {{.where}} ({{__line__}})`",
        "user=ann path=/x",
    )
    assert line is not None
    assert line.text == "ANN! at /x (user=ann path=/x)"
    assert line.get("path") is None
    assert line.get("where") == "/x"


@pytest.mark.parametrize(
    ("template", "made"),
    [
        ("{{ .a | replace `x` `y` }}", "yb"),
        ("{{ if eq .level `info` }}I{{ else }}other{{ end }}", "I"),
        ("{{ add .n 2 }} {{ mul .n 3 }} {{ div 7 2 }} {{ .n | float64 }}", "7 15 3 5"),
        ("{{ trunc 3 .long }}|{{ substr 1 3 .long }}|{{ .long | trimPrefix `abc` }}", "abc|bc|def"),
        ("{{ .missing }}-{{ .missing | default `none` }}", "-none"),
        ("{{ regexReplaceAll `(b)(c)` .long `$2$1` }}", "acbdef"),
        ("{{ printf `%s/%05.1f` .a 2.25 }}", "xb/002.2"),
        ("{{ __timestamp__ | date `2006-01-02T15:04:05.000` }}", "2023-11-14T22:13:20.123"),
        ("{{ __timestamp__ | unixEpochMillis }}", "1700000000123"),
        ("{{ alignLeft 5 .a }}|{{ alignRight 5 .a }}", "xb   |   xb"),
        ("{{ contains `cd` .long }} {{ hasPrefix `b` .long }}", "true false"),
        ("{{ range $i, $v := fromJson `[1,2]` }}{{ $v }};{{ end }}", "1;2;"),
        ("{{ bytes `2KB` }} {{ duration `1m` }}", "2000 60"),
        ("{{ .a | b64enc }} {{ `eGI=` | b64dec }} {{ urlencode `a b` }}", "eGI= xb a+b"),
    ],
)
def test_template_functions(template: str, made: str) -> None:
    line = through(f"| line_format {_quoted(template)}", "x", a="xb", n="5", long="abcdef")
    assert line is not None
    assert line.text == made, line.parsed


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def test_template_that_fails_leaves_the_line_and_says_so() -> None:
    line = through('| line_format "{{ div 1 0 }}"', "as it was")
    assert line is not None
    assert (line.text, line.parsed["__error__"]) == ("as it was", "TemplateFormatErr")


def test_drop_keep_and_decolorize() -> None:
    line = through('| logfmt | drop a, level="info", b="no"', "a=1 b=2")
    assert line is not None
    assert line.labels() == {"service_name": "shop", "b": "2"}
    line = through('| logfmt | keep b, service_name=~"s.*"', "a=1 b=2")
    assert line is not None
    assert line.labels() == {"service_name": "shop", "b": "2"}
    line = through("| decolorize", "\x1b[31mred\x1b[0m text")
    assert line is not None
    assert line.text == "red text"


def test_unpack_takes_the_line_out_of_its_wrapping() -> None:
    line = through("| unpack", '{"pod":"web-1","n":1,"_entry":"the line"}')
    assert line is not None
    assert (line.text, line.get("pod"), line.get("n")) == ("the line", "web-1", None)


@pytest.mark.parametrize(
    ("stages", "text"),
    [
        ("|~ `(a+)+$`", "a" * 200_000 + "b"),
        ("|~ `(.*a){20}`", "a" * 2_000 + "b" * 100_000),
        ("| regexp `(?P<x>(a|aa)+)$`", "a" * 200_000 + "b"),
        ("| logfmt", 'a="\\"' * 100_000),
        ("| logfmt", "=" * 200_000),
        ("| pattern `<a> <b> <_> <c>`", "x " * 200_000),
        ("|> `<_>a<_>b<_>c`", "a" * 500_000),
        ("| json", '{"a":' * 100_000),
        ("| decolorize", "\x1b[" + "0;" * 200_000),
        ('| line_format "{{ regexReplaceAll `(a+)+b` __line__ `x` }}"', "a" * 60_000),
    ],
)
def test_catastrophic_lines_and_patterns_take_linear_time(stages: str, text: str) -> None:
    started = time.process_time()
    through(stages, text)
    assert time.process_time() - started < 2


def test_durations_and_sizes() -> None:
    assert [duration_seconds(text) for text in ("1h30m", "1.5s", "-250ms", "10µs", "0")] == [5400, 1.5, -0.25, 1e-5, 0]
    assert [size_bytes(text) for text in ("512", "512B", "1kb", "1.5 KiB", "2MB")] == [512, 512, 1000, 1536, 2_000_000]
    for text in ("soon", "1 x", "", "5"):
        with pytest.raises(ValueError, match="is no duration"):
            duration_seconds(text)


def test_dots_of_attributes_read_as_underscores() -> None:
    assert [label_name(name) for name in ("http.route", "x-request-id", "1st", "ok")] == [
        "http_route", "x_request_id", "_1st", "ok",
    ]  # fmt: skip
    for label in ("http_route", "http_response_status_code", "a_b_c_d_e_f_g"):
        names = attribute_names(label)
        assert {label, label.replace("_", ".")} <= set(names)
        assert len(names) < 20
    assert "http.response.status_code" in attribute_names("http_response_status_code")
