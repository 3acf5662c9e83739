"""Parts of a server that commands open by themselves, too."""

from __future__ import annotations

import secrets
import socket
from dataclasses import replace
from pathlib import Path

from tocsin.alerts.config import AlertConfig, AlertConfigError
from tocsin.alerts.settings import AlertSettings
from tocsin.app.settings import ServerSettings
from tocsin.config import Config
from tocsin.notify.deliver import Deliverer
from tocsin.notify.receivers import Receivers, alertmanager_receivers, own_receivers
from tocsin.notify.settings import NotifySettings
from tocsin.notify.template import Templates
from tocsin.query.templates.parse import TemplateError
from tocsin.storage.control import AuthSettings, ControlSettings, ControlStore


def server_id(data: Path) -> str:
    """A name for the server of this data folder, the same after a restart."""
    file = data / "server-id"
    if not file.exists():
        file.write_text(f"{socket.gethostname()[:60]}-{secrets.token_hex(4)}\n")
    return file.read_text().strip()


def make_private(data: Path) -> None:
    """Make the data folder if it is missing, for its owner alone: it holds password hashes and what customers sent."""
    data.mkdir(parents=True, exist_ok=True, mode=0o700)


def open_control(config: Config) -> ControlStore:
    """The control store these settings name. Raises StoreUnusable."""
    data = Path(config[ServerSettings].data).absolute()
    make_private(data)
    control = config[ControlSettings]
    return ControlStore.open(control.url_with(data), control=control, auth=config[AuthSettings])


def open_deliverer(config: Config, control: ControlStore, alerts: AlertConfig | None = None) -> Deliverer:
    """Delivery to the receivers of an alertmanager.yml, if there is one, and to those of these settings.

    It tells nobody before `start`, apart from what it is given.
    """
    templates = templates_of(alerts) if alerts is not None else None
    settings = replace(config[NotifySettings], external_url=external_url_of(config))
    made = Deliverer(control.deliveries, receivers_of(config, alerts), settings, templates=templates)
    made.push = control.push
    return made


def external_url_of(config: Config) -> str:
    """Where people reach this server; one of the two sections that have it suffices."""
    return config[AlertSettings].external_url or config[NotifySettings].external_url


def templates_of(alerts: AlertConfig) -> Templates:
    """Those of the files an alertmanager.yml names, and the default ones. Raises AlertConfigError."""
    try:
        return Templates.of_files(alerts.template_files())
    except TemplateError as error:
        raise AlertConfigError(str(error)) from error


def receivers_of(config: Config, alerts: AlertConfig | None) -> Receivers:
    """Those of an alertmanager.yml, if there is one, and those of these settings."""
    receivers = own_receivers(config[NotifySettings], config.__getitem__)
    if alerts is not None and config[AlertSettings].config_file:
        listed = [{"name": one.name, **one.integrations} for one in alerts.receivers]
        document = {"global": alerts.shared, "receivers": listed}
        receivers = alertmanager_receivers(document, Path(alerts.folder)).with_others(receivers)
    return receivers
