"""What somebody who has just started the appliance wants to know: where the panel is, who he is there, one line to try."""

from dataclasses import dataclass

from appliance.config import Endpoint, Settings

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - recognised, not bound


@dataclass(frozen=True, slots=True)
class Created:
    """The first operator; `password` is None when it was given by whoever ran `init`."""

    operator: str
    password: str | None


def welcome(settings: Settings, created: Created | None) -> str:
    """A few lines; the operator's only when *created* just now, for his password is not kept anywhere."""
    lines = [f"panel     http://{_reachable(endpoint)}" for endpoint in settings.listen.panel]
    if created is not None:
        lines.append(f"operator  {created.operator}")
        if created.password is not None:
            lines.append(f"password  {created.password}  (one-time: the panel asks for a new one)")
    listen = settings.listen
    served = {
        "smtp": listen.smtp, "submission": listen.submission, "submissions": listen.submissions,
        "qmtp": listen.qmtp, "qmqp": listen.qmqp, "panel": listen.panel, "metrics": listen.metrics,
    }  # fmt: skip
    for service, endpoints in served.items():
        lines.append(f"port      {service} {' '.join(map(str, endpoints)) or 'off'}")
    if settings.listen.smtp:
        lines += ["try       one line puts a message into this host's postmaster mailbox:", curl_line(settings)]
    return "\n".join(lines)


def curl_line(settings: Settings) -> str:
    """A complete command that mails the one mailbox every host has."""
    return (
        f"curl smtp://{_reachable(settings.listen.smtp[0], by_name=False)}/client.example"
        f" --mail-from you@example.net --mail-rcpt postmaster@{settings.host.name}"
        " -H 'Subject: hello' -F '=It works.'"
    )


def _reachable(endpoint: Endpoint, *, by_name: bool = True) -> str:
    host = _ANY.get(endpoint.host, endpoint.host)
    if by_name and host in ("127.0.0.1", "::1"):
        host = "localhost"
    return str(Endpoint(host, endpoint.port))
