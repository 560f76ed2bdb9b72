"""`postern audit`: who changed what."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

from cyclopts import App, Parameter

from appliance.cli.house import actor, looking, options, say, say_rows, settings
from appliance.errors import Unable
from appliance.services import audit, trace
from appliance.services.audit import AuditEntry, Search
from appliance.services.paging import MAX_PAGE

app = App(name="audit", help="Who changed what, when, from where.")

Since = Annotated[str | None, Parameter(help="not before: 90m, 2h, 3d ago, or 2026-03-01T12:00")]
Until = Annotated[str | None, Parameter(help="before: the same")]


def describe(entry: AuditEntry) -> dict[str, Any]:
    """An entry as plain values."""
    return {
        "id": entry.id, "at": entry.at, "when": f"{datetime.fromtimestamp(entry.at, UTC).astimezone():%Y-%m-%d %H:%M:%S}",
        "actor_kind": entry.actor_kind, "actor": entry.actor, "source": entry.source, "action": entry.action,
        "subject": entry.subject, "tenant_id": entry.tenant_id, "domain_id": entry.domain_id, "before": entry.before,
        "after": entry.after, "digest": entry.digest,
    }  # fmt: skip


@app.command(name="list")
def list_(
    *,
    subject: str | None = None,
    by: str | None = None,
    action: str | None = None,
    since: Since = None,
    until: Until = None,
    most: int = 1000,
) -> None:
    """List deeds, the newest first: of a --subject, --by somebody, of an --action such as mailbox.created or mailbox."""
    with looking() as session:
        say_rows(_newest(session, _search(subject, by, action, since, until), most), "when", "actor", "source", "action",
                 "subject", "before", "after")  # fmt: skip


@app.command
def export(
    *,
    subject: str | None = None,
    by: str | None = None,
    action: str | None = None,
    since: Since = None,
    until: Until = None,
) -> None:
    """Write deeds, the oldest first, a JSON object a line."""
    with looking() as session:
        sys.stdout.writelines(audit.export(session, actor=actor(), search=_search(subject, by, action, since, until)))


@app.command
def verify() -> None:
    """Follow the chain that ties each entry to the one before it; exit code 1 when it is broken."""
    with looking() as session:
        verdict = audit.verify(session, settings().state / "snapshot")
    if verdict.wrong:
        if options.json:
            say({"whole": False, "entries": verdict.entries, "wrong": verdict.wrong})
        raise Unable(f"the audit log is broken: {verdict.wrong}", code="audit_broken")
    say({"whole": True, "entries": verdict.entries}, f"{verdict.entries} entries, each tied to the one before it")


def _newest(session: Any, search: Search, most: int) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - as `looking` gives
    cursor: str | None = None
    while most > 0:
        page = audit.list_entries(session, actor=actor(), search=search, limit=min(most, MAX_PAGE), cursor=cursor)
        yield from map(describe, page.items)
        most, cursor = most - len(page.items), page.next
        if cursor is None:
            return


def _search(subject: str | None, by: str | None, action: str | None, since: str | None, until: str | None) -> Search:
    now = datetime.now()
    moments = [None if text is None else int(trace.moment(text, now)) for text in (since, until)]
    return Search(subject, by, action, *moments)
