"""Mailboxes, their passwords and their forwarding.

A reader would otherwise get wrong: an address may hold a slash, so these routes take the rest of the path. They cannot be
mistaken for one another all the same, since an address ends in a domain, and no domain has a slash in it. The longer routes
are declared first all the same, because the shorter pattern would take them in.
"""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Response

from appliance.errors import Invalid
from appliance.services import autoreplies, forwardings, mailboxes
from appliance.services.passwords import Sealer
from web.api.dependencies import (
    Asking,
    Changing,
    Cursor,
    DryRun,
    Limit,
    Making,
    Ordering,
    Search,
    given,
    refusals,
    seconds,
    told,
)
from web.api.schemas import Page, Standstill, stopping
from web.api.schemas.mailboxes import (
    AskedAgain,
    Autoreply,
    Forwarding,
    Mailbox,
    MailboxChange,
    NewAutoreply,
    NewForwarding,
    NewMailbox,
    NewPassword,
)
from web.api.schemas.removals import Removed

router = APIRouter(prefix="/mailboxes")

Address = Annotated[str, Path(description="the whole address", examples=["anna@example.com"])]


@router.get("", summary="List mailboxes", responses=refusals(404, 422))
def list_mailboxes(
    asking: Asking, limit: Limit = 50, cursor: Cursor = None, search: Search = "", domain: str | None = None
) -> Page[Mailbox]:
    """A domain after another; of one domain, or with *search* in the local-part."""
    with asking.wiring.reading() as session:
        page = mailboxes.list_mailboxes(
            session, actor=asking.actor, domain=domain, search=search, limit=limit, cursor=cursor
        )
        return Page(items=[Mailbox.model_validate(row) for row in page.items], next=page.next)


@router.post("", summary="Add a mailbox", status_code=201, responses=refusals(403, 404, 409, 422))
def create(asking: Making, body: NewMailbox, response: Response, dry_run: DryRun = False) -> Mailbox:
    """It receives mail within a second of the answer. With neither password nor hash nobody can log in yet."""
    sealed = sealed_of(asking.wiring.sealer, body, body.address)
    with asking.posting(response, body, dry_run=dry_run) as posting:
        row = mailboxes.create(
            posting.session,
            body.address,
            actor=asking.actor,
            sealed_hash=sealed,
            quota_bytes=body.quota_bytes,
            default_quota=asking.wiring.settings.limits.default_quota,
            display_name=body.display_name,
            discard=body.discard,
        )
        mailbox = Mailbox.model_validate(row)
        return posting.answer(mailbox, location=f"/mailboxes/{quote(mailbox.address, safe='@')}")


def sealed_of(sealer: Sealer, body: NewMailbox | NewPassword, address: str) -> str | None:
    """The sealed form of the password or hash in *body* for the mailbox *address*; None when it has neither.

    Raises:
        Invalid: it has both, or one that will not do.
    """
    if body.password is not None and body.password_hash is not None:
        raise Invalid("a password or its hash, not both", code="two_passwords", field="password_hash")
    if body.password is not None:
        return sealer.seal_password(body.password, address)
    return sealer.seal_hash(body.password_hash) if body.password_hash is not None else None


@router.get("/{address:path}/forwarding", summary="Show the forwarding", responses=refusals(404, 422))
def show_forwarding(asking: Asking, address: Address, response: Response) -> Forwarding:
    """404 when there is none."""
    with asking.wiring.reading() as session:
        return told(response, Forwarding.model_validate(forwardings.get(session, address, actor=asking.actor)))


@router.put("/{address:path}/forwarding", summary="Set the forwarding", responses=refusals(403, 404, 409, 412, 422))
def set_forwarding(
    asking: Changing, address: Address, body: NewForwarding, response: Response, dry_run: DryRun = False
) -> Forwarding:
    """Targets must not lead back here; with conditions, what does not meet them stays in the mailbox."""
    with asking.wiring.changing(dry_run=dry_run) as session:
        asking.expect(lambda: Forwarding.model_validate(forwardings.get(session, address, actor=asking.actor)))
        row = forwardings.put(
            session, address, body.targets, actor=asking.actor, keep_copy=body.keep_copy, enabled=body.enabled,
            only=body.conditions.model_dump() if body.conditions is not None else None,
        )  # fmt: skip
        return told(response, Forwarding.model_validate(row))


@router.post("/{address:path}/forwarding/ask", summary="Ask a target once more", responses=refusals(403, 404, 409, 422))
def ask_again(
    asking: Making, address: Address, body: AskedAgain, response: Response, dry_run: DryRun = False
) -> Forwarding:
    """Its owner, at another host, gets the mail with the link once more; at most once a day."""
    with asking.posting(response, body, dry_run=dry_run) as posting:
        forwardings.ask_again(posting.session, address, body.target, actor=asking.actor)
        return posting.answer(Forwarding.model_validate(forwardings.get(posting.session, address, actor=asking.actor)))


@router.delete(
    "/{address:path}/forwarding", summary="Forward no more", status_code=204, responses=refusals(403, 404, 412, 422)
)
def clear_forwarding(asking: Changing, address: Address, dry_run: DryRun = False) -> None:
    """The mailbox keeps its mail again. Without a forwarding nothing happens."""
    with asking.wiring.changing(dry_run=dry_run) as session:
        asking.expect(lambda: Forwarding.model_validate(forwardings.get(session, address, actor=asking.actor)))
        forwardings.clear(session, address, actor=asking.actor)


