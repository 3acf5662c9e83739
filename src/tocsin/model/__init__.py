"""The field's words as frozen dataclasses; nothing here does I/O. Every other package speaks in these."""
