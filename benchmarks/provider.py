"""A provider's whole house in full size: what `benchmarks.api` fills, and all that gathers around it in the years after.

Resellers, customers, people, aliases, forwards; who did what, once for each mailbox that was made; what became of the newest
messages; what waits in the queue.

A reader would otherwise get wrong: one reseller has a tenth of all. A provider's part is never split into equal pieces, and what
is slow is slow for the largest.
"""

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, func, insert, select, text, update

from appliance.config import load_settings
from appliance.database.engine import open_engine
from appliance.models import (
    Account,
    ApiKey,
    Appointment,
    Base,
    Domain,
    Job,
    JobResult,
    Mailbox,
    Plan,
    Removal,
    Tenant,
    Webhook,
    WebhookDelivery,
)
from benchmarks import api, million
from benchmarks.undeliverable import lay
from mta import roster, traces
from mta.roles.tracer.store import Store

DOMAINS_EACH = 5  # of a customer
LARGEST = 10  # the first reseller has one of so many customers
RESELLERS_OF = 20  # there is a reseller to so many customers
DIGEST = "0" * 64  # as long as a real one
QUEUED = 2000  # messages; or one to so many mailboxes, when those are fewer
NEXT_HOP = "127.0.0.1:1"  # where nobody listens
DAY_SECONDS = 86400
EVENTS = (("smtpd", "connected"), ("enqueuer", "accepted"), ("scheduler", "delivered"))
MANY = 200  # of what a reseller or a customer has a few of


