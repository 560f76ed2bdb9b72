"""`python -m tests.journeys.screenshots FOLDER`: pictures of the panel, filled with examples, for the README.

By itself it starts a panel over a database of its own. `--all` takes every page, wide and narrow, by day and by night,
for looking at.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from appliance.database.session import Session, unit_of_work
from appliance.models import Job, JobResult, Webhook, WebhookDelivery
from appliance.services import (
    access_rules,
    accounts,
    aliases,
    appointments,
    autoreplies,
    certificates,
    disposables,
    domains,
    forwardings,
    mailboxes,
    plans,
    recipients,
    tenants,
)
from appliance.services.actor import Actor
from appliance.services.dns_page import Found
from appliance.services.relays import Route
from mta.roles.journal import lines
from mta.roles.tracer.gather import Gatherer
from mta.roles.tracer.store import Store
from mta.roles.tracer.tail import Place
from tests.fakes.supervisor import FakeSupervisor
from tests.fixtures.browser import NARROW, WIDE, chromium
from tests.fixtures.panel import HOST, OPERATOR, PASSWORD, SYSTEM, Office, make_office, served
from tests.journeys.pages import ANSWERS, send, strangers
from tests.mta.roles.scheduler._rig import envelope_of, queue_id_of
from web import dns_checks

PEOPLE = (
    ("anna", "Anna Lindqvist"), ("ben", "Ben Okafor"), ("chiara", "Chiara Moretti"), ("dmitri", "Dmitri Volkov"),
    ("emily", "Emily Carter"), ("farid", "Farid Haddad"), ("greta", "Greta Sommer"), ("hiro", "Hiro Tanaka"),
    ("ines", "Inês Duarte"), ("jan", "Jan de Wit"),
)  # fmt: skip
OWNER = "anna@northwind.example"
PICTURES: tuple[tuple[str, str, dict[str, int], str], ...] = (
    ("domains", "/domains", WIDE, "light"),
    ("mailboxes", "/domains/northwind.example/mailboxes", WIDE, "light"),
    ("mailbox-dark", f"/mailboxes/{OWNER}", WIDE, "dark"),
    ("message", f"/messages/{3:020x}", WIDE, "light"),
    ("narrow", "/domains/northwind.example/mailboxes", NARROW, "light"),
)
# Who wrote to whom, what became of it, and in which words.
STORIES = (
    ("newsletter@shop-with-a-rather-long-name.example", "anna@northwind.example", "delivered", "2.0.0", ""),
    ("ann@customer.example", "nobody@northwind.example", "refused", "", "550 5.1.1 <nobody@northwind.example>: no such address"),
    ("anna@northwind.example", "ann@customer.example", "failed", "5.7.1",
     "554 5.7.1 Service unavailable; client host blocked using blocklist.example; see https://blocklist.example/?192.0.2.1"),
    ("ben@northwind.example", "joe@slow.example", "deferred", "4.4.1", "no host of slow.example answered"),
    ("ann@customer.example", "sales@northwind.example", "relayed", "2.0.0", "250 2.0.0 Ok: queued as 4Xyz"),
)  # fmt: skip
JOB, WEBHOOK = "0123456789abcdef", "whk0123456789"
PAGES = {
    "start": "/", "traffic": "/traffic", "webhooks": "/webhooks", "webhook-new": "/webhooks/new",
    "domains": "/domains", "domains-wrong": "/domains?dns=wrong", "domain-new": "/domains/new",
    "domain": "/domains/northwind.example",
    "domain-empty": "/domains/empty.example", "mailboxes": "/domains/northwind.example/mailboxes",
    "mailboxes-empty": "/domains/empty.example/mailboxes", "forwards": "/domains/northwind.example/forwards",
    "forwards-empty": "/domains/empty.example/forwards", "dns": "/domains/northwind.example/dns?check=true",
    "unproved": "/domains/unproved.example", "unproved-dns": "/domains/unproved.example/dns",
    "people": "/domains/northwind.example/people", "people-empty": "/domains/empty.example/people",
    "person": "/domains/northwind.example/people/jan.northwind", "aliases": "/domains/northwind.example/aliases",
    "aliases-empty": "/domains/empty.example/aliases",
    "protection": "/domains/northwind.example/protection", "relayed": "/domains/branch.example/protection",
    "relayed-domain": "/domains/branch.example", "relayed-mailboxes": "/domains/branch.example/mailboxes",
    "rules": "/rules", "certificates": "/certificates",
    "settings": "/domains/northwind.example/settings", "domain-remove": "/domains/northwind.example/remove",
    "mailbox-new": "/domains/northwind.example/mailboxes/new", "mailbox": f"/mailboxes/{OWNER}",
    "mailbox-remove": f"/mailboxes/{OWNER}/remove", "alias-new": "/domains/northwind.example/aliases/new",
    "alias": "/aliases/sales@northwind.example", "tenants": "/tenants", "tenant-new": "/tenants/new",
    "tenant": "/tenants/3", "tenant-operator": "/tenants/1",
    "plans": "/plans", "plan": "/plans/1", "plan-new": "/plans/new", "accounts": "/people", "jobs": "/jobs",
    "messages": "/messages", "message": f"/messages/{3:020x}", "message-refused": "/messages?state=refused",
    "explain": "/explain?to=sales%40northwind.example", "tenant-sending": "/tenants/2/sending",
    "domain-sending": "/domains/northwind.example/sending", "mailbox-sending": f"/mailboxes/{OWNER}/sending",
    "mailbox-setup": f"/mailboxes/{OWNER}/setup", "mailbox-away": f"/mailboxes/{OWNER}/away",
    "mailbox-addresses": f"/mailboxes/{OWNER}/addresses",
    "isolation": "/isolation", "role": "/isolation/authenticator", "role-asked": "/isolation/journal",
    "queued": f"/queue/{queue_id_of(1).decode()}", "queue-remove": "/queue/remove?domain=slow.example",
    "queue-by-error": "/queue?by=error", "webhook": f"/webhooks/{WEBHOOK}", "job": f"/jobs/{JOB}",
    "api-noun": "/api/v1/docs?about=mailboxes", "queue": "/queue", "import": "/import",
    "removals": "/removals", "removal-end": "/removals/1/end",
    "signing": "/domains/northwind.example/signing", "routes": "/routes",
    "keys": "/keys", "key-new": "/keys/new", "audit": "/audit",
    "password": "/account/password", "sign-in": "/account/sign-in",
    "second-step": "/account/second-step", "app": "/account/app", "time": "/account/time",
    "recovery": "/account/recovery", "forgotten": "/login/forgotten",
    "missing": "/domains/nowhere.example", "api": "/api/v1/docs",
}  # fmt: skip

OWNERS = {
    "mailbox": f"/mailboxes/{OWNER}", "addresses": f"/mailboxes/{OWNER}/addresses", "away": f"/mailboxes/{OWNER}/away",
    "sending": f"/mailboxes/{OWNER}/sending", "setup": f"/mailboxes/{OWNER}/setup", "messages": "/messages",
    "sign-in": "/account/sign-in",
}  # fmt: skip
CUSTOMERS = {
    "start": "/", "tenant": "/tenants/3", "domains": "/domains", "domain": "/domains/northwind.example",
    "mailboxes": "/domains/northwind.example/mailboxes", "settings": "/domains/northwind.example/settings",
    "mailbox": f"/mailboxes/{OWNER}", "messages": "/messages", "queue": "/queue", "keys": "/keys",
}  # fmt: skip


def furnish(office: Office) -> None:
    """Examples that look like a small provider's machine. The names are those that RFC 2606 keeps for it."""
    sealed = office.sealer.seal_password(PASSWORD)
    with unit_of_work(office.engine) as session:
        reseller = tenants.create(session, "Fjord Hosting", "reseller", actor=SYSTEM).id
        customer = tenants.create(session, "Northwind Traders", actor=SYSTEM, parent_id=reseller, max_mailboxes=50).id
        for name, tenant in (
            ("northwind.example", customer), ("empty.example", customer), ("bücher.example", reseller),
            ("harbour.example", reseller), ("orchard.example", None), ("smithy.example", None), ("tidewater.example", None),
        ):  # fmt: skip
            domains.create(session, name, actor=SYSTEM, tenant_id=tenant)
        domains.suspend(session, "smithy.example", actor=SYSTEM)
        for domain, count in (("northwind.example", 10), ("harbour.example", 4), ("orchard.example", 7)):
            for name, shown in PEOPLE[:count]:
                box = mailboxes.create(
                    session,
                    f"{name}@{domain}",
                    actor=SYSTEM,
                    sealed_hash=sealed,
                    quota_bytes=2 << 30,
                    display_name=shown,
                )
                box.used_bytes = (len(shown) * 53 % 700 + 100) << 20
        mailboxes.create(session, "archive@northwind.example", actor=SYSTEM)
        mailboxes.suspend(session, "farid@northwind.example", actor=SYSTEM)
        for alias, targets in (
            ("sales", ["anna", "ben"]),
            ("info", ["chiara"]),
            ("team", ["anna", "ben", "emily", "jan"]),
        ):
            aliases.create(
                session, f"{alias}@northwind.example", [f"{t}@northwind.example" for t in targets], actor=SYSTEM
            )
        route = Route("mail.branch.example", "list")
        domains.create(session, "branch.example", actor=SYSTEM, tenant_id=customer, route=route)
        recipients.apply(session, "branch.example", ["jan", "ines", "info"], "replace", actor=SYSTEM)
        domains.update(session, "northwind.example", actor=SYSTEM, greylist=True)
        domains.update(session, "harbour.example", actor=SYSTEM, validation="off")
        for verb, pattern, note in (("allow", "198.51.100.0/24", "our branch office"), ("deny", ".spam.example", "")):
            access_rules.add(session, verb, pattern, note=note, actor=SYSTEM, domain="northwind.example")
        access_rules.add(
            session, "deny", "203.0.113.0/24", note="broken scanner", actor=SYSTEM, expires_at=4_000_000_000
        )
        access_rules.add(session, "deny", "noisy@example.net", actor=SYSTEM, mailbox=OWNER)
        offered = certificates.make_self_signed("mx.example.test")
        certificates.install(session, offered, office.seals.tls_key(offered.key), actor=SYSTEM, origin="self-signed")
        forwardings.put(session, OWNER, ["archive@northwind.example"], actor=SYSTEM)
        _furnish_people(office, session, customer)
        _furnish_rest(session)
        _furnish_work(session, customer)
    _furnish_dns(office)
    _furnish_traces(office)
    _furnish_house(office)
    _furnish_queue(office)
    office.account("fjord", reseller)


