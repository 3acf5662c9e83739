"""Patterns of log lines, mined as the lines come.

Enters: shapes of lines (`model/log_shape.py`) that were not seen before. Leaves: the pattern of each shape for the
store, and events about what is new or explodes. Called by the server's writer through `watch.py`, and by `tocsin logs
analyze` without a server.
"""
