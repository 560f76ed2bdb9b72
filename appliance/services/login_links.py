"""Links that log somebody in once: from a billing panel that knows its customers into ours.

A reader would otherwise get wrong: the link is no signed statement that is believed when it comes back. It holds 256 random bits,
of which the database has a hash; so nobody forges one, a copy of the database opens nothing, and used once it is gone.
"""

import hashlib
import secrets
from dataclasses import dataclass

from sqlalchemy import delete, select

from appliance.database.session import Session
from appliance.errors import Forbidden, Invalid, NotSignedIn
from appliance.models import Account, LoginLink, Mailbox
from appliance.models.base import now
from appliance.services import addresses, audit, authorisation, mailboxes, sessions
from appliance.services.actor import RANKS, Actor

__all__ = ["NewLink", "Redeemed", "create", "redeem"]

SHORTEST_SECONDS, LONGEST_SECONDS = 10, 3600


@dataclass(frozen=True, slots=True)
class NewLink:
    """A link just made; `token` is shown this once."""

    token: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class Redeemed:
    """Whom a link lets in, by the name that he would type; *support_by*: who it is that looks at what he sees."""

    name: str
    support_by: str | None = None


def create(session: Session, name: str, *, actor: Actor, seconds: int = 300, support: bool = False) -> NewLink:
    """A link for the owner of *name*, an account or a mailbox's address; or with *support* for whoever looks at what he sees.

    Raises:
        Invalid: a time that makes no sense, or no name.
        NotFound, Forbidden: the actor may not let anybody in as him.
    """
    if not SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS:
        raise Invalid(f"a link is good for {SHORTEST_SECONDS} to {LONGEST_SECONDS} seconds", field="seconds")
    scope, key = sessions.login_of(name)
    token = secrets.token_urlsafe(32)
    link = LoginLink(
        token_sha256=_digest(token), made_by=actor.name, made_at=now(), expires_at=now() + seconds, is_support=support
    )
    action = "support.enter" if support else "link.create"
    tenant_id, domain_id = 0, None
    if scope == "mailbox":
        mailbox: Mailbox = mailboxes.find(session, actor, action, key)
        link.mailbox, tenant_id, domain_id = mailbox, mailbox.domain.tenant_id, mailbox.domain_id
    else:
        found = session.scalar(select(Account).where(Account.name == key))
        account: Account = authorisation.require(session, actor, action, found, f"account {key}")
        if support and RANKS[account.kind] > actor.rank:
            raise Forbidden(f"{key} ranks above you")
        link.account, tenant_id, domain_id = account, account.tenant_id, account.domain_id
    session.execute(delete(LoginLink).where(LoginLink.expires_at <= now()))
    session.add(link)
    session.flush()
    audit.record(
        session,
        actor,
        "link.created",
        key,
        tenant_id=tenant_id,
        domain_id=domain_id,
        after={"seconds": seconds, **({"support": True} if support else {})},
    )
    return NewLink(token, link.expires_at)


def redeem(session: Session, token: str) -> Redeemed:
    """Whom the link with this *token* lets in. It is used up.

    Raises:
        NotSignedIn: there is none (any more).
    """
    link = session.scalar(select(LoginLink).where(LoginLink.token_sha256 == _digest(token)))
    if link is None or link.expires_at <= now():
        raise NotSignedIn("This link is not good any more.", code="bad_link")
    name = link.account.name if link.account is not None else ""
    if link.mailbox is not None:
        name = addresses.show(link.mailbox.address)
    session.delete(link)
    session.flush()
    return Redeemed(name, link.made_by if link.is_support else None)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
