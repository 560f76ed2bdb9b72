"""Webhooks: whose web server is told of which events. Who tells it is the compiler (`appliance.compile.webhooks`).

A reader would otherwise get wrong: a webhook sees what its tenant sees in the feed, whoever made it. That is why a key with limits
makes none: what it may not read itself, it would have sent to it.
"""

import base64
import ipaddress
import re
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import func, select

from appliance.config import Settings
from appliance.database.session import Session
from appliance.errors import Conflict, Invalid, LimitReached, NotFound
from appliance.models import AuditEntry, Tenant, Webhook, WebhookDelivery
from appliance.models.base import now
from appliance.services import addresses, audit, authorisation, events, tenants
from appliance.services.actor import Actor
from appliance.services.paging import Orders, Page, page_along, page_in_order
from appliance.services.seals import Seals

__all__ = [
    "NewSecret",
    "Webhook",
    "WebhookDelivery",
    "create",
    "deliveries",
    "get",
    "list_webhooks",
    "remove",
    "rotate",
]

MAX_WEBHOOKS = 20  # of one tenant
_ORDERS = Orders(Webhook.id, "created", {"created": Webhook.id}, {"url": Webhook.url})
MAX_WAITING = 10  # tests and repetitions of one webhook
SECRET_OCTETS = 32
DEFAULT_OVERLAP_HOURS, MAX_OVERLAP_HOURS = 24, 168
HTTPS_PORT = 443
_URL = re.compile(r"https://[!-~]{1,900}\Z")

