"""From an empty appliance to the first message that was read about: how far its operator has come, and what is next.

A reader would otherwise get wrong: nothing is remembered. The way is told from what is there, and no longer once there is more than
one domain or mailbox besides the host's own.
"""

import shlex
from dataclasses import dataclass

from sqlalchemy import select

from appliance.config import Endpoint, Settings
from appliance.database.session import Session
from appliance.models import Domain, Mailbox
from appliance.services import addresses
from appliance.services.actor import Actor

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - recognised, not bound


@dataclass(frozen=True, slots=True)
class FirstSteps:
    """What is there already; empty: not yet."""

    domain: str
    mailbox: str


def look(session: Session, *, actor: Actor) -> FirstSteps | None:
    """How far the operator has come; None for others, and when he needs no guide any more."""
    if not actor.sees_everything:
        return None
    host = addresses.host_name(session)
    found = session.scalars(select(Domain).where(Domain.name != host).order_by(Domain.id).limit(2)).all()
    if len(found) > 1 or any(domain.kind != "hosted" for domain in found):
        return None
    if not found:
        return FirstSteps("", "")
    here = select(Mailbox).where(Mailbox.domain_id == found[0].id).order_by(Mailbox.id).limit(2)
    boxes = session.scalars(here).all()
    if len(boxes) > 1:
        return None
    return FirstSteps(found[0].name, addresses.show(boxes[0].address) if boxes else "")


def curl_line(settings: Settings, address: str) -> str:
    """A complete shell command that mails *address*, for whoever is at this machine; empty when no SMTP port is open."""
    if not settings.listen.smtp:
        return ""
    return (
        f"curl smtp://{reachable(settings.listen.smtp[0], by_name=False)}/client.example"
        f" --mail-from you@example.net --mail-rcpt {shlex.quote(address)} -H 'Subject: hello' -F '=It works.'"
    )


def reachable(endpoint: Endpoint, *, by_name: bool = True) -> str:
    """How programs of this machine reach what listens at *endpoint*; *by_name*, loopback is called localhost."""
    host = _ANY.get(endpoint.host, endpoint.host)
    if by_name and host in ("127.0.0.1", "::1"):
        host = "localhost"
    return str(Endpoint(host, endpoint.port))
