"""Every page of the panel with a million mailboxes: `python -m benchmarks.panel [--mailboxes N] [--domains N] [--postgresql URL]`.

Each page that there is, as each kind of person, many times over a real socket: how long the server takes for it, and what a
browser loads that was never here before. And searches, as somebody types them. `--house FOLDER` keeps what was filled, which
takes minutes, for the next time.

A reader would otherwise get wrong: the pages are not listed here but come from the panel's own routes, and whatever follows a
list's "next page" comes from the page itself. A route whose address names something new fails until `_Things` knows one.
"""

import argparse
import contextlib
import http.client
import math
import random
import re
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlencode

from fastapi.routing import iter_route_contexts
from sqlalchemy import Engine, func, select

from appliance import consent_links
from appliance.consent_links import Question
from appliance.database.engine import open_engine
from appliance.database.session import Session, unit_of_work
from appliance.models import (
    Account,
    Alias,
    ConsentRequest,
    Domain,
    Instance,
    Job,
    Plan,
    Removal,
    Tenant,
    Webhook,
)
from appliance.services import login_links, sessions
from benchmarks import million
from benchmarks.provider import DOMAINS_EACH, House, queue_id
from web import security
from web.panel.routes import router

MOST_MS, MOST_KIB = 100.0, 100.0
READS = 100
OPERATOR, RESELLER, CUSTOMER, OWNER, NOBODY = "operator", "reseller", "customer", "owner", "nobody"
ROLES = (OPERATOR, RESELLER, CUSTOMER, OWNER, NOBODY)
TYPED = ("a", "an", "ann", "anna.m", "anna.meyer1", "domain77", "customer 1", "nobody.at.all", "6")
_FIELD = re.compile(r"\{(\w+)(?::\w+)?\}")
_ASSET = re.compile(r'(?:href|src)="(/static/[^"#]+)')
_NEXT = re.compile(r'href="([^"]+)" rel="next"')
_HEAD = re.compile(r'<a class="by"[^>]* href="([^"#]+)')
_SEARCH = re.compile(r'name="search"[^>]*hx-get="([^"]+)"')
_HTML = "text/html"
_SHOWN = (
    http.HTTPStatus.OK,
    http.HTTPStatus.UNPROCESSABLE_ENTITY,
)  # the latter: the page, and what it wants to know first
Headers = Mapping[str, str]


@dataclass(slots=True)
class Page:
    """What was measured of one page, or of a search on it."""

    address: str  # as the route has it
    role: str
    took: list[float] = field(default_factory=list)  # milliseconds
    busy: float = 0.0  # of these, for which the process had a processor, on average
    kib: float = 0.0  # the first load, with all it needs, as sent; of a search nothing

    @property
    def p50(self) -> float:
        """Milliseconds."""
        return statistics.median(self.took)

    @property
    def p99(self) -> float:
        """Milliseconds, within which 99 of 100 answers came; of fewer than a hundred, all."""
        return sorted(self.took)[math.ceil(0.99 * len(self.took)) - 1]


@dataclass(frozen=True, slots=True)
class Found:
    """All pages, and all searches."""

    pages: list[Page]
    searches: list[Page]

    @property
    def slow(self) -> list[Page]:
        """Those beyond the bound."""
        return [page for page in (*self.pages, *self.searches) if page.p99 >= MOST_MS]

    @property
    def heavy(self) -> list[Page]:
        """Those beyond the bound."""
        return [page for page in self.pages if page.kib >= MOST_KIB]


def addresses() -> list[str]:
    """Every GET address of the panel."""
    found = {
        str(route.path): None
        for route in iter_route_contexts(router.routes)
        if "GET" in (route.methods or ()) and route.path is not None
    }
    return [*found, "/api/v1/docs"]


