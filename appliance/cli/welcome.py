"""What somebody who has just started the appliance wants to know: where the panel is, who he is there, one line to try."""

from dataclasses import dataclass

from appliance.config import Settings
from appliance.services.first_steps import curl_line, reachable


@dataclass(frozen=True, slots=True)
class Created:
    """The first operator; `password` is None when it was given by whoever ran `init`."""

    operator: str
    password: str | None


def welcome(settings: Settings, created: Created | None) -> str:
    """A few lines; the operator's only when *created* just now, for his password is not kept anywhere."""
    lines = [f"panel     http://{reachable(endpoint)}" for endpoint in settings.listen.panel]
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
        postmaster = f"postmaster@{settings.host.name}"
        lines += [
            "try       one line puts a message into this host's postmaster mailbox:",
            curl_line(settings, postmaster),
        ]
    return "\n".join(lines)
