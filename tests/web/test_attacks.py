"""The panel under attack, on every page that there is: the pages, their links and their forms are found by walking through it.

Written into every text that the panel shows is a piece of markup that names where it stands. So a page that lets one through
fails, and so does a text that no page shows any more (SHOWN): a walk that misses what it looks for proves nothing.

A reader would otherwise get wrong: who may do what to whose things is not asked here but in test_authorisation_matrix.py.
"""

import csv
import io
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from urllib.parse import quote, urlencode, urljoin

import pytest
from fastapi.routing import iter_route_contexts
from sqlalchemy import JSON, MetaData, String, Table, func, select, update

from appliance.database.session import reading, unit_of_work
from appliance.models import Account, AliasTarget, ForwardingTarget, Passkey, Route, Sending, Webhook, WebhookDelivery
from appliance.models.base import Base
from appliance.services import aliases, audit, autoreplies, forwardings, keys, mailboxes, senders
from appliance.services.actor import Actor
from appliance.services.dns_page import Found
from mta.roles.journal import lines
from mta.roles.tracer.gather import Gatherer
from mta.roles.tracer.store import Store
from mta.roles.tracer.tail import Place
from tests.fakes.queue import FakeQueue
from tests.fixtures.panel import OPERATOR, PASSWORD, SYSTEM, Browser, Office, make_office
from tests.journeys import screenshots
from tests.journeys.screenshots import furnish
from tests.mta.roles.scheduler._rig import envelope_of

EVIL = "evil.example"  # a host that is not ours
MARK = "<img src=x onerror=alert(1) id=%s>'\""
RAW = re.compile(r"<img src=x|<svg onload|javascript:|<script(?![^>]*\ssrc=\"/static/)")
HOSTILE = '"><svg onload=alert(1)><img src=x onerror=alert(1)>{{7*7}}'

# Where a text of the database stands that people wrote, or programs of strangers: none of it may be believed.
SHOWN = {
    "access_rule.note", "alias.note", "alias_target.failure", "api_key.name", "app_password.name", "autoreply.subject",
    "autoreply.text", "forwarding_target.failure", "job.failure", "login_attempt.program", "login_session.program",
    "mailbox.display_name", "plan.name", "removal.removed_by", "route.login", "sending.brake_reason",
    "tenant.name", "webhook.disabled_why", "webhook_delivery.detail",
}  # fmt: skip
# What nobody can write as he likes: it is looked at when it comes in (addresses, names of hosts, networks), or is one of our own
# words, or a number of ours.
SHAPED = {
    "access_rule.pattern", "access_rule.verb", "account.kind", "account.name", "account.rights", "alias.folded", "alias.listed",
    "alias.local_part", "alias.open_to", "alias_target.address", "api_key.actions", "api_key.addresses", "api_key.networks",
    "api_key.public_id", "appointment.kind", "appointment.rights", "certificate.chain", "certificate.fingerprint",
    "certificate.origin", "certificate_name.name", "change.key", "change.kind", "consent_request.kind", "consent_request.target",
    "dkim_key.algorithm", "dkim_key.public_key", "dkim_key.selector", "dkim_key.state", "domain.catch_all", "domain.claim",
    "domain.dns_faults", "domain.kind", "domain.language", "domain.local_only", "domain.name", "domain.next_hop", "domain.source",
    "domain.source_settings", "domain.tag_separator", "domain.validation", "forwarding_target.address", "instance.host_name",
    "instance.instance_id", "job.asked_by", "job.kind", "job.public_id", "job.source", "job.state", "login_attempt.how",
    "login_attempt.source", "login_link.made_by", "login_session.source", "login_session.support_by", "login_step.back",
    "login_step.how", "login_step.purpose", "mailbox.folded", "mailbox.local_part", "own_settings.recovery_address",
    "own_settings.time_zone", "pattern.folded", "pattern.prefix", "recovery_mail.kind", "recovery_mail.target",
    "relay_recipient.folded", "removal.key", "removal.kind", "removal.name", "route.key", "route.next_hop", "route.source_address",
    "route.tls", "sender_grant.address", "store_task.domain", "store_task.local_part", "store_task.op", "tenant.kind",
    "webhook.public_id", "webhook.types", "webhook.url",
}  # fmt: skip
# What no page shows: secrets, what proves them, and what is kept to be done or to be given back as it was.
UNSEEN = {
    "account.sealed_hash", "app_password.sealed_hash", "api_key.sha256", "backup_code.sha256", "certificate.sealed_key",
    "dkim_key.sealed_key", "domain.sealed_secret", "forwarding.conditions", "given_answer.actor", "given_answer.body",
    "given_answer.key",
    "given_answer.request_hash", "instance.consent_key", "job.request", "login_link.token_sha256", "login_session.csrf",
    "login_session.token_sha256", "login_step.challenge", "login_step.token_sha256", "mailbox.sealed_hash",
    "own_settings.sealed_secret", "passkey.credential_id", "passkey.public_key", "publish_request.failure", "removed_rows.rows",
    "removed_rows.table", "route.sealed_password", "srs_secret.secret", "webhook.old_sealed_secret", "webhook.sealed_secret",
}  # fmt: skip
# Written where they are made, below: of what happened nothing is changed afterwards, and others have a shape around them.
OTHERWISE = {
    "audit_entry.action", "audit_entry.actor", "audit_entry.actor_kind", "audit_entry.after", "audit_entry.before",
    "audit_entry.digest", "audit_entry.source", "audit_entry.subject", "job.about", "job_part.operations", "job_result.body",
    "passkey.name",
}  # fmt: skip
# Pages that end the walk, or that have no form of ours.
NOT_WALKED = ("/logout", "/static/", "/api/", "/support/", "/login", "/theme", "/language")
OWN = "/account/"  # whose forms end sessions