class _Things:
    """Something that exists for each field of an address; of domains and mailboxes another one at each turn."""

    def __init__(self, session: Session, house: House, role: str) -> None:
        self._choose, self._house = random.Random(1), house
        in_domains = house.per_domain * min(DOMAINS_EACH, house.domains)
        # His mailboxes are the first ones.
        self._his = {RESELLER: in_domains * house.largest, CUSTOMER: in_domains, OWNER: 1}.get(role, house.mailboxes)
        customer = session.scalars(select(Tenant).where(Tenant.kind == "customer").order_by(Tenant.id)).first()
        assert customer is not None
        domain = session.scalars(select(Domain).where(Domain.name == "domain0.test")).one()
        alias = session.scalars(select(Alias).order_by(Alias.id)).first()
        assert alias is not None
        self._fixed = {
            "tenant_id": customer.id,
            "account": session.scalar(select(func.min(Account.name)).where(Account.domain_id == domain.id)),
            "job": session.scalar(select(Job.public_id).order_by(Job.id.desc()).limit(1)),
            "public_id": session.scalar(select(Webhook.public_id).order_by(Webhook.id).limit(1)),
            "identity": queue_id(1),
            "role": "web",
            "token": "none",  # where nothing better is known: of a link that is good once
            "queue_id": _queued(house),
        }
        self._numbers = {
            "/plans": session.scalar(select(func.min(Plan.id))),
            "/removals": session.scalar(select(func.min(Removal.id))),
        }
        self._alias = f"{alias.folded}@{alias.domain.name}"
        self._tokens = {"/consent": _consent(session, customer.id), "/login": _link(session, house)}

    def fill(self, address: str) -> str:
        """*address* with something in the place of each field.

        Raises:
            KeyError: nobody said what could stand there.
        """
        number = self._choose.randrange(self._house.mailboxes) % self._his
        domain = number // self._house.per_domain if "{account}" not in address else 0
        values = self._fixed | {
            "name": f"domain{domain}.test",
            "address": self._alias if address.startswith("/aliases") else self.mailbox(number),
        }
        for place, found in (*self._numbers.items(), *self._tokens.items()):
            if address.startswith(place):
                values |= {"number": found, "token": found}
        return _FIELD.sub(lambda match: quote(str(values[match[1]]), safe="@+"), address)

    def mailbox(self, number: int) -> str:
        """The address of the mailbox with this number."""
        return f"{self._house.local_part(number)}@domain{number // self._house.per_domain}.test"


def _queued(house: House) -> str:
    """A message that waits; its name is kept for as long."""
    return min(path.name for path in (house.root / "var/spool/envelope").iterdir())


def _consent(session: Session, tenant_id: int) -> str:
    """Somebody elsewhere is asked."""
    row = ConsentRequest(kind="mailbox", holder_id=1, target="somebody@elsewhere.example", tenant_id=tenant_id)
    session.add(row)
    session.flush()
    key = session.scalars(select(Instance.consent_key)).one()
    return consent_links.token(key, Question(row.id, row.kind, row.holder_id, row.target, row.asked_at))


def _link(session: Session, house: House) -> str:
    return login_links.create(session, f"{house.local_part(0)}@domain0.test", actor=million.ACTOR, seconds=3600).token


def _sign_in(session: Session, house: House, role: str) -> dict[str, str]:
    """The headers of somebody's browser."""
    names = {
        OPERATOR: session.scalar(select(Account.name).where(Account.kind == "operator").limit(1)),
        RESELLER: session.scalar(select(Account.name).where(Account.kind == "reseller").order_by(Account.id).limit(1)),
        CUSTOMER: session.scalar(select(Account.name).where(Account.kind == "customer").order_by(Account.id).limit(1)),
        OWNER: f"{house.local_part(0)}@domain0.test",
    }
    if role == NOBODY:
        return {}
    return {"Cookie": f"{security.SESSION_COOKIE}={sessions.create(session, str(names[role])).token}"}


