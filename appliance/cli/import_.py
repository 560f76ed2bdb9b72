"""`postern import`: what another program held."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from cyclopts import App

from appliance.cli.house import Switch, actor, changing, say, settings
from appliance.holdings import Holdings
from appliance.services import holdings, tenants
from appliance.services.holdings import Report
from appliance.services.passwords import Sealer
from appliance.sources import mailcow as mailcow_source
from appliance.sources import postfixadmin as postfixadmin_source
from appliance.sources import vpopmail as vpopmail_source

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