class Page(HTMLParser):
    """Links and forms of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.forms: list[tuple[str, str, dict[str, str]]] = []  # method, action, fields
        self._form: tuple[str, str, dict[str, str]] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        if tag == "a" and "href" in told:
            self.links.append(told["href"])
        elif tag == "form":
            self._form = (told.get("method", "get"), told.get("action", ""), {})
            self.forms.append(self._form)
        elif self._form is not None and told.get("name") and tag in ("input", "textarea", "select", "button"):
            self._form[2].setdefault(told["name"], told.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None


@dataclass
class Walk:
    """All pages that somebody reached, by the shape of their address."""

    pages: dict[str, str] = field(default_factory=dict)  # address to what stood there
    forms: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)  # action's shape to action and fields
    asked: set[str] = field(default_factory=set)  # names of what a list can be asked for

    @property
    def text(self) -> str:
        """Everything that was read."""
        return "\n".join(self.pages.values())


def shape(address: str) -> str:
    """Pages that differ in what they are about, and not in what they are, have one shape."""
    path, _, query = address.partition("?")
    path = re.sub(r"[^/]+@[^/]+|[^/]+\.(?:example|test)(?=/|$)|[0-9a-f]{10,}|\d+|%[^/]*", "*", path)
    return path + ("?" + ",".join(sorted(part.partition("=")[0] for part in query.split("&"))) if query else "")


def walk(browser: Browser, *beginnings: str, headers: dict[str, str] | None = None, most: int = 2) -> Walk:
    """Follow every link of our own, *most* pages of a shape."""
    found, seen, counts = Walk(), set(beginnings), {}
    waiting = list(beginnings)
    while waiting:
        here = waiting.pop(0)
        response = browser.client.get(here, headers=headers or {})
        assert response.status_code < 500 or response.status_code == 503, (here, response.text[:500])
        if "text/html" not in response.headers.get("content-type", ""):
            continue
        found.pages[here] = response.text
        page = Page(response.text)
        for method, action, fields in page.forms:
            if method == "post":
                found.forms.setdefault(shape(action), (action, fields))
            else:
                found.asked |= set(fields)
        for link in page.links:
            address = urljoin(here, link)
            if not link.startswith(("/", "?")) or address in seen or address.startswith(NOT_WALKED):
                continue
            counts[shape(address)] = counts.get(shape(address), 0) + 1
            if counts[shape(address)] <= most:
                seen.add(address)
                waiting.append(address)
    return found


def spoil(office: Office) -> None:
    """Put a mark into every text of SHOWN, behind what stands there."""
    tables: MetaData = Base.metadata
    with unit_of_work(office.engine) as session:
        for name in sorted(SHOWN):
            table, _, column = name.partition(".")
            where: Table = tables.tables[table]
            assert session.scalar(select(func.count()).select_from(where)), f"nothing stands in {name}"
            session.execute(update(where).values({column: func.coalesce(where.c[column], "") + MARK % name}))


def furnish_more(office: Office) -> None:
    """What the examples lack, so that each text of SHOWN stands somewhere."""
    with unit_of_work(office.engine) as session:
        senders.add_app_password(session, screenshots.OWNER, "phone", actor=SYSTEM, sealer=office.sealer)
        autoreplies.put(session, screenshots.OWNER, text="away", actor=SYSTEM)
        aliases.create(session, "far@northwind.example", ["ann@away.example"], actor=SYSTEM)
        forwardings.put(session, screenshots.OWNER, ["ann@away.example"], actor=SYSTEM)
        for target in (AliasTarget, ForwardingTarget):
            session.execute(
                update(target).where(target.address == "ann@away.example").values(failed_at=1, confirmed_at=1)
            )
        owner = mailboxes.get(session, screenshots.OWNER, actor=SYSTEM)
        session.add(Sending(mailbox_id=owner.id, braked_at=1, brake_reason="much"))
        keys.create(session, actor=SYSTEM, name="billing")
        session.add(Route(key="", next_hop="smarthost.example", login="us"))
        hook = Webhook(
            public_id="h" * 16, tenant_id=1, url="https://hooks.example/in", sealed_secret="x", disabled_why="gone"
        )
        session.add(hook)
        session.flush()
        # Nothing that stands in the audit log is ever changed, so this is written at once.
        liar = Actor("operator", MARK % "audit.actor", source=MARK % "audit.source")
        audit.record(
            session, liar, "domain.create", MARK % "audit.subject", tenant_id=1, after={"note": MARK % "audit.after"}
        )
        session.add(WebhookDelivery(webhook_id=hook.id, event_id=0, attempt=1, detail="refused"))
    send_sheet(office)


def send_sheet(office: Office) -> None:
    """A file whose name and cells are hostile, looked at and begun: a line that is taken in, and some that are not."""
    text = io.StringIO()
    rows = [
        ("mailbox", "one@northwind.example", "sheet.name"),
        ("mailbox", "sheet.address", ""),
        ("sheet.kind", "x@x.example", ""),
    ]
    marked = [[MARK % cell if cell.startswith("sheet.") else cell for cell in row] for row in rows]
    csv.writer(text).writerows([("kind", "address", "display_name"), *marked])
    browser = office.client().log_in()
    browser.get("/import")
    file = {"file": (MARK % "sheet.file", text.getvalue(), "text/csv")}
    response = browser.client.post("/import", data={"csrf": browser.token}, files=file)
    assert response.status_code == 303, response.text


def tell_talks(office: Office, queue_ids: list[str]) -> None:
    """What the trace knows of the last conversation about messages that wait."""
    store, told = Store(office.app.state.wiring.traces), []
    for queue_id in queue_ids:
        to = {"queue_id": queue_id, "original_recipient": "ann@else.test", "final_recipient": "ann@else.test"}
        said = {
            **to,
            "status": "4.4.1",
            "diagnostic_code": MARK % "story.talk",
            "remote_mta": "mx.else.test",
            "stage": "rcpt",
        }
        taken = {"queue_id": queue_id, "session": "s", "reverse_path": "a@b.example", "forward_path": "ann@else.test"}
        told += [("enqueuer", "accepted", taken), ("scheduler", "deferred", said)]
    written = [lines.record(time.time() - 60, role, event, words) for role, event, words in told]
    store.take(Gatherer(store, 1000).gather(written), Place("x", 1))
    store.close()


class HostileZone:
    """Name servers that answer everything, and always in the same words."""

    def look_up(self, questions: Sequence[tuple[str, str]]) -> list[Found]:
        return [Found("answer", (MARK % "dns.answer",)) for _ in questions]


def wait_with(words: bytes) -> FakeQueue:
    """A queue in which three wait, because another host said *words*."""
    queue = FakeQueue()
    rig = queue.rig
    rig.diagnostic_code = words
    rig.outcomes = {b"ann@else.test": (b"delayed", b"4.4.1"), b"joe@shop.test": (b"delayed", b"4.2.2")}
    for number, recipient in enumerate((b"ann@else.test", b"ann@else.test", b"joe@shop.test"), 1):
        rig.accept(number, envelope_of(recipient))
    rig.run()
    return queue


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """An office in which every text is hostile: of people, of other hosts, of browsers."""
    with make_office(tmp_path_factory.mktemp("office")) as office, pytest.MonkeyPatch.context() as patch:
        stories = [(MARK % "story.sender", "a@b.example", "failed", "5.7.1", MARK % "story.said")]
        stories += [("a@b.example", MARK % "story.recipient", "refused", "", "550 " + MARK % "story.reply")]
        patch.setattr(screenshots, "STORIES", (*screenshots.STORIES, *stories))
        furnish(office)
        furnish_more(office)
        queue = wait_with((MARK % "queue.said").encode())
        tell_talks(office, [queue_id.decode() for queue_id in queue.rig.hands.envelopes])
        office.app.state.wiring = replace(office.app.state.wiring, scheduler=queue, resolver=HostileZone())
        office.client(headers={"User-Agent": "a browser"}).log_in()
        spoil(office)
        yield office


@pytest.fixture(scope="module")
def operator(attacked: Office) -> Browser:
    return attacked.client(headers={"User-Agent": MARK % "agent"}).log_in()


@pytest.fixture(scope="module")
def walked(operator: Browser) -> Walk:
    story = f"/messages/{len(screenshots.STORIES) - 1:020x}"  # the last but one of those that `attacked` adds
    asked = ("/isolation", "/queue?by=error", "/domains/northwind.example/dns?check=true", "/nowhere")
    return walk(operator, "/", "/account/sign-in", "/traffic", *asked, f"/mailboxes/{screenshots.OWNER}/sending", story)


def test_of_each_text_in_the_database_it_is_said_whether_pages_show_it() -> None:
    """A new column of text is spoiled here, or it is said why nobody can write into it what he likes."""
    tables: MetaData = Base.metadata
    texts = {
        f"{table.name}.{column.name}"
        for table in tables.sorted_tables
        for column in table.columns
        if isinstance(column.type, String | JSON)
    }
    parts = (SHOWN, SHAPED, UNSEEN, OTHERWISE)
    assert texts == set.union(*parts)
    assert len(texts) == sum(map(len, parts)), "one stands in two places"


def harmful(text: str) -> list[str]:
    """The pieces of *text* that a browser would run, or that are markup of somebody else's."""
    return [text[max(0, found.start() - 80) : found.end() + 40] for found in RAW.finditer(text)]