def _furnish_people(office: Office, session: Session, customer: int) -> None:
    """Who administers, plans and limits, and a domain whose owner has not shown yet that it is his."""
    sealed = office.sealer.seal_password(PASSWORD)
    plan = plans.create(
        session, "Small business", actor=SYSTEM, max_domains=5, max_mailboxes=50, max_aliases=200,
        max_storage_bytes=200 << 30, sends_per_day=5000, default_quota_bytes=2 << 30,
    )  # fmt: skip
    tenants.update(session, customer, actor=SYSTEM, plan_id=plan.id)
    domains.update(session, "northwind.example", actor=SYSTEM, max_mailboxes=12, max_storage_bytes=64 << 30)
    accounts.create(
        session, "jan.northwind", actor=SYSTEM, domain="northwind.example", sealed_hash=sealed, must_change=True,
        rights=["mailboxes", "passwords", "aliases"],
    )  # fmt: skip
    appointments.appoint(session, OWNER, actor=SYSTEM, domain="northwind.example")
    domains.create(session, "unproved.example", actor=Actor("customer", "jan", customer))


def _furnish_rest(session: Session) -> None:
    """Something that was removed, and somebody who is away."""
    mailboxes.create(session, "gone@northwind.example", actor=SYSTEM, quota_bytes=1 << 30)
    mailboxes.remove(session, "gone@northwind.example", actor=SYSTEM)
    for word, note, is_on in (("lamps", "the shop with the lamps", True), ("", "a raffle", False)):
        made = disposables.add(
            session, OWNER, actor=SYSTEM, word=word, note=note, expires_at=int(time.time()) + 90 * 86400
        )
        disposables.update(session, OWNER, str(made.address), actor=SYSTEM, enabled=is_on)
    autoreplies.put(
        session, OWNER, actor=SYSTEM, text="I am away until the 12th and read no mail.\nBen looks after urgent things.",
        ends_at=int(time.time()) + 7 * 86400,
    )  # fmt: skip


