"""`postern domain`: domains, hosted here or only relayed."""

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from appliance.cli import house
from appliance.cli.house import (
    Discard,
    Stops,
    Switch,
    WrongUsage,
    actor,
    changing,
    every,
    looking,
    read_password,
    say,
    say_one,
    say_removed,
    say_rows,
    settings,
    stops,
)
from appliance.cli.tenant import limit_of
from appliance.errors import Invalid
from appliance.services import client_setup, dns_page, domains, limits, proof, recipients, tenants
from appliance.services.common import UNCHANGED, Unchanged
from appliance.services.domains import Domain
from appliance.services.recipients import Mode
from appliance.services.relays import Route
from appliance.services.seals import Seals

app = App(name="domain", help="Domains, hosted here or only relayed.")


@Parameter(name="*")
@dataclass(frozen=True)
class Relay:
    """Where a domain's mail goes on to, and who knows its recipients."""

    relay_to: str | None = None
    "relay the domain's mail to HOST:PORT"
    source: str | None = None
    "who knows its recipients: list, ldap, call-ahead, hook"
    ldap_url: str | None = None
    "such as ldaps://ldap.example.net"
    ldap_base: str | None = None
    "below which entry"
    ldap_filter: str | None = None
    "with %s for the address; (mail=%s) when not given"
    ldap_bind_dn: str | None = None
    "as whom; its password comes with --source-password-stdin"
    source_password_stdin: Switch = False
    "read the directory's password from standard input"
    hook: str | None = None
    "HOST:PORT or path of a socket that speaks the hook's protocol"

    def route(self) -> Route | None:
        """What is to be changed; None: nothing was given."""
        named = {
            "url": self.ldap_url, "base": self.ldap_base, "filter": self.ldap_filter, "bind_dn": self.ldap_bind_dn,
            "address": self.hook,
        }  # fmt: skip
        given = {name: value for name, value in named.items() if value is not None}
        secret = Seals.of(settings().state).source_secret(read_password()) if self.source_password_stdin else None
        if self.relay_to is None and self.source is None and not given and secret is None:
            return None
        return Route(self.relay_to, self.source, given or None, secret)


@Parameter(name="*")
@dataclass(frozen=True)
class Names:
    """What its names stand for, and within what its mail stays."""

    tag_separator: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None
    "what a tag stands behind, as in anna+tag@: + or -; none: no address has a tag"
    local_only: str | None = None
    "within what its mail stays, both ways: host, tenant, domain; off: it goes anywhere"

    @property
    def separator(self) -> str | None:
        """As it is kept; None: nothing was given."""
        return "" if self.tag_separator == "none" else self.tag_separator

    @property
    def inside(self) -> str | None:
        """As it is kept; None: nothing was given."""
        return "" if self.local_only == "off" else self.local_only


Validation = Annotated[
    str, Parameter(help="unknown recipients are refused at once (rcpt), after the content (data), never (off)")
]
Greylist = Annotated[bool, Parameter(help="have unknown senders come back once")]
Dnsbl = Annotated[bool, Parameter(help="refuse clients that the host's DNS lists name")]
Batv = Annotated[
    bool,
    Parameter(
        help="sign return paths, and refuse bounces to unsigned ones. Then bounces of what its people send through other "
        "servers, receipts, and call-outs of servers that ask whether a sender exists, are refused too"
    ),
]
Language = Annotated[str, Parameter(help="in which notifications to its people are written: en, de")]
Relaying = Annotated[Relay | None, Parameter(name="*")]
Naming = Annotated[Names | None, Parameter(name="*")]
File = Annotated[Path | None, Parameter(allow_leading_hyphen=True)]  # a hyphen alone is standard input


