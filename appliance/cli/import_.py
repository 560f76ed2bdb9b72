"""`postern import`: what another program held."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from cyclopts import App

from appliance.cli.house import Switch, actor, changing, say, settings
from appliance.errors import Invalid
from appliance.holdings import Holdings
from appliance.services import holdings, sheets, tenants
from appliance.services.holdings import Report
from appliance.services.passwords import Sealer
from appliance.sources import mailcow as mailcow_source
from appliance.sources import postfixadmin as postfixadmin_source
from appliance.sources import vpopmail as vpopmail_source

LONGEST_SHEET = 40_000_000  # characters

app = App(name="import", help="Domains, mailboxes, aliases and forwardings of another program, with their passwords.")


@app.command
def postfixadmin(file: Path, *, tenant: str | None = None, dry_run: Switch = False) -> None:
    """Take in a PostfixAdmin database: its SQLite file, or a dump of MySQL or PostgreSQL."""
    _take(postfixadmin_source.read, file, tenant, dry_run)


@app.command
def vpopmail(folder: Path, *, tenant: str | None = None, dry_run: Switch = False) -> None:
    """Take in a vpopmail domains folder: vpasswd and .qmail files."""
    _take(vpopmail_source.read, folder, tenant, dry_run)


@app.command
def mailcow(file: Path, *, tenant: str | None = None, dry_run: Switch = False) -> None:
    """Take in what mailcow's API tells: a JSON file, or a folder of them."""
    _take(mailcow_source.read, file, tenant, dry_run)


@app.command
def csv(file: Path, *, dry_run: Switch = False) -> None:
    """Take in a sheet of mailboxes, aliases and forwardings, as `postern export --csv` writes it; with --dry-run, preview it."""
    rows = sheets.read(_text_of(file))
    given = settings()
    with changing(dry_run=dry_run) as session:
        outcomes = sheets.take_in(
            session, rows, actor=actor(), sealer=Sealer.of(given.state), default_quota=given.limits.default_quota
        )
    refused = [(each.row, each.refusal) for each in outcomes if each.refusal is not None]
    done = len(outcomes) - len(refused)
    told = [
        {"line": row.line, "address": row.address, "code": why.code, "detail": why.sentence} for row, why in refused
    ]
    say(
        {"done": done, "refused": told, "dry_run": dry_run},
        f"{'would take' if dry_run else 'took'} {done} lines in",
        *(f"refused: line {row.line}, {row.address}: {why.sentence}" for row, why in refused),
    )


def _text_of(file: Path) -> str:
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            text = opened.read(LONGEST_SHEET + 1)
    except UnicodeDecodeError as error:
        raise Invalid(f"{file} is not UTF-8", code="bad_sheet") from error
    if len(text) > LONGEST_SHEET:
        raise Invalid(f"{file} has more than {LONGEST_SHEET} characters", code="bad_sheet")
    return text


def _take(read: Callable[[Path], Holdings], path: Path, tenant: str | None, dry_run: bool) -> None:
    """Preview or do it; one transaction either way."""
    held, sealer = read(path), Sealer.of(settings().state)
    with changing(dry_run=dry_run) as session:
        owner = tenants.find(session, tenant, actor=actor()).id if tenant else None
        report = holdings.take_in(session, held, actor=actor(), sealer=sealer, tenant_id=owner)
    say({**asdict(report), "dry_run": dry_run}, *_lines(report, dry_run))


def _lines(report: Report, dry_run: bool) -> list[str]:
    counts = ", ".join(f"{getattr(report, name)} {name}" for name in ("domains", "mailboxes", "aliases", "forwardings"))
    lines = [f"{'would make' if dry_run else 'made'} {counts}"]
    if report.without_password:
        lines.append(f"{report.without_password} of the mailboxes have no password: nobody can log in there yet")
    return [*lines, *(f"note: {note}" for note in report.notes), *(f"refused: {why}" for why in report.refused)]
