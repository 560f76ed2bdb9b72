"""Several operations in one request.

A reader would otherwise get wrong: all of them share one transaction, so they cost one wait for the disk. What one of them
refuses is taken back alone, unless the batch is atomic; then nothing of it stands.
"""

from collections.abc import Sequence

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from web import together, working_off
from web.api import background
from web.api.background import Prefer
from web.api.dependencies import DryRun, Making, refusals
from web.api.schemas.batch import BatchDone, NewBatch, Result
from web.errors import PROBLEM_MEDIA_TYPE, body_of
from web.together import Inside, SharedWiring

router = APIRouter(prefix="/batch")


class _TakenBack(Exception):
    """An atomic batch in which one was refused: leaves the transaction without a trace."""


@router.post(
    "", summary="Do several things", response_model=BatchDone,
    responses={**refusals(409, 422), **background.ACCEPTED},
)  # fmt: skip
def batch(
    asking: Making, body: NewBatch, request: Request, response: Response, prefer: Prefer = None, dry_run: DryRun = False
) -> BatchDone | Response:
    """Each has its own result, in the order asked for. Mailboxes that are made one behind the other go fastest.

    An atomic batch in which one is refused gets 409, with the results as a member of the problem.
    """
    operations = [together.Operation(one.method, one.path, one.body, one.if_match) for one in body.operations]
    results: Sequence[together.Result] = ()
    try:
        with asking.posting(response, body, dry_run=dry_run) as posting:
            if not dry_run and background.is_for_later(prefer, operations):
                return background.ask(asking, posting, "batch", operations, atomic=body.atomic)
            within = Inside(asking.actor, SharedWiring.over(asking.wiring, posting.session))
            results = working_off.work_off(request.app, within, operations, until_refused=body.atomic)
            if body.atomic and any(map(working_off.is_refused, results)):
                raise _TakenBack
            return posting.answer(_done(results, committed=not dry_run))
    except _TakenBack:
        return _taken_back(results, len(operations))


def _done(results: Sequence[together.Result], *, committed: bool) -> BatchDone:
    return BatchDone(committed=committed, results=[Result(status=one.status, body=one.body) for one in results])


def _taken_back(results: Sequence[together.Result], count: int) -> Response:
    """The refusals, and for all others that they were not carried out because of those."""
    problem = body_of(409, "batch_refused", "one of these operations was refused, and so none of them was carried out")
    other = together.Result(424, body_of(424, "batch_refused", "another operation of this atomic batch was refused"))
    told = [one if working_off.is_refused(one) else other for one in results]
    done = _done([*told, *[other] * (count - len(told))], committed=False)
    return JSONResponse({**problem, **done.model_dump(mode="json")}, 409, media_type=PROBLEM_MEDIA_TYPE)
