"""`postern dkim`: what domains' mail is signed with, and the records that have to stand in DNS for it."""

from typing import Annotated, Any

from cyclopts import App, Parameter

from appliance.cli.house import Switch, actor, changing, looking, say, settings
from appliance.services import dkim
from appliance.services.dkim import DkimKey
from appliance.services.seals import Seals

app = App(name="dkim", help="What domains' mail is signed with (DKIM).")

_STATES = {
    dkim.NEXT: "publish it; it signs after `postern dkim rotate --finish`",
    dkim.SIGNING: "signs",
    dkim.RETIRED: f"signs no more; its record may go {dkim.KEPT_DAYS} days after that",
}


def describe(key: DkimKey) -> dict[str, Any]:
    """A key as plain values; never its private half, sealed or not."""
    return {
        "selector": key.selector,
        "algorithm": key.algorithm,
        "state": key.state,
        "record_name": dkim.record_name(key),
        "record": dkim.record(key),
        "zone_line": dkim.zone_line(key),
    }


@app.command
def show(domain: str) -> None:
    """Show a domain's keys and their TXT records, as lines to be copied into its zone."""
    with looking() as session:
        keys = dkim.keys_of(session, domain, actor=actor())
        _say(domain, keys)


@app.command
def rotate(
    domain: str,
    *,
    finish: Annotated[
        Switch, Parameter(help="sign with the next keys from now on; their records are published")
    ] = False,
) -> None:
    """Make the next keys of a domain, and with --finish, once their records are published, sign with them."""
    new = () if finish else Seals.of(settings().state).new_signing_keys()  # Before the transaction: it takes its time.
    with changing() as session:
        keys = (
            dkim.finish(session, domain, actor=actor()) if finish else dkim.rotate(session, domain, new, actor=actor())
        )
        _say(domain, keys)


def _say(domain: str, keys: list[DkimKey]) -> None:
    lines: list[str] = []
    for key in keys:
        lines += [f"; {key.selector}: {_STATES[key.state]}", dkim.zone_line(key)]
    say(
        {"domain": domain, "keys": [describe(key) for key in keys]},
        *(lines or [f"{domain} has no keys yet; they are made while the appliance runs"]),
    )
