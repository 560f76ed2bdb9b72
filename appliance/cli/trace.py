"""`postern trace`: what happened to a message, in plain words."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from appliance.cli.house import WrongUsage, say, settings
from appliance.errors import NotFound
from appliance.services import messages
from appliance.services import trace as service
from appliance.services.trace import NEWEST, Story, Wanted

PATIENCE_SECONDS = 1.0


def trace(
    *,
    from_: Annotated[str | None, Parameter(name="--from", help="the sender's address")] = None,
    to: Annotated[str | None, Parameter(help="a recipient's address")] = None,
    id_: Annotated[str | None, Parameter(name="--id", help="a queue id or a session")] = None,
    since: Annotated[str | None, Parameter(help="not before: 90m, 2h, 3d ago, or 2026-03-01T12:00")] = None,
) -> None:
    """Follow messages through the log: from whom, to whom, by queue id or session, since a moment (2026-03-01T12:00, 2h)."""
    if from_ is None and to is None and id_ is None and since is None:
        raise WrongUsage("name at least one of --from, --to, --id and --since")
    after = service.moment(since, datetime.now()) if since is not None else 0.0
    stories = _found(settings().state, Wanted(from_, to, id_, after))
    if not stories:
        raise NotFound(
            "nothing like that is known; what is older than limits.trace_days, or too much for limits.trace_size, is forgotten"
        )
    say([_described(story) for story in stories], *_lines(stories))


def _found(state: Path, wanted: Wanted) -> list[Story]:
    """Out of the trace store; where there is none yet, out of the journal's own files."""
    store = state / messages.FILE
    if not messages.is_there(store):
        return service.tell(state / "log", wanted)
    _wait(store, state / "log" / NEWEST)
    return messages.stories(store, wanted)


def _wait(store: Path, newest: Path) -> None:
    """Let tracer read what the journal has written by now: it is a quarter of a second behind."""
    until = time.monotonic() + PATIENCE_SECONDS
    while newest.exists() and messages.read_up_to(store) != newest.stat().st_size and time.monotonic() < until:
        time.sleep(0.05)


def _described(story: Story) -> dict[str, Any]:
    return {
        "session": story.session or None,
        "client": story.client or None,
        "queue_ids": story.queue_ids,
        "events": [{**entry, "words": service.words(entry)} for entry in story.in_order()],
    }


def _lines(stories: list[Story]) -> list[str]:
    lines: list[str] = []
    for story in stories:
        if lines:
            lines.append("")
        for entry in story.in_order():
            moment = datetime.fromtimestamp(entry["time"], UTC).astimezone()
            lines.append(f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}  {service.words(entry)}")
    return lines
