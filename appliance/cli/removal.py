"""`postern removal`: what was removed, and can be had back for a while."""

from cyclopts import App

from appliance.cli.house import actor, changing, describe_removal, every, looking, say, say_one, say_rows
from appliance.services import removals

app = App(name="removal", help="What was removed, and can be had back for a while.")


@app.command(name="list")
def list_(*, kind: str | None = None, search: str = "") -> None:
    """List what can be had back, the newest first; only domains, mailboxes or aliases with --kind."""
    with looking() as session:
        rows = every(removals.list_removals, session, kind=kind, search=search)
        say_rows(map(describe_removal, rows), "removal", "kind", "name", "mailboxes", "removed_by")


@app.command
def show(removal: int) -> None:
    """Show one, by its number."""
    with looking() as session:
        say_one(describe_removal(removals.get(session, removal, actor=actor())))


@app.command
def undo(removal: int) -> None:
    """Bring it back, with its mail."""
    with changing() as session:
        back = removals.undo(session, removal, actor=actor())
        described = describe_removal(back)
    say(described, f"restored {back.name}")


@app.command
def end(removal: int) -> None:
    """Make it final: what was kept goes now."""
    with changing() as session:
        described = describe_removal(removals.get(session, removal, actor=actor()))
        removals.end(session, removal, actor=actor())
    say(described, f"{described['name']} cannot be had back any more")
