"""What a mailbox sends: app passwords, other addresses it may write as, limits, and the hijack brake.

A reader would otherwise get wrong: these routes stand before those of mailboxes, whose addresses take the rest of the path.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from appliance.database.session import Session
from appliance.services import addresses, senders, sending
from web.api.dependencies import Asking, Caller, Changing, DryRun, Ordering, TenantNumber, given, refusals, told
from web.api.schemas import Page
from web.api.schemas.sending import (
    AppPassword,
    MadeAppPassword,
    NewAppPassword,
    Sender,
    Sending,
    SendingChange,
)

router = APIRouter()

Address = Annotated[str, Path(description="the whole address", examples=["anna@example.com"])]
_OF_MAILBOX = "/mailboxes/{address:path}"


@router.get(_OF_MAILBOX + "/app-passwords", summary="List app passwords", responses=refusals(404, 422))
def list_app_passwords(asking: Asking, address: Address, response: Response) -> Page[AppPassword]:
    """Never the secrets. They have one ETag together: making and revoking one heeds it."""
    with asking.wiring.reading() as session:
        return told(response, _app_passwords(asking, session, address))


def _app_passwords(asking: Caller, session: Session, address: str) -> Page[AppPassword]:
    rows = senders.app_passwords(session, address, actor=asking.actor)
    return Page(items=[AppPassword.model_validate(row) for row in rows], next=None)


@router.post(
    _OF_MAILBOX + "/app-passwords",
    summary="Make an app password",
    status_code=201,
    responses=refusals(403, 404, 409, 412, 422),
)
def make_app_password(
    asking: Ordering, address: Address, body: NewAppPassword, response: Response, dry_run: DryRun = False
) -> MadeAppPassword:
    """A further password for one program that sends mail. It is in this answer and never again."""
    with asking.posting(response, body, dry_run=dry_run) as posting:
        asking.expect(lambda: _app_passwords(asking, posting.session, address))
        row, secret = senders.add_app_password(
            posting.session, address, body.name, actor=asking.actor, sealer=asking.wiring.sealer
        )
        made = MadeAppPassword(name=row.name, created_at=row.created_at, secret=secret)
        return posting.answer(made, location=f"/mailboxes/{address}/app-passwords")


@router.delete(
    _OF_MAILBOX + "/app-passwords/{name}",
    summary="Revoke an app password",
    status_code=204,
    responses=refusals(403, 404, 412, 422),
)
def remove_app_password(asking: Changing, address: Address, name: str, dry_run: DryRun = False) -> None:
    """The next log-in by it is refused."""
    with asking.wiring.changing(dry_run=dry_run) as session:
        asking.expect(lambda: _app_passwords(asking, session, address))
        senders.remove_app_password(session, address, name, actor=asking.actor)


@router.get(_OF_MAILBOX + "/senders", summary="List senders", responses=refusals(404, 422))
def list_senders(asking: Asking, address: Address, response: Response) -> Page[Sender]:
    """Addresses that it may write as besides its own and its aliases. They have one ETag together: giving and taking heeds it."""
    with asking.wiring.reading() as session:
        return told(response, _senders(asking, session, address))


def _senders(asking: Caller, session: Session, address: str) -> Page[Sender]:
    keys = senders.given(session, address, actor=asking.actor)
    return Page(items=[Sender(sender=key) for key in keys], next=None)


@router.put(_OF_MAILBOX + "/senders/{sender}", summary="Give a sender", responses=refusals(403, 404, 409, 412, 422))
def give_sender(asking: Changing, address: Address, sender: str, dry_run: DryRun = False) -> Sender:
    """Let the mailbox write as an address of a domain that is yours. Again: nothing changes."""
    with asking.wiring.changing(dry_run=dry_run) as session:
        asking.expect(lambda: _senders(asking, session, address))
        return Sender(sender=senders.give(session, address, sender, actor=asking.actor))


@router.delete(
    _OF_MAILBOX + "/senders/{sender}", summary="Take a sender", status_code=204, responses=refusals(403, 404, 412, 422)
)
def take_sender(asking: Changing, address: Address, sender: str, dry_run: DryRun = False) -> None:
    """Let it do so no more."""
    with asking.wiring.changing(dry_run=dry_run) as session:
        asking.expect(lambda: _senders(asking, session, address))
        senders.take(session, address, sender, actor=asking.actor)


@router.post(
    _OF_MAILBOX + "/sending/release", summary="Release a braked mailbox", responses=refusals(403, 404, 409, 412, 422)
)
def release(asking: Ordering, address: Address, response: Response, dry_run: DryRun = False) -> Sending:
    """It may send again. What it queued meanwhile waits until it is released from the queue or removed."""
    with asking.posting(response, dry_run=dry_run) as posting:
        asking.expect(lambda: Sending.model_validate(sending.show(posting.session, address, actor=asking.actor)))
        standing = sending.release(posting.session, address, actor=asking.actor)
        return posting.answer(Sending.model_validate(standing))


@router.get(_OF_MAILBOX + "/sending", summary="Show what a mailbox may send", responses=refusals(404, 422))
def show_mailbox(asking: Asking, address: Address, response: Response) -> Sending:
    """Its own word; what its domain and tenants say holds beside it."""
    return _show(asking, address, response)


@router.patch(_OF_MAILBOX + "/sending", summary="Limit a mailbox", responses=refusals(403, 404, 409, 412, 422))
def change_mailbox(
    asking: Changing, address: Address, body: SendingChange, response: Response, dry_run: DryRun = False
) -> Sending:
    """In force within a second."""
    return _change(asking, address, body, response, dry_run=dry_run)


@router.get("/domains/{name}/sending", summary="Show what a domain may send", responses=refusals(404, 422))
def show_domain(asking: Asking, name: str, response: Response) -> Sending:
    """All its mailboxes together."""
    return _show(asking, addresses.parse_domain(name), response)


@router.patch("/domains/{name}/sending", summary="Limit a domain", responses=refusals(403, 404, 409, 412, 422))
def change_domain(
    asking: Changing, name: str, body: SendingChange, response: Response, dry_run: DryRun = False
) -> Sending:
    """All its mailboxes together; and whether they may write as any address of it."""
    return _change(asking, addresses.parse_domain(name), body, response, dry_run=dry_run)


@router.get("/tenants/{tenant_id}/sending", summary="Show what a tenant may send", responses=refusals(404, 422))
def show_tenant(asking: Asking, tenant_id: TenantNumber, response: Response) -> Sending:
    """All that is below it together."""
    return _show(asking, str(tenant_id), response)


@router.patch("/tenants/{tenant_id}/sending", summary="Limit a tenant", responses=refusals(403, 404, 409, 412, 422))
def change_tenant(
    asking: Changing, tenant_id: TenantNumber, body: SendingChange, response: Response, dry_run: DryRun = False
) -> Sending:
    """All that is below it together."""
    return _change(asking, str(tenant_id), body, response, dry_run=dry_run)


def _show(asking: Caller, subject: str, response: Response) -> Sending:
    with asking.wiring.reading() as session:
        return told(response, Sending.model_validate(sending.show(session, subject, actor=asking.actor)))


def _change(asking: Caller, subject: str, body: SendingChange, response: Response, *, dry_run: bool) -> Sending:
    with asking.wiring.changing(dry_run=dry_run) as session:
        asking.expect(lambda: Sending.model_validate(sending.show(session, subject, actor=asking.actor)))
        standing = sending.change(session, subject, actor=asking.actor, **given(body))
        return told(response, Sending.model_validate(standing))
