"""What a domain's mail is signed with (DKIM), and the records that have to stand in DNS for it."""

from fastapi import APIRouter, Response

from appliance.services import dkim
from web.api.dependencies import Asking, DryRun, Ordering, refusals, told
from web.api.schemas.dkim import DkimKey, DkimKeys

router = APIRouter(prefix="/domains/{name}/dkim")


def told_of(keys: list[dkim.DkimKey]) -> DkimKeys:
    """Rows as an answer."""
    return DkimKeys(
        items=[
            DkimKey(
                selector=key.selector, algorithm=key.algorithm, state=key.state, record_name=dkim.record_name(key),
                record=dkim.record(key), created_at=key.created_at, changed_at=key.changed_at,
            )
            for key in keys
        ]
    )  # fmt: skip


@router.get("", summary="Show a domain's DKIM keys", responses=refusals(404, 422))
def show(asking: Asking, name: str, response: Response) -> DkimKeys:
    """With the TXT records to publish: those of `next` before they sign, those of `retired` for a fortnight after.

    They have one ETag together: making the next ones and finishing heeds it.
    """
    with asking.wiring.reading() as session:
        return told(response, told_of(dkim.keys_of(session, name, actor=asking.actor)))


@router.post("/rotate", summary="Make the next DKIM keys", responses=refusals(403, 404, 409, 412, 422))
def rotate(asking: Ordering, name: str, response: Response, dry_run: DryRun = False) -> DkimKeys:
    """They sign after `finish`, when their records are published; a domain's first ones sign at once."""
    new = asking.wiring.seals.new_signing_keys()  # Before the transaction: it takes its time.
    with asking.posting(response, dry_run=dry_run) as posting:
        asking.expect(lambda: told_of(dkim.keys_of(posting.session, name, actor=asking.actor)))
        return posting.answer(told_of(dkim.rotate(posting.session, name, new, actor=asking.actor)))


@router.post("/finish", summary="Sign with the next DKIM keys", responses=refusals(403, 404, 409, 412, 422))
def finish(asking: Ordering, name: str, response: Response, dry_run: DryRun = False) -> DkimKeys:
    """From now on; the private halves of those before are gone."""
    with asking.posting(response, dry_run=dry_run) as posting:
        asking.expect(lambda: told_of(dkim.keys_of(posting.session, name, actor=asking.actor)))
        return posting.answer(told_of(dkim.finish(posting.session, name, actor=asking.actor)))
