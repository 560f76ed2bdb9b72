"""A document of domains, mailboxes and aliases that is made true.

A reader would otherwise get wrong: it is all or nothing, and a second time it does nothing. The tag of a plan that a dry run
showed, given back as If-Match, makes sure that exactly this plan is carried out.
"""

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from web import declared, working_off
from web.api import background
from web.api.background import Prefer
from web.api.dependencies import SECRETS, DryRun, Ordering, refusals, told, without
from web.api.schemas.apply import Applied, Document, Step
from web.errors import PROBLEM_MEDIA_TYPE, body_of
from web.together import Inside, Operation, Result, SharedWiring

router = APIRouter(prefix="/apply")


class _Refused(Exception):
    """One of the operations was: leaves the transaction without a trace."""

    def __init__(self, number: int, result: Result) -> None:
        super().__init__(number)
        self.number, self.result = number, result


@router.put(
    "", summary="Make a document true", response_model=Applied,
    responses={**refusals(403, 404, 409, 412, 422), **background.ACCEPTED},
)  # fmt: skip
def apply(
    asking: Ordering,
    body: Document,
    request: Request,
    response: Response,
    prefer: Prefer = None,
    dry_run: DryRun = False,
) -> Applied | Response:
    """With a dry run first, the answer is the plan, and its ETag as If-Match has exactly this plan carried out."""
    operations: list[Operation] = []
    try:
        with asking.posting(response, body, dry_run=dry_run) as posting:
            operations = declared.plan_of(posting.session, body, asking.actor)
            asking.expect(lambda: _shown(operations, applied=True))
            if not dry_run and background.is_for_later(prefer, operations):
                return background.ask(asking, posting, "apply", operations, atomic=True)
            within = Inside(asking.actor, SharedWiring.over(asking.wiring, posting.session))
            _carry_out(request, within, operations)
            shown = _shown(operations, applied=not dry_run)
            if dry_run:
                return told(response, shown, tag_of=_shown(operations, applied=True))
            return posting.answer(shown)
    except _Refused as refused:
        return _why_not(refused, operations)


def _carry_out(request: Request, within: Inside, operations: list[Operation]) -> None:
    results = working_off.work_off(request.app, within, operations, until_refused=True)
    for number, result in enumerate(results):
        if working_off.is_refused(result):
            raise _Refused(number, result)


def _shown(operations: list[Operation], *, applied: bool) -> Applied:
    plan = [
        Step.model_validate({"method": one.method, "path": one.path, "body": without(SECRETS, one.body)})
        for one in operations
    ]
    return Applied(applied=applied, plan=plan)


def _why_not(refused: _Refused, operations: list[Operation]) -> Response:
    """The problem of the operation that was refused, with that operation beside it."""
    plan = _shown(operations, applied=False)
    problem = body_of(409, "apply_refused", f"not carried out: {refused.result.body['detail']}")
    problem |= {"step": plan.plan[refused.number].model_dump(mode="json"), "refusal": refused.result.body}
    return JSONResponse(problem, 409, media_type=PROBLEM_MEDIA_TYPE)
