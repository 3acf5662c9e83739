"""What web code finds in `request.app.state.tocsin`, and how it asks for it."""

from __future__ import annotations

from typing import Protocol, TypeVar, cast

from starlette.requests import HTTPConnection

from tocsin.storage.control import AuthSettings, ControlStore

Section = TypeVar("Section")


class Settings(Protocol):
    """Filled settings by their class."""

    def __getitem__(self, section: type[Section]) -> Section: ...


class State(Protocol):
    """The collaborators access control needs; the composition root puts more beside them."""

    @property
    def control(self) -> ControlStore: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def local_token(self) -> str:
        """Read by the command line of this machine's owner out of the data folder; made anew at every start."""
        ...


def state_of(request: HTTPConnection) -> State:
    return cast(State, request.app.state.tocsin)


def control_of(request: HTTPConnection) -> ControlStore:
    return state_of(request).control


def auth_settings_of(request: HTTPConnection) -> AuthSettings:
    return state_of(request).settings[AuthSettings]
