"""Accounts: who administers. Mailbox owners need none; they log in by their address."""

import re
from typing import Any

from sqlalchemy import func, select

from appliance.database.session import Session
from appliance.errors import Conflict, Forbidden, Invalid, NotFound, Taken
from appliance.models import Account, Domain, LoginSession, Tenant
from appliance.services import addresses, audit, authorisation, changes, tenants
from appliance.services.actor import Actor, ActorKind
from appliance.services.paging import Page, page_along

__all__ = ["Account", "actor_of", "create", "get", "list_accounts", "remove", "reset_password", "set_password"]

# No at-sign: what has one is a mailbox, so nobody can take the name of a mailbox owner.
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
) -> Account:
    """An administrator of a tenant (the actor's own when not given), or of one *domain* only.

    Raises:
        Invalid: a name that is not one.
        Taken: somebody has the name.
        NotFound, Forbidden: tenant or domain is not the actor's.
    """
    name = _checked_name(name)
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
    account = Account(
        name=name, kind="domain" if scope else tenant.kind, tenant=tenant, domain=scope, sealed_hash=sealed_hash,
        must_change=must_change,
    )  # fmt: skip
    session.add(account)
    session.flush()
    _tell(session, actor, "account.created", account, after={"kind": account.kind, "domain": scope and scope.name})
    return account


def get(session: Session, name: str, *, actor: Actor) -> Account:
    """The account called *name*.

    Raises:
        NotFound: there is none, or it is not in the actor's part.
    """
    return _for(session, actor, "account.see", name)


def list_accounts(
    session: Session, *, actor: Actor, tenant_id: int | None = None, limit: int = 50, cursor: str | None = None
) -> Page[Account]:
    """Accounts in the actor's part, by name.

    Raises:
        Invalid: a bad limit or cursor.
    """
    wanted = authorisation.restrict(select(Account), actor, Account)
    if tenant_id is not None:
        wanted = wanted.where(Account.tenant_id == tenant_id)
    return page_along(session, wanted, Account.name, limit, cursor)


def reset_password(session: Session, name: str, sealed_hash: str, *, actor: Actor) -> Account:
    """Give the account a one-time password: its owner must change it, and all his sessions end.

    Raises:
        NotFound, Forbidden: the account is not the actor's to change.
    """
    return _replace(session, actor, _for(session, actor, "account.update", name), sealed_hash, must_change=True)


def set_password(
    session: Session, name: str, sealed_hash: str, *, actor: Actor, keep_session: int | None = None
) -> Account:
    """The owner's own new password; his other sessions end.

    Raises:
        NotFound: the account is not the actor himself.
    """
    account = _named(session, name)
    if account is None or actor.name != account.name or actor.kind != account.kind:
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


def actor_of(account: Account, source: str = "") -> Actor:
    """The actor that the account's owner is, once he proved to be him."""
    kinds: dict[str, ActorKind] = {
        "operator": "operator", "reseller": "reseller", "customer": "customer", "domain": "domain",
    }  # fmt: skip
    kind = kinds[account.kind]
    tenant_id = None if kind == "operator" else account.tenant_id
    return Actor(kind, account.name, tenant_id=tenant_id, domain_id=account.domain_id, source=source)


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
    account = authorisation.require(session, actor, action, _named(session, name), f"account {name}")
    if account.kind == "operator" and not actor.sees_everything:
        raise Forbidden("an operator's account is not yours")
    return account


def _tell(
    session: Session, actor: Actor, action: str, account: Account, *, after: dict[str, Any] | None = None
) -> None:
    audit.record(
        session, actor, action, f"account {account.name}",
        tenant_id=account.tenant_id, domain_id=account.domain_id, after=after,
    )  # fmt: skip
    changes.announce(session, changes.ACCOUNT, account.name)