class _Browser:
    """One connection that is kept, as browsers keep it."""

    def __init__(self, port: int, headers: Headers) -> None:
        self._port, self._headers = port, {"Accept-Encoding": "gzip", **headers}
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def get(self, path: str, **headers: str) -> tuple[int, http.client.HTTPMessage, bytes, float]:
        """Status, header, content and how many milliseconds it took. Of what is no page only the beginning."""
        began = time.perf_counter()
        self._connection.request("GET", path, headers={**self._headers, **headers})
        answer = self._connection.getresponse()
        if answer.headers.get_content_type() != _HTML and not path.startswith("/static/"):
            answer.close()
            self.close()
            return answer.status, answer.headers, b"", 0.0
        content = answer.read()
        return answer.status, answer.headers, content, 1e3 * (time.perf_counter() - began)

    def close(self) -> None:
        """Hang up; the next request calls again."""
        self._connection.close()


class _Measuring:
    """All pages, as one kind of person."""

    def __init__(self, house: House, engine: Engine, role: str, reads: int) -> None:
        self._role, self._reads, self._web = role, reads, house.web
        with unit_of_work(engine) as session:
            self._things = _Things(session, house, role)
            self._browser = _Browser(house.panel, _sign_in(session, house, role))
        self._assets: dict[str, float] = {}
        self._searched: set[str] = set()
        self.pages: list[Page] = []
        self.searches: list[Page] = []

    def all(self) -> None:
        """Everything that this role may see."""
        for address in addresses():
            status, headers, content, _ = self._browser.get(self._things.fill(address))
            if status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
                raise RuntimeError(f"{address} as {self._role}: {status}")
            if status not in _SHOWN or headers.get_content_type() != _HTML:
                continue  # Not his, or nothing that is looked at.
            text = content.decode()
            page = Page(address, self._role, kib=(len(content) + self._weigh(text)) / 1024)
            self._repeat(page, [self._things.fill(address) for _ in range(self._reads)])
            self.pages.append(page)
            self._beyond(address, text)

    def close(self) -> None:
        """Hang up."""
        self._browser.close()

    def _repeat(self, page: Page, paths: list[str], **headers: str) -> None:
        before = _busy_ms(self._web)
        self._ask(page, paths, headers)
        page.busy = (_busy_ms(self._web) - before) / len(paths)

    def _ask(self, page: Page, paths: list[str], headers: Headers) -> None:
        for path in paths:
            status, _, content, took = self._browser.get(path, **headers)
            if status not in _SHOWN:
                raise RuntimeError(f"{path} as {self._role}: {status}: {content[:300]!r}")
            page.took.append(took)

    def _beyond(self, address: str, text: str) -> None:
        """Further pages of a list, its other orders, and searches in it."""
        following = _NEXT.search(text)
        if following:
            page = Page(f"{address} …", self._role)
            self._repeat(page, [following[1].replace("&amp;", "&")] * self._reads)
            self.pages.append(page)
        orders = [path.replace("&amp;", "&") for path in _HEAD.findall(text)]
        if orders:
            page = Page(f"{address} ↕", self._role)
            self._repeat(page, orders * max(1, self._reads // len(orders)))
            self.pages.append(page)
        box = _SEARCH.search(text)
        if box and address not in self._searched:
            self._searched.add(address)
            page = Page(f"{address} ?", self._role)
            paths = [f"{box[1]}?{urlencode({'search': typed})}" for typed in TYPED]
            self._repeat(page, paths * max(1, self._reads // len(paths)), **{"HX-Request": "true"})
            self.searches.append(page)

    def _weigh(self, text: str) -> float:
        """Octets of what the page needs besides itself, as they are sent."""
        for path in _ASSET.findall(text):
            if path not in self._assets:
                status, _, content, _ = self._browser.get(path)
                assert status == http.HTTPStatus.OK, path
                self._assets[path] = len(content)
        return sum(self._assets[path] for path in dict.fromkeys(_ASSET.findall(text)))


def _busy_ms(pid: int) -> float:
    """For how many milliseconds the threads of a process have had a processor so far."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e6


def measure(house: House, reads: int = READS, roles: tuple[str, ...] = ROLES) -> Found:
    """Start *house*, which is made, and ask it for everything."""
    house.start()
    try:
        return ask(house, reads, roles)
    finally:
        house.stop()


def ask(house: House, reads: int = READS, roles: tuple[str, ...] = ROLES) -> Found:
    """Ask *house*, which runs, for everything."""
    engine = open_engine(house.url)
    try:
        _wait(house)
        pages, searches = list[Page](), list[Page]()
        for role in roles:
            measuring = _Measuring(house, engine, role, reads)
            with contextlib.closing(measuring):
                measuring.all()
            pages += measuring.pages
            searches += measuring.searches
        return Found(pages, searches)
    finally:
        engine.dispose()


def _wait(house: House) -> None:
    """Until the panel answers, and nothing else is busy with what came of the start."""
    end = time.monotonic() + million.PATIENCE_SECONDS
    while time.monotonic() < end:
        with (
            contextlib.suppress(OSError, http.client.HTTPException),
            contextlib.closing(_Browser(house.panel, {})) as browser,
        ):
            if browser.get("/login")[0] == http.HTTPStatus.OK:
                return
        time.sleep(0.2)
    raise TimeoutError("the panel does not answer")


def make(root: Path, domains: int, per_domain: int, *, postgresql: str | None = None) -> House:
    """A house below *root*: filled and published, unless it is there already."""
    house = House(root, domains, per_domain, postgresql)
    if not house.settings.exists():
        root.mkdir(parents=True, exist_ok=True)
        house.make()
        house.command("publish", "--full")
    house.port, house.panel = _ports(house)
    return house


def _ports(house: House) -> tuple[int, int]:
    """Of SMTP and panel, as they were chosen when it was made."""
    text = house.settings.read_text()
    smtp, panel = (re.search(rf'^{name} = \["127.0.0.1:(\d+)"\]', text, re.MULTILINE) for name in ("smtp", "panel"))
    assert smtp is not None
    assert panel is not None
    return int(smtp[1]), int(panel[1])


def table(found: Found) -> Iterator[str]:
    """Lines for people, the slowest first."""
    yield f"{'page':44} {'as':9} {'p50 ms':>8} {'p99 ms':>8} {'busy ms':>8} {'KiB':>7}"
    for page in sorted((*found.pages, *found.searches), key=lambda page: -page.p99):
        weight = f"{page.kib:7.1f}" if page.kib else " " * 7
        yield f"{page.address:44} {page.role:9} {page.p50:8.1f} {page.p99:8.1f} {page.busy:8.1f} {weight}"
    yield f"{len(found.pages)} pages, {len(found.searches)} searches; slow: {len(found.slow)}; heavy: {len(found.heavy)}"


def main() -> int:
    """Measure and print; 1: a bound was missed."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--mailboxes", type=int, default=1_000_000)
    arguments.add_argument("--domains", type=int, default=10_000)
    arguments.add_argument("--reads", type=int, default=READS, help="of each page")
    arguments.add_argument("--roles", nargs="+", choices=ROLES, default=ROLES)
    arguments.add_argument("--house", type=Path, help="where it is made, and kept")
    arguments.add_argument("--postgresql", help="postgresql://USER:PASSWORD@ADDRESS:PORT/NAME of an empty database")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="postern-panel-") as folder:
        Path(folder).chmod(0o711)
        root = given.house or Path(folder) / "house"
        house = make(root.absolute(), given.domains, given.mailboxes // given.domains, postgresql=given.postgresql)
        found = measure(house, given.reads, tuple(given.roles))
    print("\n".join(table(found)))
    return 1 if found.slow or found.heavy else 0


if __name__ == "__main__":
    raise SystemExit(main())