def _furnish_work(session: Session, customer: int) -> None:
    """A program's large batch that met some refusals, and a billing system that is told of what happens."""
    job = Job(
        public_id=JOB, kind="batch", state="done", asked_by="operator", tenant_id=customer, total=1000, done=1000, failed=2,
        ended_at=int(time.time()),
    )  # fmt: skip
    session.add(job)
    session.flush()
    refused = {"status": 409, "code": "address_taken", "detail": "anna@northwind.example is taken", "title": "Conflict"}
    session.add_all(JobResult(job_id=job.id, position=place, status=409, body=refused) for place in (17, 421))
    hook = Webhook(
        public_id=WEBHOOK, tenant_id=customer, url="https://billing.northwind.example/events", types=["mailbox."],
        sealed_secret="", failing_since=int(time.time()) - 7200, attempts=3,
    )  # fmt: skip
    session.add(hook)
    session.flush()
    for number, (status, detail) in enumerate([(200, ""), (503, ""), (None, "the other side did not answer in time")]):
        told = WebhookDelivery(
            webhook_id=hook.id, event_id=number + 1, attempt=1, status=status, detail=detail, milliseconds=84
        )
        session.add(told)


def _furnish_queue(office: Office) -> None:
    """Messages that wait: for a host that does not answer, and for a mailbox that is full."""
    rig = office.app.state.wiring.scheduler.rig
    rig.outcomes = {b"joe@slow.example": (b"delayed", b"4.4.1"), b"ben@northwind.example": (b"delayed", b"4.2.2")}
    rig.accept(1, envelope_of(b"joe@slow.example", identity=b"ben@northwind.example"))
    rig.accept(2, envelope_of(b"joe@slow.example"))
    rig.accept(3, envelope_of(b"ben@northwind.example"))
    rig.run()


