"""`python -m tocsin`: the command line where the script is not on the path."""

from __future__ import annotations

from tocsin.cli import main

main()