def test_no_text_that_people_or_strangers_wrote_is_markup(walked: Walk) -> None:
    """Names, notes, subjects, browsers' names, other hosts' words: on all pages, and each of them on one at least."""
    assert len(walked.pages) > 60
    wrong = {address: found for address, text in walked.pages.items() if (found := harmful(text))}
    assert wrong == {}
    told = {f"audit.{part}" for part in ("actor", "source", "subject", "after")} | {"queue.said", "dns.answer"}
    told |= {f"sheet.{part}" for part in ("address", "file")}
    wanted = SHOWN | told | {f"story.{part}" for part in ("sender", "said", "recipient", "reply", "talk")}
    assert {name for name in wanted if f"id={name}" not in walked.text} == set()


def test_the_name_of_a_passkey_is_no_markup(attacked: Office) -> None:
    """Its owner's page alone shows it, and none of those above is his."""
    attacked.account("keyed", 1)
    browser = attacked.client().log_in("keyed")
    with unit_of_work(attacked.engine) as session:
        owner = session.scalars(select(Account).where(Account.name == "keyed")).one()
        session.add(Passkey(account_id=owner.id, credential_id="c", public_key="k", name=MARK % "passkey.name"))
    page = browser.get("/account/second-step").text
    assert "id=passkey.name" in page
    assert harmful(page) == []