Own = Collection[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class NewSecret:
    """A webhook, and the `secret` that it has from now on, shown this once."""

    webhook: Webhook
    secret: str


def own_hosts(settings: Settings) -> Own:
    """The hosts and ports of the operator's own network that webhooks may call."""
    return frozenset((host.lower(), port) for host, port in settings.outbound.webhook_hosts)


def create(
    session: Session, url: str, *, actor: Actor, seals: Seals, own: Own = (), tenant_id: int | None = None,
    types: Sequence[str] = (), after: int | None = None,
) -> NewSecret:  # fmt: skip
    """Tell *url* of the tenant's events (without *tenant_id*, of the actor's own), of *types* only where some are given.

    It begins with what happens from now on, or behind event number *after*.

    Raises:
        Invalid: the address is none, or leads to where webhooks may not; a type is none.
        NotFound, Forbidden: the tenant is not the actor's, or the actor is a key with limits.
        LimitReached: the tenant has as many as it may.
        Unable: there is nobody yet who could sign.
    """
    chosen = session.get(Tenant, tenant_id) if tenant_id is not None else tenants.own(session, actor)
    tenant = authorisation.require(session, actor, "webhook.set", chosen, f"tenant {tenant_id}")
    count = select(func.count()).select_from(Webhook).where(Webhook.tenant_id == tenant.id)
    if (session.scalar(count) or 0) >= MAX_WEBHOOKS:
        raise LimitReached(f"a tenant has at most {MAX_WEBHOOKS} webhooks")
    secret, sealed = _new_secret(seals)
    webhook = Webhook(
        public_id=secrets.token_hex(8), tenant_id=tenant.id, url=_checked(url, own), types=events.check_types(types),
        sealed_secret=sealed,
    )  # fmt: skip
    session.add(webhook)
    session.flush()
    _tell(session, actor, "webhook.created", webhook, after=_describe(webhook))
    session.flush()
    webhook.told = _newest(session) if after is None else after
    return NewSecret(webhook, secret)


def list_webhooks(
    session: Session, *, actor: Actor, tenant_id: int | None = None, sort: str | None = None, limit: int = 50,
    cursor: str | None = None,
) -> Page[Webhook]:  # fmt: skip
    """Those in the actor's part, oldest first.

    *sort*: created, url.

    Raises:
        Invalid: a bad limit or cursor.
    """
    wanted = authorisation.restrict(select(Webhook), actor, Webhook)
    if tenant_id is not None:
        wanted = wanted.where(Webhook.tenant_id == tenant_id)
    return page_in_order(session, wanted, _ORDERS, sort, limit, cursor)


def get(session: Session, public_id: str, *, actor: Actor) -> Webhook:
    """The webhook with this public id.

    Raises:
        NotFound: there is none, or it is not in the actor's part.
    """
    return _for(session, public_id, actor, "webhook.see")


def update(
    session: Session, public_id: str, *, actor: Actor, own: Own = (), url: str | None = None,
    types: Sequence[str] | None = None, enabled: bool | None = None, after: int | None = None,
) -> Webhook:  # fmt: skip
    """Change what is given. Enabled again, it goes on where it was, or behind event number *after*.

    Raises:
        Invalid, NotFound, Forbidden: as for `create`.
    """
    webhook = _for(session, public_id, actor, "webhook.set")
    before, was = _describe(webhook), webhook.url
    if url is not None:
        webhook.url = _checked(url, own)
    if types is not None:
        webhook.types = events.check_types(types)
    if enabled is not None:
        webhook.enabled = enabled
    if after is not None:
        webhook.told = after
    changed, told = audit.difference(before, _describe(webhook))
    if told or webhook.url != was or after is not None:
        # Whatever was wrong may be mended: what waits is tried at once, and has all its attempts before it.
        webhook.attempts, webhook.next_at, webhook.failing_since, webhook.disabled_why = 0, 0, None, ""
        webhook.version += 1
        _tell(session, actor, "webhook.changed", webhook, before=changed, after=told or {"url": _origin(webhook)})
    return webhook


def rotate(
    session: Session, public_id: str, *, actor: Actor, seals: Seals, overlap_hours: int = DEFAULT_OVERLAP_HOURS
) -> NewSecret:
    """Give it another secret. For *overlap_hours* deliveries are signed with the one before it, too.

    Raises:
        Invalid: an overlap that is too long.
        NotFound, Forbidden: it is not the actor's, or the actor is a key with limits.
        Unable: there is nobody yet who could sign.
    """
    webhook = _for(session, public_id, actor, "webhook.set")
    if not 0 <= overlap_hours <= MAX_OVERLAP_HOURS:
        raise Invalid(f"both are good for 0 to {MAX_OVERLAP_HOURS} hours", field="overlap_hours")
    secret, sealed = _new_secret(seals)
    webhook.old_sealed_secret = webhook.sealed_secret if overlap_hours else None
    webhook.old_until = now() + 3600 * overlap_hours if overlap_hours else None
    webhook.sealed_secret = sealed
    webhook.version += 1
    _tell(session, actor, "webhook.rotated", webhook, after={"overlap_hours": overlap_hours})
    return NewSecret(webhook, secret)


def remove(session: Session, public_id: str, *, actor: Actor) -> None:
    """Remove it with its log.

    Raises:
        NotFound, Forbidden: it is not the actor's.
    """
    webhook = _for(session, public_id, actor, "webhook.set")
    _tell(session, actor, "webhook.removed", webhook, before=_describe(webhook))
    session.delete(webhook)
    session.flush()


# --- what was told


def deliveries(
    session: Session, public_id: str, *, actor: Actor, limit: int = 50, cursor: str | None = None
) -> Page[WebhookDelivery]:
    """What it was told lately and how that went, the newest first.

    Raises:
        Invalid: a bad limit or cursor.
        NotFound: there is no such webhook in the actor's part.
    """
    webhook = get(session, public_id, actor=actor)
    wanted = select(WebhookDelivery).where(WebhookDelivery.webhook_id == webhook.id)
    return page_along(session, wanted, WebhookDelivery.id, limit, cursor, falling=True)


def delivery(session: Session, public_id: str, number: int, *, actor: Actor) -> WebhookDelivery:
    """One of them.

    Raises:
        NotFound: there is none, or not any more; or the webhook is not in the actor's part.
    """
    webhook, row = get(session, public_id, actor=actor), session.get(WebhookDelivery, number)
    if row is None or row.webhook_id != webhook.id:
        raise NotFound(f"there is no delivery {number}; the newest are kept")
    return row


def send_test(session: Session, public_id: str, *, actor: Actor) -> WebhookDelivery:
    """Tell it something at once that is no event, also while it is disabled. What comes of it stands in the log.

    Raises:
        Conflict: too much waits already.
        NotFound, Forbidden: it is not the actor's.
    """
    return _out_of_turn(session, _for(session, public_id, actor, "webhook.set"), 0)


def repeat(session: Session, public_id: str, number: int, *, actor: Actor) -> WebhookDelivery:
    """Tell it once more, out of turn, what delivery *number* told.

    Raises:
        Conflict, NotFound, Forbidden: as for `send_test`, and as for `delivery`.
    """
    webhook = _for(session, public_id, actor, "webhook.set")
    return _out_of_turn(session, webhook, delivery(session, public_id, number, actor=actor).event_id)


def _out_of_turn(session: Session, webhook: Webhook, event_id: int) -> WebhookDelivery:
    waiting = select(func.count()).select_from(WebhookDelivery)
    waiting = waiting.where(WebhookDelivery.webhook_id == webhook.id, WebhookDelivery.waits)
    if (session.scalar(waiting) or 0) >= MAX_WAITING:
        raise Conflict(f"{MAX_WAITING} deliveries wait already", code="too_many_deliveries")
    row = WebhookDelivery(webhook_id=webhook.id, event_id=event_id, waits=True, attempt=0)
    session.add(row)
    session.flush()
    return row


# --- what is needed for that


def _for(session: Session, public_id: str, actor: Actor, action: str) -> Webhook:
    webhook = session.scalar(select(Webhook).where(Webhook.public_id == public_id))
    return authorisation.require(session, actor, action, webhook, f"webhook {public_id}")


def _checked(url: str, own: Own) -> str:
    """*url*, with its host as name servers know it.

    Raises:
        Invalid: as it says.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = (parts.hostname or "").lower(), parts.port or HTTPS_PORT
    except ValueError as error:
        raise Invalid("this is not an address of the web", code="bad_url", field="url") from error
    if parts.scheme != "https" or not host or parts.username is not None or parts.fragment:
        raise Invalid("an address such as https://example.net/hook", code="bad_url", field="url")
    if (host, port) not in own:
        host = _public(host, port)
    place = f"[{host}]" if ":" in host else host
    written = f"https://{place}{'' if port == HTTPS_PORT else f':{port}'}{parts.path or '/'}"
    written += f"?{parts.query}" if parts.query else ""
    if not _URL.match(written):
        raise Invalid("an address of at most 900 printable ASCII characters", code="bad_url", field="url")
    return written


def _public(host: str, port: int) -> str:
    if port != HTTPS_PORT:
        raise Invalid("webhooks reach port 443 alone", code="bad_url", field="url")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return addresses.parse_domain(host, "url")
    raise Invalid("the host of a webhook has a name", code="bad_url", field="url")


def _new_secret(seals: Seals) -> tuple[str, str]:
    """As it is shown, and sealed."""
    secret = secrets.token_bytes(SECRET_OCTETS)
    return f"whsec_{base64.b64encode(secret).decode()}", seals.webhook_secret(secret)


def _newest(session: Session) -> int:
    return session.scalar(select(func.max(AuditEntry.id))) or 0


def _origin(webhook: Webhook) -> str:
    """The host without the path, in which some carry a secret."""
    return "{0.scheme}://{0.netloc}".format(urlsplit(webhook.url))


def _describe(webhook: Webhook) -> dict[str, Any]:
    return {"url": _origin(webhook), "types": webhook.types, "enabled": webhook.enabled}


def _tell(
    session: Session, actor: Actor, action: str, webhook: Webhook, *,
    before: dict[str, Any] | None = None, after: dict[str, Any] | None = None,
) -> None:  # fmt: skip
    subject = f"webhook {webhook.public_id}"
    audit.record(session, actor, action, subject, tenant_id=webhook.tenant_id, before=before, after=after)
