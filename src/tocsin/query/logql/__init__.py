"""LogQL: the text of a query in, lines or samples out; what it does not know answers with a hint.

In: a query, a `LineSource` (filled by `query/log_source.py` within a tenant scope) and times. Out: `Lines`, or PromQL's
`Result`. The source takes over selection, line filters and conditions on stored labels; parsers, templates and unwrap
run here, line by line, within limits. Operators and aggregations of samples are PromQL's.
"""
