"""Tallyroom: a believable multi-tenant FastAPI product to watch with Tocsin, its traffic, and faults to switch on.

`python -m demo run` starts everything; nothing here ships in the wheel.
"""
