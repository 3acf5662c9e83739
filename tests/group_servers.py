"""Servers that the tests of one xdist group share. They end with the group: even an idle server takes of the others."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import ClassVar

import pytest
from served import Served


class GroupServer:
    """Opens a server when the first test asks for it, and anew in a group that comes later."""

    _opened: ClassVar[list[GroupServer]] = []

    def __init__(
        self, folders: pytest.TempPathFactory, name: str, open: Callable[[Path], AbstractContextManager[Served]]
    ):
        self._folders, self._name, self._open = folders, name, open
        self._stack = ExitStack()
        self._served: Served | None = None

    def served(self) -> Served:
        if self._served is None:
            self._served = self._stack.enter_context(self._open(self._folders.mktemp(self._name)))
            self._opened.append(self)
        return self._served

    @classmethod
    def end_all(cls) -> None:
        while cls._opened:
            ended = cls._opened.pop()
            ended._served = None
            ended._stack.close()


def group_of(item: pytest.Item) -> str:
    """'' for a test by itself."""
    marker = item.get_closest_marker("xdist_group")
    return str(marker.args[0]) if marker else ""
