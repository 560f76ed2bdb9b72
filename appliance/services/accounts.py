"""Accounts: who administers. Mailbox owners need none; they log in by their address."""

import re
from typing import Any

from sqlalchemy import func, select

from appliance.database.session import Session
from appliance.errors import Conflict, Invalid, NotFound, Taken
from appliance.models import Account, Domain, LoginSession, Tenant
from appliance.services import addresses, appointments, audit, authorisation, changes, tenants
from appliance.services.actor import Actor
from appliance.services.paging import Orders, Page, page_in_order

__all__ = [
    "Account",
    "create",
    "get",
    "list_accounts",
    "remove",
    "reset_password",
    "set_password",
    "update",
]

# No at-sign: what has one is a mailbox, so nobody can take the name of a mailbox owner.
_ORDERS = Orders(Account.id, "name", {"name": Account.name, "-created": Account.id})
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}\Z")


def create(
    session: Session,
    name: str,
    *,
    actor: Actor,
    tenant_id: int | None = None,
    domain: str | None = None,
    sealed_hash: str | None = None,
    must_change: bool = False,
    support: bool = False,
    rights: list[str] | None = None,
) -> Account:
    """An administrator of a tenant (the actor's own when not given), or of one *domain* only, there perhaps with some *rights*.

    With *support*, somebody who may look at all that is the tenant's, and change nothing.

    Raises:
        Invalid: a name that is not one, or no such rights.
        Conflict: support for a domain, or rights for anybody but a domain's administrator.
        Taken: somebody has the name.
        NotFound, Forbidden: tenant or domain is not the actor's.
    """
    name = _checked_name(name)
    if support and domain is not None:
        raise Conflict("support is a tenant's", field="support")
    scope: Domain | None = None
    if domain is not None:
        label = addresses.parse_domain(domain)
        scope = authorisation.require(
            session, actor, "account.create", addresses.domain_named(session, label), f"domain {label}"
        )
    chosen = scope.tenant if scope else _tenant(session, actor, tenant_id)
    tenant = authorisation.require(session, actor, "account.create", chosen, f"tenant {tenant_id}")
    if session.scalar(select(Account.id).where(Account.name == name)) is not None:
        raise Taken(f"there is already an account {name}", code="account_taken", field="name")
    kind = "support" if support else "domain" if scope else tenant.kind
    account = Account(
        name=name, kind=kind, tenant=tenant, domain=scope, sealed_hash=sealed_hash, must_change=must_change,
        rights=appointments.check_rights(rights, kind),
    )  # fmt: skip
    session.add(account)
    session.flush()
    _tell(session, actor, "account.created", account, after=_describe(account))
    return account


def get(session: Session, name: str, *, actor: Actor) -> Account:
    """The account called *name*.

    Raises:
        NotFound: there is none, or it is not in the actor's part.
    """
    return _for(session, actor, "account.see", name)


def to_change(session: Session, name: str, *, actor: Actor) -> Account:
    """The same, when it is the actor's to change.

    Raises:
        NotFound, Forbidden: it is not.
    """
    return _for(session, actor, "account.update", name)


def list_accounts(
    session: Session,
    *,
    actor: Actor,
    tenant_id: int | None = None,
    domain_id: int | None = None,
    search: str = "",
    sort: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Account]:
    """Accounts in the actor's part, by name; of one tenant or domain, or with *search* in the name.

    *sort*: name, created.

    Raises:
        Invalid: a bad limit or cursor.
    """
    wanted = authorisation.restrict(select(Account), actor, Account)
    if tenant_id is not None:
        wanted = wanted.where(Account.tenant_id == tenant_id)
    if domain_id is not None:
        wanted = wanted.where(Account.domain_id == domain_id)
    if search:
        wanted = wanted.where(Account.name.contains(search.strip().lower(), autoescape=True))
    return page_in_order(session, wanted, _ORDERS, sort, limit, cursor)


