"""Whoever signs in: the owner of an account, or of a mailbox.

A reader would otherwise get wrong: this is about a person's own affairs - his sessions, his second factor, his time zone - which
are nobody's but his. So there is no question of rights here: it is he himself (`own`), or, where somebody above him helps him out
(`to_help`), `authorisation` is asked as for his password.
"""

from typing import Any

from sqlalchemy import ColumnElement, select

from appliance.database.session import Session
from appliance.errors import Forbidden, NotFound
from appliance.models import Account, Mailbox
from appliance.models.of_person import OfPerson
from appliance.services import addresses, audit, authorisation, holders
from appliance.services.actor import RANKS, Actor

__all__ = ["Person", "columns_of", "find", "is_his", "key_of", "login_of", "name_of", "own", "tell", "to_help"]

Person = Account | Mailbox


def login_of(name: str) -> tuple[str, str]:
    """Scope (account or mailbox) and name to ask the authenticator about, for what was typed into the login form.

    Raises:
        Invalid: something with an at-sign that is no address.
    """
    if "@" in name:
        return "mailbox", addresses.key_of(addresses.parse_address(name, "name"))
    return "account", name.strip().lower()


def find(session: Session, name: str) -> Person | None:
    """Whose name it is, an account's or a mailbox's address; None: nobody's.

    Raises:
        Invalid: as `login_of`.
    """
    scope, key = login_of(name)
    if scope == "account":
        return session.scalar(select(Account).where(Account.name == key))
    folded, domain_name = addresses.split_key(key)
    domain = addresses.domain_named(session, domain_name)
    holder = addresses.holder_of(session, domain, folded) if domain is not None else None
    return holder if isinstance(holder, Mailbox) else None


def own(session: Session, actor: Actor) -> Person:
    """The actor himself.

    Raises:
        Forbidden: somebody of support looks at what he sees, and this is none of it.
        NotFound: it is nobody who signs in.
    """
    if actor.support_by:
        raise Forbidden("Support looks, and changes nothing.", code="support_looks")
    # Nobody else has such a name: those of keys and of the command line have a character that is in none of an account.
    person = find(session, actor.name) if actor.kind != "system" else None
    if person is None:
        raise NotFound(f"nobody called {actor.name} signs in here")
    return person


def to_help(session: Session, name: str, *, actor: Actor) -> Person:
    """Whose name it is, when the actor ranks above him and might also give him another password.

    Raises:
        Invalid: no name.
        NotFound, Forbidden: he is not in the actor's part, or is his equal.
    """
    scope, key = login_of(name)
    person: Person
    if scope == "mailbox":
        person = holders.find(session, actor, "mailbox.password", Mailbox, key)
        rank = RANKS["mailbox"]
    else:
        found = session.scalar(select(Account).where(Account.name == key))
        person = authorisation.require(session, actor, "account.update", found, f"account {key}")
        rank = RANKS[person.kind]
    # Whoever may do everything on the machine itself may do this, too: or the last operator would be locked out for good.
    if rank >= actor.rank and actor.kind != "system":
        raise Forbidden(f"only somebody who ranks above {key} may do this for him")
    return person


def name_of(person: Person) -> str:
    """As he signs in, for people to read."""
    return person.name if isinstance(person, Account) else addresses.show(person.address)


def key_of(person: Person) -> str:
    """As actors and the authenticator know him."""
    return person.name if isinstance(person, Account) else addresses.key_of(person.address)


def columns_of(person: Person) -> dict[str, int]:
    """The column of a row of his (`OfPerson`) by which it is his."""
    return {"account_id": person.id} if isinstance(person, Account) else {"mailbox_id": person.id}


def is_his(model: type[OfPerson] | Any, person: Person) -> ColumnElement[bool]:  # noqa: ANN401 - also sessions and links
    """The condition for rows of *model* that are his."""
    ((name, number),) = columns_of(person).items()
    condition: ColumnElement[bool] = getattr(model, name) == number
    return condition


def tell(session: Session, actor: Actor, action: str, person: Person, after: dict[str, Any] | None = None) -> None:
    """Write down what was done to him."""
    domain = person.domain
    tenant_id = person.tenant_id if isinstance(person, Account) else person.domain.tenant_id
    domain_id = domain.id if domain is not None else None
    audit.record(session, actor, action, key_of(person), tenant_id=tenant_id, domain_id=domain_id, after=after)
