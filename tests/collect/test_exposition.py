"""The text format and OpenMetrics are read whole or refused with the line that is wrong."""

from __future__ import annotations

import math

import pytest

from tocsin.collect.exposition import ExposedExemplar, ExpositionError, read_exposition, series_labels

TEXT = """# HELP http_requests_total Requests\\nserved.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027 1395066363000
http_requests_total{method="post", path="a \\"b\\" {c} # \\\\ \\n",} 3
# a comment

plain 1.5e-3
odd NaN
big +Inf
"""


def test_text_format() -> None:
    found = read_exposition(TEXT)
    assert [(sample.value, sample.time_ms) for sample in found.samples if not math.isnan(sample.value)] == [
        (1027, 1395066363000), (3, None), (0.0015, None), (math.inf, None),
    ]  # fmt: skip
    labels = [series_labels(sample.series) for sample in found.samples]
    assert labels[0] == {"__name__": "http_requests_total", "method": "post", "code": "200"}
    assert labels[1]["path"] == 'a "b" {c} # \\ \n'
    assert labels[2] == {"__name__": "plain"}
    about = found.metadata["http_requests_total"]
    assert (about.type, about.help) == ("counter", "Requests\nserved.")


def test_openmetrics_has_seconds_exemplars_and_an_end() -> None:
    text = '# TYPE foo histogram\n# UNIT foo seconds\nfoo_bucket{le="1"} 4 1.5 # {trace_id="abc"} 0.7 1.25\n# EOF\n'
    found = read_exposition(text, is_openmetrics=True)
    (sample,) = found.samples
    assert (sample.time_ms, sample.exemplar) == (1500, ExposedExemplar((("trace_id", "abc"),), 0.7, 1250))
    assert found.metadata["foo"].unit == "seconds"
    with pytest.raises(ExpositionError, match="cut off, OpenMetrics ends with '# EOF'"):
        read_exposition(text.removesuffix("# EOF\n"), is_openmetrics=True)
    with pytest.raises(ExpositionError, match="line 5 'more 1': it comes after # EOF"):
        read_exposition(text + "more 1\n", is_openmetrics=True)


def test_names_in_quotes() -> None:
    (sample,) = read_exposition('{"http.requests", "größe"="1"} 2').samples
    assert series_labels(sample.series) == {"__name__": "http.requests", "größe": "1"}


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("metric", "a value, and perhaps a time, must follow"),
        ('metric{a="b" 1', "its labels are not closed"),
        ("metric one", "'one' is no number"),
        ("metric 1_000", "'1_000' is no number"),
        ("metric 1 2 3", "a value, and perhaps a time, must follow"),
        ("metric 1 now", "'now' is no time"),
        ("1metric 1", "it begins with no metric name"),
        ('metric{a="b"}1', "a value, and perhaps a time, must follow"),
        ("<html>", "it begins with no metric name"),
        ("# TYPE metric colour", "'colour' is no type of metric"),
    ],
)
def test_a_broken_line_is_named(line: str, cause: str) -> None:
    with pytest.raises(ExpositionError) as caught:
        read_exposition(f"good 1\n{line}\n")
    assert str(caught.value).startswith("cannot read line 2 ")
    assert cause in str(caught.value)


@pytest.mark.parametrize(
    ("series", "cause"),
    [('m{a="1",a="2"}', "label 'a' is there twice"), ("m{a}", "label 'a}'"), ('{a="1"}', "the metric has no name")],
)
def test_labels_that_cannot_be_used(series: str, cause: str) -> None:
    with pytest.raises(ExpositionError) as caught:
        series_labels(series)
    assert cause.removesuffix("}'") in str(caught.value)


def test_a_hostile_line_takes_linear_time() -> None:
    with pytest.raises(ExpositionError):
        read_exposition("m{" + 'a="\\"' * 200_000)