def test_nothing_that_is_asked_for_comes_back_as_markup(operator: Browser, walked: Walk) -> None:
    """In each parameter of each page, known ones and others, and in each part of an address."""
    names = sorted(walked.asked | {"search", "cursor", "next", "back", "q"})
    assert {"domain", "state", "by", "sender"} <= set(names)
    wrong = []
    for address in {shape(address): address.partition("?")[0] for address in walked.pages}.values():
        asked = [urlencode(dict.fromkeys(names, HOSTILE))]
        asked += [
            urlencode({name: HOSTILE}) for name in names if address in ("/queue", "/messages", "/audit", "/domains")
        ]
        for query in asked:
            response = operator.client.get(f"{address}?{query}")
            assert response.status_code < 500 or response.status_code == 503, (address, response.text[-300:])
            wrong += [(address, query, found) for found in harmful(response.text)]
        response = operator.client.get(f"{address}/{quote(HOSTILE, safe='')}")
        assert response.status_code < 500, (address, response.text[-300:])
        wrong += [(address, "path", found) for found in harmful(response.text)]
    assert wrong == []


def test_nothing_that_is_sent_comes_back_as_markup(operator: Browser, walked: Walk) -> None:
    """Each field of each form that there is, beside its error or as it was typed; nor does anything of it break a page."""
    assert len(walked.forms) > 40
    wrong = []
    for action, fields in walked.forms.values():
        if action.startswith((*NOT_WALKED, OWN)):
            continue
        operator.get("/domains/new")
        sent = {name: HOSTILE for name in fields if name != "csrf"}
        response = operator.post(action, sent)
        assert response.status_code < 500 or response.status_code == 503, (action, response.text[-300:])
        wrong += [(action, found) for found in harmful(response.text)]
        assert EVIL not in response.headers.get("location", "")
        if response.status_code == 303:
            wrong += [(action, found) for found in harmful(operator.get(response.headers["location"]).text)]
    assert operator.get("/domains/new").status_code == 200, "it came to an end on the way"
    assert wrong == []


