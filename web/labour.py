"""A piece of a job: what would become of it, and doing it. `web.worker` does it behind the scenes, pages what is quick at once.

A reader would otherwise get wrong: to look at a piece is to do it and take it back. So nobody judges a sheet or a bulk change by
rules of his own; but a line that needs what an earlier piece would have made finds it missing, and that is no fault of it.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from starlette.types import ASGIApp

from appliance.database.session import Session, part_of_work
from appliance.errors import Refused
from appliance.services import acceptance, addresses, bulk, changes, holdings, jobs, new_passwords
from appliance.services.acceptance import Effect
from appliance.services.actor import Actor
from appliance.services.jobs import Job
from web import errors, working_off
from web.api.dependencies import SHOWN_ONCE, without
from web.together import Inside, Operation, Result, SharedWiring
from web.wiring import Wiring

Stored = dict[str, Any]
BULK, UNDO, IMPORT = jobs.BULK, jobs.UNDO, "import"
EXPORT = "export"
BRIEF = (IMPORT, BULK, UNDO, EXPORT)  # of the panel: of what was done no more is kept than is needed to undo it
MAX_DOMAINS, MAX_ROWS = 50, 2000  # that are written down together
MAX_NAMED = 20  # addresses that start or stop being accepted, on a page
MAX_EXAMINED = (
    100  # addresses, of which is found out whether they start or stop being accepted; each takes milliseconds
)
_CHANGE_COST = 8  # as `working_off.cost_of`
_PASSWORD_COST = 60
MAX_FORMER = 50  # plans or tenants that a preview names


class TakenBack(Exception):
    """An atomic job in which one operation was refused."""

    def __init__(self, results: list[Result]) -> None:
        super().__init__(len(results))
        self.results = results


def cost_of(job: Job, stored: Stored) -> int:
    """How long one operation of *job* will take, in half milliseconds."""
    if job.kind in (BULK, UNDO):
        return _PASSWORD_COST if deed_of(job).get("verb") == "password" and job.state != jobs.LOOKING else _CHANGE_COST
    return 1 if "fault" in stored else working_off.cost_of([_operation(stored)])


def deed_of(job: Job) -> Stored:
    """What a change of many does, as `bulk.Deed.said`; empty: it is something else."""
    deed: Stored = (job.about or {}).get("deed") or {}
    return deed


def export(wiring: Wiring, number: int) -> None:
    """Write down the next domains of job *number*, which gives out all that its asker has.

    Read before anything is written: a domain of a hundred thousand takes seconds, in which nobody else may have to wait.

    Raises:
        ApplianceError: as `advance`.
    """
    told: list[tuple[int, Stored]] = []
    with wiring.reading() as session:
        job = session.get_one(Job, number)
        actor, position, size = jobs.actor_of(session, job), job.done, 0
        for one in jobs.part_from(session, job, position)[:MAX_DOMAINS]:
            try:
                document = holdings.of_domain(session, one["name"], actor=actor)
            except Refused as refusal:  # It is gone, or his no more.
                told.append((404, {"code": refusal.code, "detail": refusal.sentence, "address": one["name"]}))
                continue
            told.append((200, {"document": document}))
            size += sum(map(len, document.values()))
            if size > MAX_ROWS:
                break
    with wiring.changing() as session:
        found = session.get(Job, number)
        if found is not None and found.state in ("waiting", "running") and found.done == position:
            jobs.note(session, found, told)
            if found.done >= found.total:
                jobs.end(session, found, "done")


def is_quick(session: Session, job: Job, most: int) -> bool:
    """Is all of it one piece, of a cost of *most* at most?"""
    return job.total <= jobs.PART and sum(cost_of(job, one) for one in jobs.part_from(session, job, 0)) <= most


def advance(app: ASGIApp, wiring: Wiring, number: int, most: int) -> None:
    """Do the next piece of job *number*, of a cost of *most* or one operation.

    Raises:
        TakenBack: it was atomic, and one was refused.
        ApplianceError: whoever asked for it may do nothing any more; or the database is away.
    """
    with wiring.changing() as session:
        job = session.get(Job, number)
        if job is None or job.state not in ("waiting", "running"):
            return  # It was ended a moment ago.
        actor = jobs.actor_of(session, job)
        is_atomic = bool((job.request or {}).get("atomic"))
        piece = list(jobs.operations(session, job)) if is_atomic else _piece(session, job, most)
        results = _results(app, wiring, session, job, actor, piece, until_refused=is_atomic)
        if is_atomic and any(map(working_off.is_refused, results)):
            raise TakenBack(results)
        told = [(one.status, None if _is_idle(one) else without(SHOWN_ONCE, one.body)) for one in results]
        jobs.note(session, job, told, spared=job.kind in BRIEF)
        if job.done >= job.total:
            jobs.end(session, job, "done")


def look(app: ASGIApp, wiring: Wiring, number: int, most: int) -> None:
    """Find out what would become of its next piece, as `advance`; behind the last one it waits for a word.

    Raises:
        ApplianceError: as `advance`.
    """
    with wiring.changing(dry_run=True) as session:
        job = session.get(Job, number)
        if job is None or job.state != jobs.LOOKING:
            return
        actor = jobs.actor_of(session, job)
        piece = _piece(session, job, most)
        position, since = job.done, changes.newest(session)
        results = _results(app, wiring, session, job, actor, piece)
        effect = _effect(wiring, session, since) if position == 0 else None
    with wiring.changing() as session:
        job = session.get(Job, number)
        if job is None or job.state != jobs.LOOKING or job.done != position:
            return
        results = _excused(session, job, results)
        changed = sum(not working_off.is_refused(one) and not _is_idle(one) for one in results)
        told = [(one.status, one.body if working_off.is_refused(one) else None) for one in results]
        jobs.note(session, job, told, spared=True)
        job.about = _foreseen(job, changed, effect, [(one.body or {}).get("former") for one in results])
        if job.done >= job.total:
            jobs.settle(job)


def _is_idle(result: Result) -> bool:
    """Was it so already?"""
    return bool((result.body or {}).get("unchanged"))


def _foreseen(job: Job, changed: int, effect: Effect | None, former: list[str | None]) -> Stored:
    about = dict(job.about or {})
    about["changed"] = about.get("changed", 0) + changed
    counts = Counter(about.get("former", {}))
    counts.update(name for name in former if name is not None)
    if counts:
        about["former"] = dict(counts.most_common(MAX_FORMER))
    for side in ("starts", "stops") if effect is not None else ():
        found = getattr(effect, side)
        about[side], about[f"{side}_count"] = found[:MAX_NAMED], len(found)
    about["is_whole"] = about.get("is_whole", True) and (effect.complete if effect is not None else False)
    return about


def _effect(wiring: Wiring, session: Session, since: int) -> Effect:
    """Which addresses start or stop being accepted by what *session* did, which will be taken back."""
    session.flush()
    touched = acceptance.touched_since(session, since)
    if len(touched.keys) > MAX_EXAMINED:
        touched = replace(touched, keys=touched.keys[:MAX_EXAMINED], complete=False)
    with wiring.reading() as past:
        before, was_complete = acceptance.accepted(past, touched)
    after, is_complete = acceptance.accepted(session, touched)
    return acceptance.effect(before, after, complete=was_complete and is_complete)


def _excused(session: Session, job: Job, results: list[Result]) -> list[Result]:
    """*results*, but that nothing is refused for want of what the sheet itself makes."""
    wanting = ("target_unknown", "not_found")
    if job.kind != IMPORT or all((one.body or {}).get("code") not in wanting for one in results):
        return results
    made = frozenset(_made_by(session, job))
    return [
        Result(201, None)
        if one.body and one.body.get("code") in wanting and any(name in made for name in _names_in(one.body["detail"]))
        else one
        for one in results
    ]


def _names_in(sentence: str) -> Iterator[str]:
    yield from (word.strip(".,;") for word in sentence.split())


def _made_by(session: Session, job: Job) -> Iterator[str]:
    position = 0
    while piece := jobs.part_from(session, job, position):
        position += len(piece)
        for one in piece:
            body = one.get("body") or {}
            if "name" in body:
                yield body["name"].strip().lower()
            elif one.get("method") == "POST" and "address" in body:
                try:
                    yield addresses.key_of(addresses.parse_address(body["address"]))
                except Refused:
                    continue  # It makes nothing, and is told of its own fault.


def _piece(session: Session, job: Job, most: int) -> list[Stored]:
    piece: list[Stored] = []
    cost = 0
    for stored in jobs.part_from(session, job, job.done):
        cost += cost_of(job, stored)
        if piece and cost > most:
            break
        piece.append(stored)
    return piece


def _results(
    app: ASGIApp,
    wiring: Wiring,
    session: Session,
    job: Job,
    actor: Actor,
    piece: list[Stored],
    *,
    until_refused: bool = False,
) -> list[Result]:
    if job.kind in (BULK, UNDO):
        act = _act_of(wiring, session, job, actor)
        return [_one(session, stored, act) for stored in piece]
    within = Inside(actor, SharedWiring.over(wiring, session))
    return _worked_off(app, within, piece, until_refused=until_refused)


def _act_of(wiring: Wiring, session: Session, job: Job, actor: Actor) -> Callable[[Stored], Stored]:
    if job.kind == UNDO:
        return lambda one: bulk.undo(session, one, actor=actor)
    deed, days = bulk.Deed.of(deed_of(job)), wiring.settings.limits.trash_days
    issuer = new_passwords.maker_of(job, wiring.sealer) if deed.verb == "password" else None
    return lambda one: _shown(one, bulk.do(session, deed, one["name"], actor=actor, days=days, issuer=issuer))


def _shown(one: Stored, done: Stored) -> Stored:
    """*done*, with what pages call it by where that is not its name."""
    return {**done, "shown": one["shown"]} if "shown" in one else done


def _one(session: Session, one: Stored, act: Callable[[Stored], Stored]) -> Result:
    try:
        with part_of_work(session):
            return Result(200, act(one))
    except Refused as refusal:
        problem = errors.problem_of(refusal)
        return Result(problem["status"], {**problem, "address": one.get("shown") or one["name"]})


def _worked_off(app: ASGIApp, within: Inside, piece: list[Stored], *, until_refused: bool) -> list[Result]:
    """As the API does them; of a line that made no sense it is told what."""
    operations = [_operation(one) for one in piece if "fault" not in one]
    done = iter(working_off.work_off(app, within, operations, until_refused=until_refused))
    results: list[Result] = []
    for one in piece:
        if "fault" in one:
            results.append(Result(422, {"code": "bad_line", "detail": one["fault"], **_place(one)}))
            continue
        result = next(done, None)
        if result is None:
            break
        if "line" in one:
            body = {"code": (result.body or {}).get("code"), "detail": (result.body or {}).get("detail"), **_place(one)}
            result = replace(result, body=body if working_off.is_refused(result) else None)
        results.append(result)
    return results


def _place(one: Stored) -> Stored:
    return {"line": one["line"], "address": one.get("address", "")}


def _operation(stored: Stored) -> Operation:
    known = ("method", "path", "body", "if_match", "sealed")
    return Operation(**{name: stored[name] for name in known if name in stored})
