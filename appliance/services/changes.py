"""The feed of what changed, which the compiler turns into the snapshot.

A reader would otherwise get wrong: the number of the newest entry *is* the database's age. A database whose newest number is
smaller than the snapshot's is an older copy, so entries are removed only below the newest.

    kind      key                                          means
    tenant    its id                                       made, limits, suspended, removed
    domain    its name                                     made, catch-all, validation, suspended, removed
    address   folded local-part @ domain                   a mailbox, alias, forwarding or relayed recipient is different or gone
    password  folded local-part @ domain                   the sealed hash of a mailbox is different or gone
    account   its name                                     an account or its sealed hash is different or gone
    key       its public id                                an API key was made or revoked
    rules     empty, a domain, or an address key           the access rules of host, domain or mailbox are different
    signing   a domain                                     what its mail is signed with is different
    route     its key                                      a route to other servers is different or gone
    name      A-label or *.domain                          a certificate for it came or went
    autoreply folded local-part @ domain                   what a mailbox answers by itself is different, its name, or gone
    pattern   what precedes the star @ domain              whose addresses are that begin so is different
    senders   folded local-part @ domain                   who may write as it is different; or its app passwords, how much it sends
"""

from sqlalchemy import Select, delete, func, insert, literal, select

from appliance.database.session import Session
from appliance.models import Change, PublishRequest, StoreTask

__all__ = [
    "ACCOUNT",
    "ADDRESS",
    "AUTOREPLY",
    "DOMAIN",
    "KEY",
    "NAME",
    "PASSWORD",
    "PATTERN",
    "ROUTE",
    "RULES",
    "SENDERS",
    "SIGNING",
    "TENANT",
    "Change",
    "PublishRequest",
    "StoreTask",
    "announce",
    "announce_each",
    "drop_store",
    "forget",
    "keep_store",
    "make_store",
    "newest",
    "oldest",
    "publication",
    "request_publication",
    "restore_store",
    "since",
    "store_tasks",
    "trash_store",
]

TENANT, DOMAIN, ADDRESS, PASSWORD, ACCOUNT, KEY = "tenant", "domain", "address", "password", "account", "key"
RULES, NAME, SIGNING, ROUTE, SENDERS = "rules", "name", "signing", "route", "senders"
AUTOREPLY = "autoreply"
PATTERN = "pattern"


def announce(session: Session, kind: str, key: str) -> None:
    """*key* of *kind* is different from now on."""
    session.note(Change, kind=kind, key=key)


def announce_each(session: Session, kind: str, keys: Select[str]) -> None:
    """Everything that *keys* selects is different from now on; one statement, however many there are."""
    chosen = keys.subquery()
    session.execute(insert(Change).from_select(["kind", "key"], select(literal(kind), chosen.c[0])))


def newest(session: Session) -> int:
    """The newest entry's number; 0 when there never was one."""
    return session.scalar(select(func.max(Change.id))) or 0


def since(session: Session, number: int, limit: int = 10_000) -> list[Change]:
    """Entries after *number*, oldest first."""
    return list(session.scalars(select(Change).where(Change.id > number).order_by(Change.id).limit(limit)))


def oldest(session: Session) -> int:
    """The oldest entry that is still kept; a snapshot older than that needs a full compilation."""
    return session.scalar(select(func.min(Change.id))) or 0


def forget(session: Session, up_to: int) -> None:
    """Remove entries up to *up_to*, but never the newest."""
    session.execute(delete(Change).where(Change.id <= up_to, Change.id < newest(session)))


def make_store(session: Session, domain: str, folded: str) -> None:
    """The storekeeper shall make the store of a mailbox."""
    session.note(StoreTask, op="make", domain=domain, local_part=folded)


def trash_store(session: Session, domain: str, folded: str = "") -> None:
    """The storekeeper shall put a mailbox's store aside; without *folded*, the whole domain's."""
    session.note(StoreTask, op="trash", domain=domain, local_part=folded)


def keep_store(session: Session, domain: str, removal_id: int, until: int, folded: str = "") -> None:
    """As `trash_store`, for a removal that may be undone *until* then."""
    session.note(StoreTask, op="keep", domain=domain, local_part=folded, removal_id=removal_id, until=until)


def restore_store(session: Session, domain: str, removal_id: int) -> None:
    """What was put aside for the removal comes back."""
    session.note(StoreTask, op="restore", domain=domain, local_part="", removal_id=removal_id)


def drop_store(session: Session, domain: str, removal_id: int) -> None:
    """What was put aside for the removal may go."""
    session.note(StoreTask, op="drop", domain=domain, local_part="", removal_id=removal_id)


def store_tasks(session: Session, limit: int = 1000) -> list[StoreTask]:
    """What the storekeeper has yet to do, in order."""
    return list(session.scalars(select(StoreTask).order_by(StoreTask.id).limit(limit)))


def request_publication(session: Session, *, full: bool) -> PublishRequest:
    """Ask the compiler to publish; it fills in `done_change` or `failure`."""
    session.execute(delete(PublishRequest).where(PublishRequest.done_change.is_not(None)))
    request = PublishRequest(full=full)
    session.add(request)
    session.flush()
    return request


def publication(session: Session, request_id: int) -> PublishRequest | None:
    """How far the compiler is with a request."""
    return session.get(PublishRequest, request_id)