@Parameter(name="*")
@dataclass(frozen=True)
class Limits:
    """Of the domain alone, within what its tenants may have: a number, or `none`."""

    max_mailboxes: str | None = None
    max_aliases: str | None = None
    max_forwards: str | None = None
    max_storage_bytes: str | None = None

    def said(self) -> dict[str, int | None]:
        """What was typed.

        Raises:
            Invalid: one of them is no number.
        """
        typed = {name: limit_of(getattr(self, name)) for name in limits.OF_DOMAINS}
        return {name: limit for name, limit in typed.items() if not isinstance(limit, Unchanged)}


Most = Annotated[Limits | None, Parameter(name="*")]


def describe(domain: Domain) -> dict[str, Any]:
    """A domain as plain values."""
    return {
        "name": domain.name,
        "kind": domain.kind,
        "tenant": domain.tenant.name,
        "tenant_id": domain.tenant_id,
        "alias_of": domain.alias_of.name if domain.alias_of else None,
        "catch_all": domain.catch_all,
        "validation": domain.validation,
        "greylist": domain.greylist,
        "dnsbl": domain.dnsbl,
        "batv": domain.batv,
        "language": domain.language,
        "tag_separator": domain.tag_separator or None,
        "local_only": domain.local_only or None,
        "next_hop": domain.next_hop,
        "source": domain.source or None,
        "source_settings": dict(domain.source_settings),
        "has_source_password": domain.has_secret,
        "proved": domain.proved_at is not None,
        **{name: getattr(domain, name) for name in limits.OF_DOMAINS},
        "suspended": domain.suspended,
        "suspended_for": domain.suspended_for,
    }


@app.command
def add(  # noqa: PLR0913 - all that may be said of one
    domain: str,
    *,
    tenant: str | None = None,
    alias_of: str | None = None,
    catch_all: str | None = None,
    validation: Validation = "rcpt",
    greylist: Greylist = False,
    dnsbl: Dnsbl = True,
    batv: Batv = False,
    language: Language = "en",
    names: Naming = None,
    relay: Relaying = None,
    discard: Discard = False,
) -> None:
    """Add a domain, of the operator's or of --tenant; with --alias-of, another name of that domain.

    With --relay-to its mail is only relayed there, and --source says who knows its recipients.
    """
    route, named = relay.route() if relay is not None else None, names or Names()
    with changing() as session:
        owner = tenants.find(session, tenant, actor=actor()).id if tenant else None
        made = domains.create(
            session, domain, actor=actor(), tenant_id=owner, alias_of=alias_of, catch_all=catch_all,
            validation=validation, greylist=greylist, dnsbl=dnsbl, batv=batv, language=language, route=route,
            discard=discard,
            tag_separator="+" if named.separator is None else named.separator, local_only=named.inside or "",
        )  # fmt: skip
    say(describe(made), f"added {made.name}")


@app.command(name="list")
def list_(*, tenant: str | None = None, search: str = "") -> None:
    """List domains."""
    with looking() as session:
        owner = tenants.find(session, tenant, actor=actor()).id if tenant else None
        rows = every(domains.list_domains, session, tenant_id=owner, search=search)
        say_rows(map(describe, rows), "name", "kind", "tenant", "validation", "suspended")


@app.command
def show(domain: str) -> None:
    """Show one."""
    with looking() as session:
        found = domains.get(session, domain, actor=actor())
        mailboxes, aliases = domains.counts(session, [found])[found.id]
        say_one({**describe(found), "mailboxes": mailboxes, "aliases": aliases})


@app.command(name="set")
def set_(  # noqa: PLR0913 - as above
    domain: str,
    *,
    catch_all: str | None = None,
    no_catch_all: Switch = False,
    validation: Validation | None = None,
    greylist: Greylist | None = None,
    dnsbl: Dnsbl | None = None,
    batv: Batv | None = None,
    language: Language | None = None,
    names: Naming = None,
    tenant: str | None = None,
    relay: Relaying = None,
    most: Most = None,
) -> None:
    """Change what is given; --no-catch-all refuses unknown recipients again, and a limit of `none` is none of the domain's own."""
    route, named = relay.route() if relay is not None else None, names or Names()
    with changing() as session:
        owner = tenants.find(session, tenant, actor=actor()).id if tenant else None
        changed = domains.update(
            session, domain, actor=actor(), validation=validation, tenant_id=owner, greylist=greylist, dnsbl=dnsbl,
            route=route, batv=batv, language=language,
            tag_separator=named.separator, local_only=named.inside,
            catch_all=None if no_catch_all else catch_all or UNCHANGED, **(most.said() if most is not None else {}),
        )  # fmt: skip
    say(describe(changed), f"changed {changed.name}")


