"""One log line on its way through a pipeline."""

from __future__ import annotations

from collections.abc import Mapping

ERROR, ERROR_DETAILS = "__error__", "__error_details__"


class Line:
    """A text and its labels, of three kinds: those of its stream, its structured metadata, and what a pipeline read out
    of it. The latter hide the former; what a stage takes away is gone from all three. has_fields: the record came with
    attributes of its own, of which `metadata` may hold only those that are asked for."""

    __slots__ = ("_gone", "has_fields", "metadata", "parsed", "stream", "text", "time_ns")

    def __init__(
        self,
        time_ns: int,
        text: str,
        stream: Mapping[str, str],
        metadata: Mapping[str, str],
        has_fields: bool = False,
    ) -> None:
        self.time_ns = time_ns
        self.text = text
        self.stream = stream
        self.metadata = metadata
        self.has_fields = has_fields
        self.parsed: dict[str, str] = {}
        self._gone: set[str] | None = None

    def get(self, name: str) -> str | None:
        value = self.parsed.get(name)
        if value is not None:
            return value
        if self._gone is not None and name in self._gone:
            return None
        value = self.metadata.get(name)
        return value if value is not None else self.stream.get(name)

    def put(self, name: str, value: str) -> None:
        self.parsed[name] = value

    def remove(self, name: str) -> None:
        self.parsed.pop(name, None)
        if self._gone is None:
            self._gone = set()
        self._gone.add(name)

    def fail(self, error: str, details: str) -> None:
        """The first failure is the one told."""
        if ERROR not in self.parsed:
            self.parsed[ERROR] = error
            self.parsed[ERROR_DETAILS] = details

    @property
    def has_failed(self) -> bool:
        return bool(self.parsed.get(ERROR))

    def names(self) -> set[str]:
        return {*self.stream, *self.metadata, *self.parsed} - (
            (self._gone or set()) - self.parsed.keys() if self._gone else set()
        )

    def labels(self) -> dict[str, str]:
        """All of them; without a value is without a label."""
        return {name: value for kind in self.by_kind() for name, value in kind.items()}

    def by_kind(self) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
        """Those of the stream, the metadata and the pipeline, each name once."""
        gone = self._gone or ()
        parsed = {name: value for name, value in self.parsed.items() if value}
        metadata = {
            name: value
            for name, value in self.metadata.items()
            if value and name not in self.parsed and name not in gone
        }
        stream = {
            name: value
            for name, value in self.stream.items()
            if value and name not in self.parsed and name not in metadata and name not in gone
        }
        return stream, metadata, parsed
