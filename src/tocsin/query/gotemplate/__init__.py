"""Go's template language, as alerts and LogQL write it: text and values in, text out, within bounds.

`parse` reads a template, `run` fills it, `builtins` holds Go's own functions and `format` prints as Go prints. Who
calls it says what the dot is and which further functions there are: `detect/rules/template.py` for rules,
`query/logql/templates.py` for lines.
"""
