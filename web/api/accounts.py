"""Accounts: who administers, and where they are logged in. Mailbox owners need none."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from appliance.services import accounts, passwords, sessions
from web import LARGEST
from web.api.dependencies import (
    Asking,
    Caller,
    Changing,
    Cursor,
    DryRun,
    Limit,
    Making,
    Ordering,
    TenantId,
    refusals,
    told,
)
from web.api.schemas import Page
from web.api.schemas.accounts import Account, AccountChange, LoginSession, MadeAccount, NewAccount, NewAccountPassword

router = APIRouter(prefix="/accounts")
Name = Annotated[str, Path(max_length=100, examples=["anna"])]
Number = Annotated[int, Path(ge=0, le=LARGEST)]


def _sealed(asking: Caller, body: NewAccount | NewAccountPassword) -> tuple[str, str | None]:
    """The password's sealed hash; and the password where it is a one-time one of ours.

    Raises:
        Invalid: it will not do.
    """
    made = passwords.one_time_password() if body.password is None else None
    return asking.wiring.sealer.seal_password(made or body.password or ""), made


def _rights(body: NewAccount | AccountChange) -> list[str] | None:
    return None if body.rights is None else list(body.rights)


@router.get("", summary="List accounts", responses=refusals(404, 422))
def list_accounts(
    asking: Asking, limit: Limit = 50, cursor: Cursor = None, tenant_id: TenantId = None,
    search: Annotated[str, Query(max_length=63, description="only what has this in its name")] = "",
) -> Page[Account]:  # fmt: skip
    """By name."""
    with asking.wiring.reading() as session:
        page = accounts.list_accounts(
            session, actor=asking.actor, tenant_id=tenant_id, search=search, limit=limit, cursor=cursor
        )
        return Page(items=[Account.model_validate(row) for row in page.items], next=page.next)


@router.post("", summary="Make an account", status_code=201, responses=refusals(403, 404, 409, 422))
def create(asking: Making, body: NewAccount, response: Response, dry_run: DryRun = False) -> MadeAccount:
    """Of a tenant, or of one of its domains alone. Good within a second."""
    sealed, shown = _sealed(asking, body)
    with asking.posting(response, body, dry_run=dry_run) as posting:
        row = accounts.create(
            posting.session, body.name, actor=asking.actor, tenant_id=body.tenant_id, domain=body.domain, sealed_hash=sealed,
            must_change=body.must_change or shown is not None, support=body.support, rights=_rights(body),
        )  # fmt: skip
        made = MadeAccount(**Account.model_validate(row).model_dump(), one_time_password=shown)
        return posting.answer(made, location=f"/accounts/{row.name}")


@router.get("/{name}", summary="Show an account", responses=refusals(404, 422))
def show(asking: Asking, name: Name, response: Response) -> Account:
    """By its name."""
    with asking.wiring.reading() as session:
        return told(response, Account.model_validate(accounts.get(session, name, actor=asking.actor)))


@router.patch("/{name}", summary="Change an account", responses=refusals(403, 404, 412, 422))
def change(
    asking: Changing, name: Name, body: AccountChange, response: Response, dry_run: DryRun = False
) -> Account:  # fmt: skip
    """At his next request he may what is given here."""
    with asking.wiring.changing(dry_run=dry_run) as session:
        asking.expect(lambda: accounts.get(session, name, actor=asking.actor))
        if "rights" in body.model_fields_set:
            accounts.update(session, name, actor=asking.actor, rights=_rights(body))
        return told(response, Account.model_validate(accounts.to_change(session, name, actor=asking.actor)))


@router.delete("/{name}", summary="Remove an account", status_code=204, responses=refusals(403, 404, 409, 412, 422))
def remove(asking: Changing, name: Name, dry_run: DryRun = False) -> None:
    """With all its sessions. The last operator stays."""
    with asking.wiring.changing(dry_run=dry_run) as session:
        asking.expect(lambda: accounts.get(session, name, actor=asking.actor))
        accounts.remove(session, name, actor=asking.actor)


@router.post("/{name}/password", summary="Set an account's password", responses=refusals(403, 404, 409, 412, 422))
def set_password(
    asking: Ordering, name: Name, response: Response, body: NewAccountPassword | None = None, dry_run: DryRun = False
) -> MadeAccount:
    """All his sessions end. Without one in the body the answer holds a one-time password."""
    asked = body or NewAccountPassword()
    sealed, shown = _sealed(asking, asked)
    with asking.posting(response, body, dry_run=dry_run) as posting:
        asking.expect(lambda: accounts.get(posting.session, name, actor=asking.actor))
        must_change = asked.must_change or shown is not None
        row = accounts.reset_password(posting.session, name, sealed, actor=asking.actor, must_change=must_change)
        return posting.answer(MadeAccount(**Account.model_validate(row).model_dump(), one_time_password=shown))


@router.get("/{name}/sessions", summary="List an account's sessions", responses=refusals(404, 422))
def list_sessions(asking: Asking, name: Name, limit: Limit = 50, cursor: Cursor = None) -> Page[LoginSession]:
    """Where he is logged in to the panel, the oldest first."""
    with asking.wiring.reading() as session:
        page = sessions.of_account(session, name, actor=asking.actor, limit=limit, cursor=cursor)
        return Page(items=[LoginSession.model_validate(row) for row in page.items], next=page.next)


@router.delete("/{name}/sessions", summary="Log an account out", status_code=204, responses=refusals(403, 404, 422))
def end_sessions(asking: Asking, name: Name, dry_run: DryRun = False) -> None:
    """Everywhere, at once."""
    with asking.wiring.changing(dry_run=dry_run) as session:
        sessions.end_of_account(session, name, actor=asking.actor)


@router.delete(
    "/{name}/sessions/{number}",
    summary="End one of an account's sessions",
    status_code=204,
    responses=refusals(403, 404, 422),
)
def end_session(asking: Asking, name: Name, number: Number, dry_run: DryRun = False) -> None:
    """Whoever sits there has to log in again."""
    with asking.wiring.changing(dry_run=dry_run) as session:
        sessions.end_of_account(session, name, number, actor=asking.actor)