def test_no_form_is_too_much_for_us(operator: Browser, walked: Walk) -> None:
    """A field of a hundred thousand signs is refused or cut, never an error of ours; more fields than any form has are."""
    for action, fields in walked.forms.values():
        if not action.startswith((*NOT_WALKED, OWN)):
            operator.get("/domains/new")
            sent = {name: "x" * 100_000 for name in list(fields)[:8] if name != "csrf"}
            assert operator.post(action, sent).status_code != 500, action
    assert operator.get("/domains/new").status_code == 200, "it came to an end on the way"
    many = {f"field{number}": "x" for number in range(1000)}
    assert operator.post("/domains", many).status_code == 400


def test_the_name_that_a_browser_calls_us_by_stands_in_no_link(attacked: Office) -> None:
    """Host, X-Forwarded-Host and Forwarded are the client's word: no page, no redirection and no mail is made of them."""
    browser = attacked.client().log_in()
    lying = {"X-Forwarded-Host": EVIL, "Forwarded": f"host={EVIL}", "X-Host": EVIL, "X-Original-URL": f"//{EVIL}/"}
    told = walk(browser, "/", "/login", headers=lying, most=1)
    assert [address for address, text in told.pages.items() if EVIL in text] == []
    for path in ("/", "/domains", "/nowhere", "/login"):
        response = attacked.client(base_url=f"http://{EVIL}").client.get(path)
        assert EVIL not in response.headers.get("location", "") + response.text


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_cookie_can_be_read_by_a_script_or_set_by_a_neighbour(attacked: Office, scheme: str) -> None:
    """On every answer that sets one; under TLS bound to this host as well."""
    browser = attacked.client(base_url=f"{scheme}://panel.test")
    set_by = [browser.get("/login")]
    set_by += [browser.post("/login", {"name": OPERATOR, "password": PASSWORD}), browser.get("/domains/new")]
    set_by += [
        browser.post("/theme", {"theme": "dark"}),
        browser.post("/language", {"language": "de"}),
        browser.post("/logout"),
    ]
    cookies = [cookie for response in set_by for cookie in response.headers.get_list("set-cookie")]
    assert len(cookies) >= 5
    for cookie in cookies:
        wanted = {"HttpOnly", "Path=/", "SameSite=lax"} | ({"Secure"} if scheme == "https" else set())
        assert wanted <= set(cookie.split("; ")), cookie
        assert "domain=" not in cookie.lower()
        assert cookie.startswith("__Host-") == (scheme == "https")