def _furnish_dns(office: Office) -> None:
    """Some records that are right, one that is not, and others that are not there; and what was found at the last look."""
    wiring = office.app.state.wiring
    with wiring.reading() as session:
        found = [domains.get(session, f"{name}.example", actor=SYSTEM) for name in ("northwind", "orchard", "harbour")]
        wanted = [dns_checks.records_of(wiring, session, domain, SYSTEM) for domain in found]
    records = wiring.resolver.records
    for right in (wanted[0][:2], wanted[1]):
        records.update({(one.kind, one.name): Found("answer", (one.value,)) for one in right})
    records["TXT", "northwind.example"] = Found("answer", ("v=spf1 include:_spf.elsewhere.example -all",))
    for domain, those in zip(found, wanted, strict=True):
        dns_checks.check(wiring, domain, those)


def _furnish_house(office: Office) -> None:
    """All roles serve, and every wall held when it was tried."""
    supervisor = FakeSupervisor()
    supervisor.try_walls()
    office.app.state.wiring = replace(office.app.state.wiring, supervisor=supervisor)


def _furnish_traces(office: Office) -> None:
    """Some messages, as tracer writes them down."""
    wiring = office.app.state.wiring
    file = wiring.settings.file.parent / "trace.db"
    office.app.state.wiring = replace(wiring, traces=file)
    store = Store(file)
    gatherer, at = Gatherer(store, 0), time.time() - 7200

    def say(role: str, event: str, **words: str) -> None:
        nonlocal at
        at += 1.4
        store.take(gatherer.gather([lines.record(at, role, event, words)]), Place("x", 1))

    for number, (sender, recipient, outcome, status, words) in enumerate(STORIES):
        at += 600
        queue_id, session = f"{number + 1:020x}", f"s{number}"
        to = {"original_recipient": recipient, "final_recipient": recipient, "queue_id": queue_id}
        say("listener", "connected", session=session, client="192.0.2.25", service="smtp")
        say("tls", "secured", session=session, tls="TLSv1.3 TLS_AES_256_GCM_SHA384", server_name=HOST)
        if outcome == "refused":
            say(
                "smtpd",
                "refused",
                session=session,
                client="192.0.2.25",
                reply=words,
                reverse_path=sender,
                forward_path=recipient,
            )
            continue
        say(
            "enqueuer", "accepted", session=session, client="192.0.2.25", queue_id=queue_id, reverse_path=sender,
            forward_path=recipient, recipients="1", size="48213",
        )  # fmt: skip
        if status.startswith("5"):
            say("scheduler", "deferred", **to, status="4.4.1", diagnostic_code="", remote_mta="")
        say("scheduler", outcome, **to, status=status, diagnostic_code=words, remote_mta="mx.customer.example")
        if status.startswith("5"):
            say("scheduler", "bounced", queue_id=queue_id, reverse_path=sender)
    store.close()


