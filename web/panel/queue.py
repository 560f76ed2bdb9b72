"""The queue: what waits, why, and what may be done about it; by where it goes or by what went wrong.

A reader would otherwise get wrong: what is shown was true a moment ago. A message may have left by the time its button is pressed,
and that is then said.
"""

import collections
from collections.abc import Sequence
from typing import NamedTuple

from fastapi import APIRouter
from starlette.responses import Response

from appliance.errors import ApplianceError, NotFound, Unable
from appliance.services import messages, waiting
from appliance.services.paging import MAX_PAGE, Page
from appliance.services.waiting import Waiting
from web.panel.desk import Desk, Managing
from web.panel.forms import Form, faults_of
from web.panel.links import url, with_query
from web.panel.listing import PAGE_LENGTH, Asked, Wanted, filters, show_list
from web.panel.rendering import Typed

router = APIRouter(include_in_schema=False)

FIELDS = ("domain", "sender", "by")
WAYS = (("", "One by one"), ("destination", "By where they go"), ("error", "By what went wrong"))
TALKED = ("deferred", "failed", "relayed")  # what another host said is told by these
DEEDS = ("hold", "release", "retry", "remove")
LONGEST_ERROR = 160
MOST_TALKS = 5


class Group(NamedTuple):
    """Messages that have something in common."""

    key: str
    number: int
    oldest: int
    example: str


@router.get("/queue")
def index(desk: Managing, asked: Asked) -> Response:
    """What waits in one's part of the house, oldest first."""
    return _index(desk, asked, filters(desk, *FIELDS), None)


def _index(desk: Desk, asked: Wanted, form: Typed, refusal: ApplianceError | None) -> Response:
    page: Page[Waiting] = Page([], None)
    try:
        with desk.reading() as session:
            page = waiting.list_messages(
                session, desk.wiring.queued, actor=desk.actor, domain=form["domain"] or None, sender=form["sender"] or None,
                sort="" if form["by"] else asked.sort, limit=MAX_PAGE if form["by"] else PAGE_LENGTH, cursor=asked.cursor,
            )  # fmt: skip
    except ApplianceError as away:
        refusal = refusal or away
    return show_list(
        desk, asked, page, "/queue", ("queue/index.html", "queue/_list.html"), form, form=form, shapes=WAYS,
        groups=_groups(page.items, form["by"]), errors=faults_of(refusal) if refusal else Typed(), refusal=refusal, most=MAX_PAGE,
        remove=with_query("/queue/remove", domain=form["domain"], sender=form["sender"]),
    )  # fmt: skip


def _groups(found: Sequence[Waiting], by: str) -> list[Group]:
    """*found* by what is asked, the largest first; nothing when they are wanted one by one."""
    if by not in ("destination", "error"):
        return []
    rows: dict[str, list[Waiting]] = collections.defaultdict(list)
    for one in found:
        error = f"{one.status} {one.diagnostic_code}".strip()[:LONGEST_ERROR]
        rows[one.forward_path.rpartition("@")[2].rstrip(">") if by == "destination" else error].append(one)
    groups = [Group(key, len(some), min(one.arrival for one in some), some[0].queue_id) for key, some in rows.items()]
    return sorted(groups, key=lambda group: (-group.number, group.key))


@router.post("/queue")
def change_many(desk: Managing, form: Form) -> Response:
    """Do something to all messages to a domain, or of a sender."""
    same = Typed({name: form[name] for name in ("domain", "sender") if form[name]})
    try:
        with desk.changing() as session:
            done = waiting.change_many(
                session, desk.wiring.queued, _deed(form["deed"]), actor=desk.actor, domain=form["domain"] or None,
                sender=form["sender"] or None, everything=bool(form["everything"]),
            )  # fmt: skip
    except ApplianceError as refusal:
        return _index(desk, Wanted("", None), same, refusal)
    return desk.see_other(with_query("/queue", **same), f"Done to {done} of them.")


def _deed(text: str) -> str:
    if text not in DEEDS:
        raise NotFound(f"there is no such deed: {text[:20]}")
    return text


@router.get("/queue/remove")
def confirm_removal(desk: Managing) -> Response:
    """What would be lost."""
    form = filters(desk, "domain", "sender")
    with desk.reading() as session:
        page = waiting.list_messages(
            session, desk.wiring.queued, actor=desk.actor, domain=form["domain"] or None, sender=form["sender"] or None,
            limit=MAX_PAGE,
        )  # fmt: skip
    return desk.page("queue/remove.html", form=form, found=page.items, more=page.next is not None)


@router.get("/queue/{queue_id}")
def detail(desk: Managing, queue_id: str) -> Response:
    """One message, and what the last attempt for each recipient came to."""
    with desk.reading() as session:
        message = waiting.get(session, desk.wiring.queued, queue_id, actor=desk.actor)
        scope = messages.scope_of(session, desk.actor)
    return desk.page("queue/detail.html", message=message, talks=_talks(desk, scope, queue_id))


def _talks(desk: Desk, scope: messages.Scope, queue_id: str) -> list[Typed]:
    """The last conversation with another host about each recipient, as far as the trace knows of one."""
    try:
        events = messages.get(desk.wiring.traces, scope, queue_id).events
    except (NotFound, Unable):
        return []  # It was noted a moment later than we look, or is kept no longer.
    found = {}
    for event in events:
        if event["event"] in TALKED and event.get("remote_mta"):
            found[event.get("final_recipient")] = Typed({name: str(value) for name, value in event.items()})
    return list(found.values())[-MOST_TALKS:]


@router.post("/queue/{queue_id}/{deed}")
def change(desk: Managing, queue_id: str, deed: str, form: Form) -> Response:
    """Hold it, release it, try it now, take it out."""
    with desk.changing() as session:
        done = waiting.change(session, desk.wiring.queued, _deed(deed), queue_id, actor=desk.actor)
    if deed == "remove":
        return desk.see_other("/queue", f"The message {queue_id} was taken out. Nobody was told.")
    notice = "It is done; look again in a moment." if done else "It was so already."
    return desk.see_other(url("queue", queue_id), notice)