def test_every_page_keeps_out_of_frames_and_caches(operator: Browser, walked: Walk) -> None:
    for address in {shape(address): address for address in walked.pages}.values():
        headers = operator.client.get(address).headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"], address
        assert "unsafe" not in headers["content-security-policy"], address
        assert headers["cache-control"] == "no-store", address
        assert headers["x-content-type-options"] == "nosniff", address


def test_a_browser_that_is_signed_in_is_no_program_with_a_key(attacked: Office) -> None:
    """The cookie opens nothing of the API, where no form's token is asked for."""
    browser = attacked.client().log_in()
    tried = 0
    for context in iter_route_contexts(attacked.app.routes):
        path = re.sub(r"\{[^}]*\}", "1", context.path or "")
        if not path.startswith("/api/v1/") or path.endswith(("/docs", "/openapi.json")):
            continue
        for verb in (context.methods or set()) - {"HEAD"}:
            response = browser.client.request(verb, path, json={})
            assert response.status_code == 401, (verb, path, response.text[:200])
            tried += 1
    assert tried > 80


def test_nobody_is_signed_in_by_somebody_elses_form(attacked: Office) -> None:
    """A stranger's page cannot have a visitor come in under the stranger's own name, and what he does there end up with him."""
    stranger, visitor = attacked.client(), attacked.client()
    stranger.get("/login")
    visitor.get("/login")
    visitor.token = stranger.token
    response = visitor.post("/login", {"name": OPERATOR, "password": PASSWORD})
    assert response.status_code == 403
    assert visitor.get("/domains").status_code == 303
    fresh = attacked.client()
    fresh.token = stranger.token
    assert fresh.post("/login", {"name": OPERATOR, "password": PASSWORD}).status_code == 403


def test_a_field_that_comes_twice_is_one_thing_and_not_two(attacked: Office) -> None:
    """What is checked is what is done, whichever of the two that is."""
    browser = attacked.client().log_in()
    browser.get("/domains/new")
    pairs = [("csrf", browser.token), ("name", "first-one.test"), ("name", "second-one.test")]
    content = urlencode(pairs)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert browser.client.post("/domains", content=content, headers=form).status_code == 303
    with reading(attacked.engine) as session:
        names = set(session.scalars(select(Base.metadata.tables["domain"].c.name)))
    assert len(names & {"first-one.test", "second-one.test"}) == 1
    forged = urlencode([("csrf", browser.token), ("csrf", "0" * 40), ("name", "third-one.test")])
    assert browser.client.post("/domains", content=forged, headers=form).status_code == 403