def update(session: Session, name: str, *, actor: Actor, rights: list[str] | None) -> Account:
    """Give a domain's administrator these *rights*; None is all of them.

    Raises:
        Invalid: no such rights, or he administers more than a domain.
        NotFound, Forbidden: the account is not the actor's to change.
    """
    account = _for(session, actor, "account.update", name)
    was, account.rights = account.rights, appointments.check_rights(rights, account.kind)
    if was != account.rights:
        account.version += 1
        _tell(session, actor, "account.changed", account, before={"rights": was}, after={"rights": account.rights})
    return account


def reset_password(
    session: Session, name: str, sealed_hash: str, *, actor: Actor, must_change: bool = True
) -> Account:  # fmt: skip
    """Give the account another password, with *must_change* a one-time one: all its owner's sessions end.

    Raises:
        NotFound, Forbidden: the account is not the actor's to change.
    """
    return _replace(session, actor, _for(session, actor, "account.update", name), sealed_hash, must_change=must_change)


def set_password(
    session: Session, name: str, sealed_hash: str, *, actor: Actor, keep_session: int | None = None
) -> Account:
    """The owner's own new password; his other sessions end.

    Raises:
        NotFound: the account is not the actor himself.
    """
    account = _named(session, name)
    # No other actor has such a name: those of mailboxes, keys and the command line have a character that is in none.
    if account is None or actor.name != account.name:
        raise NotFound(f"there is no account {name}")
    return _replace(session, actor, account, sealed_hash, must_change=False, keep_session=keep_session)


def remove(session: Session, name: str, *, actor: Actor) -> None:
    """Remove the account and its sessions.

    Raises:
        Conflict: it is the last operator.
        NotFound, Forbidden: it is not the actor's to remove.
    """
    account = _for(session, actor, "account.remove", name)
    if account.kind == "operator":
        operators = select(func.count()).select_from(Account).where(Account.kind == "operator")
        if session.scalar(operators) == 1:
            raise Conflict(f"{name} is the last operator", code="last_operator")
    _tell(session, actor, "account.removed", account)
    session.delete(account)
    session.flush()


def _replace(
    session: Session,
    actor: Actor,
    account: Account,
    sealed_hash: str,
    *,
    must_change: bool,
    keep_session: int | None = None,
) -> Account:
    account.sealed_hash, account.must_change = sealed_hash, must_change
    account.version += 1
    for login in session.scalars(select(LoginSession).where(LoginSession.account_id == account.id)).unique().all():
        if login.id != keep_session:
            session.delete(login)
    _tell(session, actor, "account.password_reset" if must_change else "account.password_set", account)
    return account


def _tenant(session: Session, actor: Actor, tenant_id: int | None) -> Tenant | None:
    return session.get(Tenant, tenant_id) if tenant_id is not None else tenants.own(session, actor)


def _checked_name(name: str) -> str:
    name = name.strip().lower()
    if not _NAME.match(name):
        raise Invalid(
            "an account's name is 1 to 63 letters, digits, dots, hyphens and underscores", code="bad_name", field="name"
        )
    return name


def _named(session: Session, name: str) -> Account | None:
    return session.scalar(select(Account).where(Account.name == name.strip().lower()))


def _for(session: Session, actor: Actor, action: str, name: str) -> Account:
    return authorisation.require(session, actor, action, _named(session, name), f"account {name}")


def _describe(account: Account) -> dict[str, Any]:
    told: dict[str, Any] = {"kind": account.kind, "domain": account.domain.name if account.domain else None}
    return told if account.rights is None else {**told, "rights": account.rights}


def _tell(
    session: Session,
    actor: Actor,
    action: str,
    account: Account,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    audit.record(
        session, actor, action, f"account {account.name}",
        tenant_id=account.tenant_id, domain_id=account.domain_id, before=before, after=after,
    )  # fmt: skip
    changes.announce(session, changes.ACCOUNT, account.name)
