"""Webhooks: events told to one's own web server."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from appliance.services import webhooks
from web import LARGEST
from web.api.dependencies import (
    Asking,
    Changing,
    Cursor,
    DryRun,
    Limit,
    Making,
    Ordering,
    TenantId,
    given,
    refusals,
    told,
)
from web.api.schemas import Page
from web.api.schemas.webhooks import Delivery, MadeWebhook, NewWebhook, Rotation, Webhook, WebhookChange

router = APIRouter(prefix="/webhooks")
Number = Annotated[int, Path(ge=0, le=LARGEST)]


def _made(made: webhooks.NewSecret) -> MadeWebhook:
    return MadeWebhook(**Webhook.model_validate(made.webhook).model_dump(), secret=made.secret)


@router.get("", summary="List webhooks", responses=refusals(404, 422))
def list_webhooks(
    asking: Asking, limit: Limit = 50, cursor: Cursor = None, tenant_id: TenantId = None
) -> Page[Webhook]:  # fmt: skip
    """The oldest first."""
    with asking.wiring.reading() as session:
        page = webhooks.list_webhooks(session, actor=asking.actor, tenant_id=tenant_id, limit=limit, cursor=cursor)
        return Page(items=[Webhook.model_validate(row) for row in page.items], next=page.next)


@router.post("", summary="Make a webhook", status_code=201, responses=refusals(403, 404, 409, 422))
def create(asking: Making, body: NewWebhook, response: Response, dry_run: DryRun = False) -> MadeWebhook:
    """Each event is sent as JSON, `{"type", "timestamp", "data"}`, with data as in `/events`, until an answer of 2xx comes.

    One after another, each at least once; after three days in vain the webhook is disabled. It is signed as Standard Webhooks
    says: compare `webhook-signature`, and take a `webhook-id` that you know for a repetition. The secret is shown this once.
    """
    with asking.posting(response, body, dry_run=dry_run) as posting:
        wiring = asking.wiring
        made = webhooks.create(
            posting.session,
            actor=asking.actor,
            seals=wiring.seals,
            own=webhooks.own_hosts(wiring.settings),
            **body.model_dump(),
        )
        return posting.answer(_made(made), location=f"/webhooks/{made.webhook.public_id}")


@router.get("/{public_id}", summary="Show a webhook", responses=refusals(404))
def show(asking: Asking, public_id: str, response: Response) -> Webhook:
    """Without its secret."""
    with asking.wiring.reading() as session:
        return told(response, Webhook.model_validate(webhooks.get(session, public_id, actor=asking.actor)))


@router.patch("/{public_id}", summary="Change a webhook", responses=refusals(403, 404, 412, 422))
def change(
    asking: Changing, public_id: str, body: WebhookChange, response: Response, dry_run: DryRun = False
) -> Webhook:  # fmt: skip
    """Whatever it was told in vain is tried again at once."""
    with asking.wiring.changing(dry_run=dry_run) as session:
        asking.expect(lambda: webhooks.get(session, public_id, actor=asking.actor))
        own = webhooks.own_hosts(asking.wiring.settings)
        changed = webhooks.update(session, public_id, actor=asking.actor, own=own, **given(body))
        return told(response, Webhook.model_validate(changed))


@router.delete("/{public_id}", summary="Remove a webhook", status_code=204, responses=refusals(403, 404, 412))
def remove(asking: Changing, public_id: str, dry_run: DryRun = False) -> None:
    """With the log of what it was told."""
    with asking.wiring.changing(dry_run=dry_run) as session:
        asking.expect(lambda: webhooks.get(session, public_id, actor=asking.actor))
        webhooks.remove(session, public_id, actor=asking.actor)


@router.post("/{public_id}/rotate", summary="Replace a webhook's secret", responses=refusals(403, 404, 409, 412, 422))
def rotate(
    asking: Ordering, public_id: str, response: Response, body: Rotation | None = None, dry_run: DryRun = False
) -> MadeWebhook:  # fmt: skip
    """For a while both secrets sign, so that nothing is refused while the new one is put in its place."""
    with asking.posting(response, body, dry_run=dry_run) as posting:
        asking.expect(lambda: webhooks.get(posting.session, public_id, actor=asking.actor))
        hours = (body or Rotation()).overlap_hours
        made = webhooks.rotate(
            posting.session, public_id, actor=asking.actor, seals=asking.wiring.seals, overlap_hours=hours
        )
        return posting.answer(_made(made))


@router.post("/{public_id}/test", summary="Test a webhook", status_code=202, responses=refusals(403, 404, 409))
def try_out(asking: Making, public_id: str, response: Response, dry_run: DryRun = False) -> Delivery:
    """It is told `webhook.test` within a second, also while it is disabled: ask for the delivery, to see what came of it."""
    with asking.posting(response, dry_run=dry_run) as posting:
        row = webhooks.send_test(posting.session, public_id, actor=asking.actor)
        return posting.answer(
            Delivery.model_validate(row), location=f"/webhooks/{public_id}/deliveries/{row.id}", status=202
        )


@router.get("/{public_id}/deliveries", summary="List what a webhook was told", responses=refusals(404, 422))
def deliveries(asking: Asking, public_id: str, limit: Limit = 50, cursor: Cursor = None) -> Page[Delivery]:
    """The newest first; two hundred are kept."""
    with asking.wiring.reading() as session:
        page = webhooks.deliveries(session, public_id, actor=asking.actor, limit=limit, cursor=cursor)
        return Page(items=[Delivery.model_validate(row) for row in page.items], next=page.next)


@router.get("/{public_id}/deliveries/{number}", summary="Show a delivery", responses=refusals(404, 422))
def delivery(asking: Asking, public_id: str, number: Number) -> Delivery:
    """What came of it."""
    with asking.wiring.reading() as session:
        return Delivery.model_validate(webhooks.delivery(session, public_id, number, actor=asking.actor))


@router.post(
    "/{public_id}/deliveries/{number}/repeat", summary="Repeat a delivery", status_code=202,
    responses=refusals(403, 404, 409, 422),
)  # fmt: skip
def repeat(asking: Making, public_id: str, number: Number, response: Response, dry_run: DryRun = False) -> Delivery:
    """The same event is told once more, out of turn, with the `webhook-id` that it had."""
    with asking.posting(response, dry_run=dry_run) as posting:
        row = webhooks.repeat(posting.session, public_id, number, actor=asking.actor)
        return posting.answer(
            Delivery.model_validate(row), location=f"/webhooks/{public_id}/deliveries/{row.id}", status=202
        )