def log_in(page: Any, url: str, name: str = OPERATOR, password: str = PASSWORD, until: str = "") -> None:
    """As a person does it; to the end, or to the page *until* which it goes."""
    page.goto(f"{url}/login")
    page.fill("#name", name)
    page.fill("#password", password)
    page.click("form[action='/login'] button")
    page.wait_for_url(url + until if until else lambda where: "/login" not in where)


def take(
    browser: Any, url: str, wanted: Callable[[Any, str], None], look: Mapping[str, Any], name: str = OPERATOR
) -> None:
    """Sign in as *name* (empty: as nobody) with a fresh browser of this *look*, and let *wanted* take its pictures."""
    context = browser.new_context(reduced_motion="reduce", **look)
    page = context.new_page()
    if name:
        log_in(page, url, name)
    wanted(page, url)
    context.close()


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--all", action="store_true", help="every page, every size, both themes")
    parser.add_argument("--language", default="en", help="as a browser asks for it")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, make_office(Path(folder)) as office, served(office.app) as url:
        furnish(office)
        with chromium() as browser:
            if asked.all:
                take_all(office, browser, url, asked.folder, asked.language)
            for name, path, size, scheme in () if asked.all else PICTURES:
                look = {"viewport": size, "color_scheme": scheme, "locale": asked.language}
                take(browser, url, picture(asked.folder, {name: path}, whole=False), look)


def picture(folder: Path, pages: dict[str, str], *, whole: bool, suffix: str = "") -> Callable[[Any, str], None]:
    """What takes a picture of each of *pages*; *whole*, also of what lies below the window's edge."""

    def shoot(page: Any, url: str) -> None:
        for name, path in pages.items():
            page.goto(url + path)
            page.screenshot(path=folder / f"{name}{suffix}.png", full_page=whole)

    return shoot


def take_all(office: Office, browser: Any, url: str, folder: Path, locale: str) -> None:
    """Every page in every look: the operator's, an owner's, a customer's, what a stranger sees, and what answers forms."""
    office.account("northwind", 3)
    for size in (WIDE, NARROW):
        for scheme in ("light", "dark"):
            look = {"viewport": size, "color_scheme": scheme, "locale": locale}
            suffix = f"-{size['width']}-{scheme}"
            for name, prefix, pages in (
                (OPERATOR, "", PAGES), (OWNER, "owner-", OWNERS), ("northwind", "customer-", CUSTOMERS),
                ("", "gate-", strangers(office)),
            ):  # fmt: skip
                shown = {prefix + key: where for key, where in pages.items()}
                take(browser, url, picture(folder, shown, whole=True, suffix=suffix), look, name)
            if locale == "en":  # else the buttons say other words
                take(browser, url, answers(folder, suffix), look)


def answers(folder: Path, suffix: str) -> Callable[[Any, str], None]:
    """What takes a picture of each page that answers a form of the operator's."""

    def shoot(page: Any, url: str) -> None:
        for template, answer in ANSWERS.items():
            if answer.is_operators:
                send(page, url, answer)
                name = template.removesuffix(".html").replace("/", "-")
                page.screenshot(path=folder / f"answer-{name}{suffix}.png", full_page=True)

    return shoot


if __name__ == "__main__":
    main()

__all__ = ["HOST", "furnish", "log_in"]
