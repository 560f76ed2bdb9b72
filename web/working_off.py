"""A list of operations, worked off in the transaction of somebody else: what batches and jobs have in common.

A reader would otherwise get wrong: mailboxes that are made one behind the other do not pass through their endpoint. They are made
together, by the same rules and with the same answers, ten times as fast; everything else is asked of the endpoints themselves.
"""

import asyncio
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import ValidationError
from starlette.types import ASGIApp

from appliance.database.session import part_of_work
from appliance.errors import Refused
from appliance.services import many_mailboxes
from appliance.services.many_mailboxes import NewMailbox as Wanted
from web import errors
from web.api.mailboxes import sealed_of
from web.api.schemas.mailboxes import Mailbox, NewMailbox
from web.together import Endpoints, Inside, Operation, Result

PIECE = 500  # mailboxes that are made together
# What an operation costs, in half milliseconds: a mailbox with a hash, one whose password is to be hashed, any other thing.
_MAILBOX, _PASSWORD, _OTHER = 1, 40, 8
_NOT_HERE = re.compile(r"/(batch|apply|import|jobs|docs|openapi[.]json|audit/export|domains/[^/]+/recipients)(/|\Z)")


MAX_COST = 5000  # what is done while the caller waits: two and a half seconds at most


def cost_of(operations: Sequence[Operation]) -> int:
    """How long it will take, in half milliseconds."""
    return sum(_cost_of(operation) for operation in operations)


def _cost_of(operation: Operation) -> int:
    body = operation.body if isinstance(operation.body, dict) else {}
    if body.get("password") is not None:
        return _PASSWORD
    return _MAILBOX if is_new_mailbox(operation) else _OTHER


def work_off(
    app: ASGIApp, within: Inside, operations: Sequence[Operation], *, until_refused: bool = False
) -> list[Result]:
    """What became of each of *operations*; *until_refused*: of none behind the first that was refused.

    Raises:
        DatabaseUnavailable: nothing of it stands.
    """
    return asyncio.run(_work_off(Endpoints(app, within), within, operations, until_refused=until_refused))


def is_refused(result: Result) -> bool:
    """Was it anything but done?"""
    return result.status >= 400


async def _work_off(
    endpoints: Endpoints, within: Inside, operations: Sequence[Operation], *, until_refused: bool
) -> list[Result]:
    results: list[Result] = []
    for are_mailboxes, run in itertools.groupby(operations, is_new_mailbox):
        for piece in _pieces(run, PIECE if are_mailboxes else 1):
            results += _make_mailboxes(within, piece) if are_mailboxes else [await _one(endpoints, piece[0])]
            if until_refused and any(is_refused(result) for result in results[-len(piece) :]):
                return results
    return results


def _pieces(run: Iterator[Operation], size: int) -> Iterator[list[Operation]]:
    while piece := list(itertools.islice(run, size)):
        yield piece


async def _one(endpoints: Endpoints, operation: Operation) -> Result:
    if _NOT_HERE.match(operation.place):
        refusal = Refused(f"{operation.place[:80]} is not for batches", code="not_in_a_batch", field="path")
        return _refused(errors.problem_of(refusal))
    return await endpoints.call(operation)


def is_new_mailbox(operation: Operation) -> bool:
    """Is it one of those that are made together?"""
    return operation.method == "POST" and operation.path in ("/mailboxes", "/api/v1/mailboxes")


def _make_mailboxes(within: Inside, piece: Sequence[Operation]) -> list[Result]:
    """Those of *piece* together. A refusal of the database takes all of the batch with it."""
    read = [_read(within, operation) for operation in piece]
    wanted = [one for one in read if isinstance(one, Wanted)]
    session = within.wiring.session
    with part_of_work(session):
        made = iter(many_mailboxes.create_each(session, wanted, actor=within.actor))
        return [_told(next(made)) if isinstance(one, Wanted) else one for one in read]


def _read(within: Inside, operation: Operation) -> Wanted | Result:
    try:
        body = NewMailbox.model_validate({} if operation.body is None else operation.body)
        sealed = operation.sealed or sealed_of(within.wiring.sealer, body, body.address)
    except ValidationError as error:
        return _refused(errors.misshapen(error.errors()))
    except Refused as refusal:
        return _refused(errors.problem_of(refusal))
    default = within.wiring.settings.limits.default_quota
    return Wanted(body.address, sealed, body.quota_bytes, body.display_name, default, body.discard)


def _told(outcome: many_mailboxes.Outcome) -> Result:
    if isinstance(outcome, Refused):
        return _refused(errors.problem_of(outcome))
    return Result(201, Mailbox.model_validate(outcome).model_dump(mode="json"))


def _refused(problem: dict[str, Any]) -> Result:
    return Result(problem["status"], problem)
