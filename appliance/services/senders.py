"""As which other addresses a mailbox may write, and the further passwords by which its programs log in to send.

A reader would otherwise get wrong: its own address with any tag, and the aliases that lead to it, are not listed here; those
it may always use. What is listed was given by somebody who manages the address, not by whoever has the mailbox.
"""

from sqlalchemy import func, select

from appliance.database.session import Session
from appliance.errors import Conflict, LimitReached, NotFound
from appliance.models import AppPassword, Mailbox, SenderGrant, Sending
from appliance.services import addresses, audit, authorisation, changes, holders
from appliance.services.actor import Actor
from appliance.services.common import check_name
from appliance.services.passwords import Sealer, one_time_password

__all__ = [
    "AppPassword",
    "add_app_password",
    "app_passwords",
    "forget",
    "give",
    "given",
    "remove_app_password",
    "take",
]

MAX_APP_PASSWORDS = 20
MAX_GIVEN = 500


def given(session: Session, address: str, *, actor: Actor) -> list[str]:
    """The addresses that the mailbox was given, as keys.

    Raises:
        Invalid: a malformed address.
        NotFound: there is no such mailbox in the actor's part.
    """
    mailbox = holders.find(session, actor, "mailbox.see", Mailbox, address)
    wanted = select(SenderGrant.address).where(SenderGrant.mailbox_id == mailbox.id).order_by(SenderGrant.address)
    return list(session.scalars(wanted))


def give(session: Session, address: str, sender: str, *, actor: Actor) -> str:
    """Let the mailbox *address* write as *sender*, an address of a domain of the actor's; its key. Again: nothing changes.

    Raises:
        Invalid: a malformed address.
        NotFound, Forbidden: mailbox or domain is not the actor's to change.
        LimitReached: it has as many as one may have.
    """
    mailbox = holders.find(session, actor, "mailbox.update", Mailbox, address)
    parsed = addresses.parse_address(sender, "sender")
    domain = holders.domain_for(session, actor, "domain.update", parsed)
    key = addresses.key_of(parsed)
    owner = addresses.holder_of(session, domain, addresses.split_key(key)[0])
    if isinstance(owner, Mailbox):  # Whose it is may rank above whoever manages the domain.
        authorisation.require(session, actor, "mailbox.update", owner, f"mailbox {addresses.show(owner.address)}")
    if _grant(session, mailbox, key) is not None:
        return key
    count = select(func.count()).select_from(SenderGrant).where(SenderGrant.mailbox_id == mailbox.id)
    if (session.scalar(count) or 0) >= MAX_GIVEN:
        raise LimitReached(f"a mailbox writes as at most {MAX_GIVEN} addresses", code="limit_senders")
    session.add(SenderGrant(mailbox=mailbox, address=key))
    session.flush()
    _tell(session, actor, "sender.given", mailbox, {"sender": key})
    changes.announce(session, changes.SENDERS, key)
    return key


def take(session: Session, address: str, sender: str, *, actor: Actor) -> None:
    """Let it do so no more.

    Raises:
        Invalid: a malformed address.
        NotFound, Forbidden: the mailbox is not the actor's to change, or it never had it.
    """
    mailbox = holders.find(session, actor, "mailbox.update", Mailbox, address)
    key = addresses.key_of(addresses.parse_address(sender, "sender"))
    grant = _grant(session, mailbox, key)
    if grant is None:
        raise NotFound(f"{addresses.show(mailbox.address)} was not given {key}")
    session.delete(grant)
    session.flush()
    _tell(session, actor, "sender.taken", mailbox, {"sender": key})
    changes.announce(session, changes.SENDERS, key)


def app_passwords(session: Session, address: str, *, actor: Actor) -> list[AppPassword]:
    """The mailbox's app passwords by name; never the secrets.

    Raises:
        Invalid, NotFound: as `given`.
    """
    mailbox = holders.find(session, actor, "mailbox.see", Mailbox, address)
    wanted = select(AppPassword).where(AppPassword.mailbox_id == mailbox.id).order_by(AppPassword.name)
    return list(session.scalars(wanted))


def add_app_password(
    session: Session, address: str, name: str, *, actor: Actor, sealer: Sealer
) -> tuple[AppPassword, str]:
    """A further password for the program called *name*, and its secret, which is shown this once.

    Raises:
        Invalid: a malformed address or name.
        NotFound, Forbidden: the mailbox is not the actor's.
        Conflict: there is one of that name, or nobody logs in to the mailbox at all.
        LimitReached: it has as many as one may have.
    """
    mailbox = holders.find(session, actor, "mailbox.password", Mailbox, address)
    name = check_name(name)
    known = app_passwords(session, address, actor=actor)
    if not mailbox.has_password:
        raise Conflict("nobody can log in to this mailbox; set its password first", code="no_password")
    if name in {row.name for row in known}:
        raise Conflict(f"there is an app password called {name}", code="name_taken")
    if len(known) >= MAX_APP_PASSWORDS:
        raise LimitReached(f"a mailbox has at most {MAX_APP_PASSWORDS} app passwords", code="limit_app_passwords")
    secret = one_time_password()
    key = addresses.key_of(mailbox.address)
    row = AppPassword(mailbox_id=mailbox.id, name=name, sealed_hash=sealer.seal_app_password(secret, key))
    session.add(row)
    session.flush()
    _tell(session, actor, "app_password.made", mailbox, {"name": name})
    changes.announce(session, changes.SENDERS, key)
    return row, secret


def remove_app_password(session: Session, address: str, name: str, *, actor: Actor) -> None:
    """Revoke it; whoever is logged in by it stays so until his conversation ends.

    Raises:
        Invalid: a malformed address.
        NotFound, Forbidden: the mailbox is not the actor's, or has none of that name.
    """
    mailbox = holders.find(session, actor, "mailbox.password", Mailbox, address)
    wanted = select(AppPassword).where(AppPassword.mailbox_id == mailbox.id, AppPassword.name == name)
    row = session.scalar(wanted)
    if row is None:
        raise NotFound(f"there is no app password called {name}")
    session.delete(row)
    session.flush()
    _tell(session, actor, "app_password.removed", mailbox, {"name": name})
    changes.announce(session, changes.SENDERS, addresses.key_of(mailbox.address))


def forget(session: Session, mailbox: Mailbox) -> None:
    """The mailbox is about to be removed: what it was given, its app passwords and limits go with it."""
    for row in session.scalars(select(SenderGrant).where(SenderGrant.mailbox_id == mailbox.id)).all():
        changes.announce(session, changes.SENDERS, row.address)
        session.delete(row)
    has_more = False
    models: tuple[type[AppPassword | Sending], ...] = (AppPassword, Sending)
    for model in models:
        for own in session.scalars(select(model).where(model.mailbox_id == mailbox.id)).all():
            has_more = True
            session.delete(own)
    if has_more:
        changes.announce(session, changes.SENDERS, addresses.key_of(mailbox.address))
    session.flush()


def _grant(session: Session, mailbox: Mailbox, key: str) -> SenderGrant | None:
    return session.scalar(select(SenderGrant).where(SenderGrant.mailbox_id == mailbox.id, SenderGrant.address == key))


def _tell(session: Session, actor: Actor, action: str, mailbox: Mailbox, after: dict[str, str]) -> None:
    audit.record(
        session, actor, action, addresses.key_of(mailbox.address),
        tenant_id=mailbox.domain.tenant_id, domain_id=mailbox.domain_id, after=after,
    )  # fmt: skip