@app.command
def dns(domain: str) -> None:
    """Show what belongs into the domain's zone, as lines to copy; the panel and the API also tell what is there."""
    with looking() as session:
        found = domains.get(session, domain, actor=actor())
        setup = client_setup.setup_of(settings(), found.name)
        records = dns_page.wanted(session, found, actor=actor(), setup=setup)
        say([asdict(record) for record in records], dns_page.zone(records).rstrip("\n"))


@app.command
def prove(domain: str) -> None:
    """Serve the domain on the operator's word, though nobody has proved whose it is."""
    with changing() as session:
        found = domains.get(session, domain, actor=actor())
        proof.waive(session, found, actor=actor())
    say(describe(found), f"{found.name} is served")


@app.command(name="recipients")
def recipients_(
    domain: str,
    *,
    replace: Annotated[File, Parameter(help="these and no others")] = None,
    add: Annotated[File, Parameter(help="these too")] = None,
    remove: Annotated[File, Parameter(help="these no more")] = None,
    search: str = "",
    dry_run: Switch = False,
) -> None:
    """List a relayed domain's recipients; or change them from a file with an address a line (- is standard input)."""
    given: list[tuple[Mode, Path | None]] = [("replace", replace), ("add", add), ("remove", remove)]
    wanted = [(mode, path) for mode, path in given if path is not None]
    if len(wanted) > 1:
        raise WrongUsage("one of --replace, --add and --remove at a time")
    if not wanted:
        with looking() as session:
            rows = every(recipients.list_recipients, session, name=domain, search=search)
            say_rows(({"recipient": f"{row.folded}@{domain}"} for row in rows), "recipient")
        return
    mode, path = wanted[0]
    folded = recipients.read_list(domain, _lines(path))  # Before the transaction: a file may come slowly.
    with changing(dry_run=dry_run) as session:
        done = recipients.apply(session, domain, folded, mode, actor=actor())
    would = "would be " if dry_run else ""
    say(
        {"added": done.added, "removed": done.removed, "total": done.total, "dry_run": dry_run},
        f"{done.added} {would}added, {done.removed} {would}removed: {done.total} recipients",
    )


def _lines(path: Path) -> Iterator[str]:
    if str(path) == "-":
        yield from sys.stdin
        return
    with path.open(encoding="utf-8") as file:
        try:
            yield from file
        except UnicodeDecodeError as error:
            raise Invalid(f"{path} is not UTF-8") from error


@app.command
def suspend(domain: str, *, only: Stops = ()) -> None:
    """Refuse mail for the domain."""
    with changing() as session:
        found = domains.suspend(session, domain, actor=actor(), what=stops(only))
    say(describe(found), f"suspended {found.name}")


@app.command
def resume(domain: str, *, only: Stops = ()) -> None:
    """Undo suspend."""
    with changing() as session:
        found = domains.resume(session, domain, actor=actor(), what=stops(only))
    say(describe(found), f"resumed {found.name}")


@app.command
def remove(domain: str, *, dry_run: Switch = False) -> None:
    """Remove the domain with its mailboxes and aliases; for a while `restore` brings them back with their mail."""
    with changing(dry_run=dry_run) as session:
        removed = domains.remove(session, domain, actor=actor(), days=settings().limits.trash_days)
    say_removed(removed, dry_run=dry_run)


@app.command
def restore(domain: str, *, dry_run: Switch = False) -> None:
    """Undo the removal of a domain, with all that was in it."""
    house.restore("domain", domain, dry_run=dry_run)
