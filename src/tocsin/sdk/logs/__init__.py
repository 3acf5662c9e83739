"""What the app logs: records of `logging`, structlog and loguru in; lines over OTLP, to stdout and to files out.

An instrument shows each record to `recorder.py`, which notes whose it is and what it says; redaction and encoding are
the export thread's. `json_format.py` and `files.py` are what `tocsin.logs` switches on.
"""