@router.get("/{address:path}/autoreply", summary="Show the autoreply", responses=refusals(404, 422))
def show_autoreply(asking: Asking, address: Address, response: Response) -> Autoreply:
    """404 when there is none."""
    with asking.wiring.reading() as session:
        return told(response, Autoreply.model_validate(autoreplies.get(session, address, actor=asking.actor)))


@router.put("/{address:path}/autoreply", summary="Set the autoreply", responses=refusals(403, 404, 412, 422))
def set_autoreply(
    asking: Changing, address: Address, body: NewAutoreply, response: Response, dry_run: DryRun = False
) -> Autoreply:
    """In force within a second, and from when it says until when it says."""
    with asking.wiring.changing(dry_run=dry_run) as session:
        asking.expect(lambda: Autoreply.model_validate(autoreplies.get(session, address, actor=asking.actor)))
        row = autoreplies.put(session, address, actor=asking.actor, **seconds(body.model_dump()))
        return told(response, Autoreply.model_validate(row))


@router.delete(
    "/{address:path}/autoreply", summary="Answer no more", status_code=204, responses=refusals(403, 404, 412, 422)
)
def clear_autoreply(asking: Changing, address: Address, dry_run: DryRun = False) -> None:
    """Without an autoreply nothing happens."""
    with asking.wiring.changing(dry_run=dry_run) as session:
        asking.expect(lambda: Autoreply.model_validate(autoreplies.get(session, address, actor=asking.actor)))
        autoreplies.clear(session, address, actor=asking.actor)


@router.post("/{address:path}/password", include_in_schema=False, status_code=204)
@router.put(
    "/{address:path}/password", summary="Set the password", status_code=204, responses=refusals(403, 404, 412, 422)
)
def set_password(asking: Changing, address: Address, body: NewPassword, dry_run: DryRun = False) -> None:
    """Whoever was logged in with the former one is out. With null for both, nobody can log in any more."""
    if not body.model_fields_set:
        raise Invalid("name a password or its hash", code="no_password", field="password")
    sealed = sealed_of(asking.wiring.sealer, body, address)
    with asking.wiring.changing(dry_run=dry_run) as session:
        asking.expect(lambda: mailboxes.get(session, address, actor=asking.actor))
        mailboxes.set_password(session, address, sealed, actor=asking.actor)


@router.post("/{address:path}/suspend", summary="Suspend a mailbox", responses=refusals(403, 404, 409, 412, 422))
def suspend(
    asking: Ordering, address: Address, response: Response, body: Standstill | None = None, dry_run: DryRun = False
) -> Mailbox:
    """Refuse mail and log-ins until it is resumed; what is stored stays."""
    with asking.posting(response, body, dry_run=dry_run) as posting:
        asking.expect(lambda: mailboxes.get(posting.session, address, actor=asking.actor))
        return posting.answer(
            Mailbox.model_validate(mailboxes.suspend(posting.session, address, actor=asking.actor, **stopping(body)))
        )


@router.post("/{address:path}/resume", summary="Resume a mailbox", responses=refusals(403, 404, 409, 412, 422))
def resume(
    asking: Ordering, address: Address, response: Response, body: Standstill | None = None, dry_run: DryRun = False
) -> Mailbox:
    """Accept mail and log-ins again."""
    with asking.posting(response, body, dry_run=dry_run) as posting:
        asking.expect(lambda: mailboxes.get(posting.session, address, actor=asking.actor))
        return posting.answer(
            Mailbox.model_validate(mailboxes.resume(posting.session, address, actor=asking.actor, **stopping(body)))
        )


@router.get("/{address:path}", summary="Show a mailbox", responses=refusals(404, 422))
def show(asking: Asking, address: Address, response: Response) -> Mailbox:
    """The mailbox of exactly this address."""
    with asking.wiring.reading() as session:
        return told(response, Mailbox.model_validate(mailboxes.get(session, address, actor=asking.actor)))


@router.patch("/{address:path}", summary="Change a mailbox", responses=refusals(403, 404, 412, 422))
def change(
    asking: Changing, address: Address, body: MailboxChange, response: Response, dry_run: DryRun = False
) -> Mailbox:
    """What is left out stays as it is."""
    with asking.wiring.changing(dry_run=dry_run) as session:
        asking.expect(lambda: mailboxes.get(session, address, actor=asking.actor))
        return told(
            response, Mailbox.model_validate(mailboxes.update(session, address, actor=asking.actor, **given(body)))
        )


@router.delete("/{address:path}", summary="Remove a mailbox", responses=refusals(403, 404, 409, 412, 422))
def remove(asking: Changing, address: Address, dry_run: DryRun = False) -> Removed:
    """Refused within a second of the answer. Until the moment that is told, undoing the removal brings it back with its mail."""
    with asking.wiring.changing(dry_run=dry_run) as session:
        asking.expect(lambda: mailboxes.get(session, address, actor=asking.actor))
        days = asking.wiring.settings.limits.trash_days
        return Removed.model_validate(mailboxes.remove(session, address, actor=asking.actor, days=days))