class House(api.House):
    """The same with everything that a provider has besides."""

    @property
    def url(self) -> str:
        """Of the database."""
        return load_settings(self.settings).database_url

    @property
    def customers(self) -> int:
        """How many there are."""
        return max(1, self.domains // DOMAINS_EACH)

    @property
    def largest(self) -> int:
        """How many of them the first reseller has: the first ones."""
        return max(1, self.customers // LARGEST)

    def make(self) -> None:
        """Settings, rows, traces and queue."""
        super().make()
        engine = open_engine(self.url)
        with engine.begin() as connection:
            _Filling(connection, self.customers, self.largest).all()
        if engine.dialect.name == "sqlite":
            with engine.begin() as connection:
                connection.execute(text("ANALYZE"))
        else:
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("ANALYZE"))
        self._fill_traces(engine)
        lay(
            self.root / "var",
            self.settings,
            min(QUEUED, max(50, self.mailboxes // 500)),
            lambda n: f"user{n}@relayed{n % 10}.test",
        )
        engine.dispose()

    def _fill_traces(self, engine: Engine) -> None:
        """What became of one message to every fourth mailbox, within the last day."""
        file = self.root / "var" / traces.FILE
        file.parent.mkdir(exist_ok=True)
        Store(file).close()
        with engine.connect() as connection:
            wanted = select(Mailbox.folded, Domain.name).join(Domain, Domain.id == Mailbox.domain_id)
            rows = connection.execute(
                wanted.where(Mailbox.id % 4 == 0).order_by(func.length(Mailbox.folded), Mailbox.id)
            )
            addresses = [f"{folded}@{name}" for folded, name in rows]
        with sqlite3.connect(file, isolation_level=None) as store:
            store.execute("BEGIN")
            began = time.time() - DAY_SECONDS + 60
            messages = [
                _Message(n, began + n * (DAY_SECONDS - 120) / len(addresses), to) for n, to in enumerate(addresses, 1)
            ]
            store.executemany(f"INSERT INTO message VALUES ({', '.join('?' * 11)})", map(_row, messages))
            store.executemany(
                "INSERT INTO event VALUES (?, ?, ?, ?, ?)", (one for each in messages for one in _events(each))
            )
            store.executemany(
                "INSERT INTO party VALUES (?, ?, ?, ?)", (one for each in messages for one in _parties(each))
            )
            store.execute("COMMIT")
        store.close()
        if os.geteuid() == 0:
            base = load_settings(self.settings).host.uid_base
            os.chown(file, base + roster.TRACER.number, base + roster.TRACER.number)


class _Message(NamedTuple):
    number: int
    at: float
    recipient: str

    @property
    def queue_id(self) -> str:
        return queue_id(self.number)

    @property
    def sender(self) -> str:
        return f"somebody{self.number % 997}@elsewhere{self.number % 89}.example"


def queue_id(number: int) -> str:
    """Of the message with this number in the trace store."""
    return f"{number:020x}"


def _row(one: _Message) -> tuple[Any, ...]:
    refused = one.number % 10 == 0
    name = None if refused else one.queue_id
    state = "refused" if refused else ("delivered", "delivered", "deferred", "failed")[one.number % 4]
    return one.number, name, f"s{one.number}", one.at, "192.0.2.25", one.sender, "", 48_213, 1, None, state


def _events(one: _Message) -> Iterator[tuple[Any, ...]]:
    words = json.dumps({"reverse_path": one.sender, "forward_path": one.recipient, "client": "192.0.2.25"})
    for place, (role, event) in enumerate(EVENTS):
        yield one.number, one.at + place, role, event, words


def _parties(one: _Message) -> Iterator[tuple[Any, ...]]:
    for way, address in ((traces.REVERSE_PATH, one.sender), (traces.RECIPIENT, one.recipient)):
        yield one.number, way, address, traces.domain_of(address)


class _Filling:
    """Rows of everything else, in one transaction."""

    def __init__(self, connection: Connection, customers: int, large: int) -> None:
        self._connection, self._customers, self._large = connection, customers, large
        self._root = int(connection.scalar(select(Tenant.id).where(Tenant.kind == "operator")) or 0)
        self._now = int(time.time())

    def all(self) -> None:
        """Everything, in an order in which what is referred to is there."""
        self._tenants()
        self._relayed()
        self._keys()
        self._addresses()
        self._people()
        self._machinery()
        self._deeds()

    def _put(self, model: type[Base], rows: Sequence[dict[str, Any]]) -> None:
        self._connection.execute(insert(model), rows)

    def _run(self, statement: str, **values: object) -> None:
        self._connection.execute(text(statement), {"now": self._now, **values})

    def _tenants(self) -> None:
        resellers = max(2, self._customers // RESELLERS_OF)
        limits = {
            "max_domains": 10_000,
            "max_mailboxes": 1_000_000,
            "max_aliases": 1_000_000,
            "max_storage_bytes": 1 << 55,
        }
        self._put(
            Tenant,
            [
                {"name": f"Reseller {n}", "kind": "reseller", "parent_id": self._root, **limits}
                for n in range(resellers)
            ],
        )
        first = int(self._connection.scalar(select(func.min(Tenant.id)).where(Tenant.kind == "reseller")) or 0)
        self._put(
            Plan,
            [{"tenant_id": first, "name": f"Plan {n}", "max_domains": 20, "max_mailboxes": 2000} for n in range(30)],
        )
        plan = self._connection.scalar(select(func.min(Plan.id)))
        self._put(
            Tenant,
            [
                {
                    "name": f"Customer {n}", "kind": "customer", "plan_id": plan,
                    "parent_id": first if n < self._large else first + 1 + n % (resellers - 1),
                }
                for n in range(self._customers)
            ],
        )  # fmt: skip
        self._run(
            "UPDATE domain SET tenant_id = (SELECT min(id) FROM tenant WHERE kind = 'customer') "
            "+ CAST(substr(name, 7, length(name) - 11) AS INTEGER) / :each % :customers WHERE name LIKE 'domain%.test'",
            each=DOMAINS_EACH, customers=self._customers,
        )  # fmt: skip
        self._run(
            "UPDATE mailbox SET quota_bytes = 2147483648, used_bytes = 20480 * (id % 90000), display_name = 'Somebody'"
        )

    def _keys(self) -> None:
        """As domains have them that were not all made this minute: half a processor makes them for a quarter of an hour."""
        self._run(
            "INSERT INTO dkim_key (domain_id, selector, algorithm, public_key, sealed_key, state, changed_at, created_at, version) "
            "SELECT id, 'bench', 'ed25519-sha256', :public, :sealed, 'signing', :now, :now, 1 FROM domain "
            "WHERE NOT EXISTS (SELECT 1 FROM dkim_key k WHERE k.domain_id = domain.id)",
            public=million.PUBLIC, sealed=million.SEALED,
        )  # fmt: skip

    def _relayed(self) -> None:
        """Domains whose mail goes on to where nobody is, so that it waits."""
        customer = self._connection.scalar(select(func.min(Tenant.id)).where(Tenant.kind == "customer"))
        row = {"kind": "relay", "tenant_id": customer, "next_hop": NEXT_HOP, "proved_at": self._now}
        self._put(Domain, [{"name": f"relayed{n}.test", **row} for n in range(10)])

    def _addresses(self) -> None:
        hosted = "FROM domain d WHERE d.kind = 'hosted' AND d.name LIKE 'domain%'"
        for name in ("sales", "info"):
            self._run(
                "INSERT INTO alias (domain_id, local_part, folded, created_at, version) "
                f"SELECT d.id, '{name}', '{name}', :now, 1 {hosted}"
            )
        self._run(
            "INSERT INTO alias_target (alias_id, address, confirmed_at) "
            "SELECT a.id, (SELECT min(m.folded) FROM mailbox m WHERE m.domain_id = d.id) || '@' || d.name, :now "
            "FROM alias a JOIN domain d ON d.id = a.domain_id"
        )
        self._run(
            "INSERT INTO forwarding (mailbox_id, keep_copy, enabled, changed_at) "
            "SELECT id, :yes, :yes, :now FROM mailbox WHERE id % 50 = 0", yes=True,
        )  # fmt: skip
        self._run(
            "INSERT INTO forwarding_target (forwarding_id, address, confirmed_at) "
            "SELECT mailbox_id, 'somebody' || mailbox_id || '@elsewhere.example', :now FROM forwarding"
        )

    def _people(self) -> None:
        """An account for each tenant, and one for a domain of each."""
        self._connection.execute(update(Account).values(must_change=False))
        for kind in ("reseller", "customer"):
            self._run(
                "INSERT INTO account (name, kind, tenant_id, sealed_hash, must_change, created_at, version) "
                "SELECT kind || id, kind, id, :sealed, :no, :now, 1 FROM tenant WHERE kind = :kind",
                kind=kind, sealed=million.SEALED, no=False,
            )  # fmt: skip
        self._run(
            "INSERT INTO account (name, kind, tenant_id, domain_id, sealed_hash, must_change, created_at, version) "
            "SELECT 'clerk' || min(id), 'domain', tenant_id, min(id), :sealed, :no, :now, 1 FROM domain GROUP BY tenant_id",
            sealed=million.SEALED, no=False,
        )  # fmt: skip
        self._run(
            "INSERT INTO login_session (token_sha256, csrf, account_id, source, created_at, expires_at) "
            "SELECT 'session' || id, 'x', id, '192.0.2.1', :now, :now + 40000 FROM account"
        )

    def _machinery(self) -> None:
        """Keys, webhooks, jobs, what was removed: some of each for the first customer."""
        customer = int(self._connection.scalar(select(func.min(Tenant.id)).where(Tenant.kind == "customer")) or 0)
        domain = self._connection.scalar(select(func.min(Domain.id)).where(Domain.name == "domain0.test"))
        box = self._connection.scalar(select(func.min(Mailbox.id)).where(Mailbox.domain_id == domain))
        sealed = million.SEALED
        several = range(MANY)
        self._put(Appointment, [{"mailbox_id": box, "kind": "domain", "tenant_id": customer, "domain_id": domain}])
        self._put(ApiKey, [{"public_id": f"key{n}", "sha256": DIGEST, "tenant_id": customer} for n in several])
        hook = {"tenant_id": customer, "sealed_secret": sealed, "enabled": False}
        self._put(Webhook, [{"public_id": f"hook{n}", "url": f"https://bills{n}.example/", **hook} for n in range(20)])
        first = self._connection.scalar(select(func.min(Webhook.id)))
        self._put(WebhookDelivery, [{"webhook_id": first, "event_id": n, "attempt": 1, "status": 200} for n in several])
        row = {"kind": "batch", "state": "done", "asked_by": "key0", "tenant_id": customer, "ended_at": self._now}
        self._put(Job, [{"public_id": f"job{n}", "total": MANY, "done": MANY, "failed": 3, **row} for n in several])
        job = self._connection.scalar(select(func.max(Job.id)))
        body = {"address": "somebody@domain0.test"}
        self._put(JobResult, [{"job_id": job, "position": n, "status": 201, "body": body} for n in several])
        gone = {"kind": "mailbox", "tenant_id": customer, "domain_id": domain, "removed_by": "customer", "rank": 2}
        gone |= {"until": self._now + 20 * DAY_SECONDS, "mailboxes": 1}
        names = [f"gone{n}@domain0.test" for n in several]
        self._put(Removal, [{"key": name, "name": name, **gone} for name in names])

    def _deeds(self) -> None:
        """Each mailbox was made once."""
        self._run(
            "INSERT INTO audit_entry (at, actor_kind, actor, action, subject, tenant_id, domain_id, after, source, digest) "
            "SELECT :now - 1000000 + m.id, 'customer', 'customer' || d.tenant_id, 'mailbox.created', m.folded || '@' || d.name, "
            """d.tenant_id, d.id, '{"quota_bytes": 2147483648, "display_name": "Somebody"}', '192.0.2.1', :digest """
            "FROM mailbox m JOIN domain d ON d.id = m.domain_id", digest=DIGEST,
        )  # fmt: skip
