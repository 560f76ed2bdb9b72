"""What the supervisor knows of the settings: plain values, worked out before it gives everything else up.

Run as a program, it reads the settings file again and writes the plan to its standard output: so SIGHUP costs the
supervisor no parser.

A reader would otherwise get wrong: roles get numbers and text, never the file. Only web and compiler are told where it is.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, TypedDict

_SECTIONS = ("smtpd", "submission", "limits", "dns", "outbound")  # whose keys every role is told, as "section.key"

INJECT = "inject/smtp"  # below the state folder: where programs on this machine hand in mail

# Which role is handed the sockets of which service. What is listened on but stands here nowhere is not served.
SERVICES: Mapping[str, str] = {
    "smtp": "listener",
    "submission": "listener",
    "submissions": "listener",
    "local": "listener",
    "qmtp": "listener",
    "qmqp": "listener",
    "panel": "web",
    "metrics": "web",
}


class SettingsLike(Protocol):
    """As much of appliance.config.Settings as is needed here."""

    @property
    def state(self) -> Path:
        """The state folder, absolute."""

    @property
    def file(self) -> Path:
        """Where the settings were read."""

    @property
    def database_file(self) -> Path | None:
        """The database, where it is a file."""

    @property
    def host(self) -> Any:  # noqa: ANN401 - pydantic sections; importing them would bring pydantic here
        """[host]."""

    @property
    def listen(self) -> Any:  # noqa: ANN401 - as above
        """[listen]."""

    @property
    def smtpd(self) -> Any:  # noqa: ANN401 - as above
        """[smtpd]."""

    @property
    def submission(self) -> Any:  # noqa: ANN401 - as above
        """[submission]."""

    @property
    def limits(self) -> Any:  # noqa: ANN401 - as above
        """[limits]."""

    @property
    def dns(self) -> Any:  # noqa: ANN401 - as above
        """[dns]."""

    @property
    def outbound(self) -> Any:  # noqa: ANN401 - as above
        """[outbound]."""


class Plan(TypedDict):
    """What the supervisor starts with."""

    state: str
    config: str
    uid_base: int
    wake_all: bool
    listen: dict[str, list[tuple[str, int]]]
    instances: dict[str, int]
    settings: dict[str, str]


def plan_of(settings: SettingsLike) -> Plan:
    """The plain values in *settings*."""
    values = {
        "state": str(settings.state),  # absolute, and another thing after the sandbox; so not the file's host.state
        "uid_base": str(settings.host.uid_base),
        "host.name": settings.host.name,
        "database.server": "" if settings.database_file else "1",
        "host.panel_url": settings.host.panel_url or f"https://{settings.host.name}",
    }
    for section in _SECTIONS:
        for name, value in vars(getattr(settings, section)).items():
            values[f"{section}.{name}"] = _text(value)
    listen = {service: _places(settings, service) for service in SERVICES}
    for service, places in listen.items():
        values[f"listen.{service}"] = " ".join(f"{host}:{port}" for host, port in places)
    return {
        "state": str(settings.state),
        "config": str(settings.file),
        "uid_base": settings.host.uid_base,
        "wake_all": settings.host.wake_all,
        "listen": listen,
        "instances": {"smtpd": settings.smtpd.workers, "submissiond": settings.submission.workers},
        "settings": values,
    }


def _text(value: object) -> str:
    """As roles read it: of several, each apart by a space, named ones as name=value."""
    if isinstance(value, dict):
        return " ".join(f"{name}={each}" for name, each in value.items())
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _places(settings: SettingsLike, service: str) -> list[tuple[str, int]]:
    """Where *service* is to be had: hosts and ports; a socket's path is a host without a port."""
    if service == "local":
        return [(str(settings.state / INJECT), 0)] if settings.listen.local else []
    return [(endpoint.host, endpoint.port) for endpoint in getattr(settings.listen, service)]


def main() -> int:
    """Print the plan of the settings file named in the arguments.

    Raises:
        SettingsError: the file is wrong; the supervisor goes on with what it has.
    """
    from appliance.config import load_settings  # noqa: PLC0415 - pydantic, which the supervisor does not want in memory

    json.dump(plan_of(load_settings(sys.argv[1])), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
