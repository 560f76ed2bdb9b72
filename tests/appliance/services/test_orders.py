"""Lists in other orders than their own: page by page, whatever is alike, and from no page of another order."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import pytest

from appliance.database.session import Session
from appliance.errors import NotFound
from appliance.models import Certificate, CertificateName, Webhook
from appliance.services import (
    accounts,
    aliases,
    audit,
    certificates,
    domains,
    forwardings,
    jobs,
    keys,
    mailboxes,
    paging,
    plans,
    removals,
    tenants,
    webhooks,
)
from appliance.services.audit import Search
from tests.fixtures.database import FURNISHED, OPERATOR
from tests.fixtures.world import people

DOMAIN = "own.test"
NEVER = 1 << 62


def furnish(session: Session, tenant_id: int) -> None:
    """Of each noun some, alike in much of what they are sorted by."""
    for number in range(5):
        domains.create(session, f"d{number}.test", tenant_id=tenant_id, actor=OPERATOR)
        box = mailboxes.create(session, f"box{number}@{DOMAIN}", actor=OPERATOR)
        box.used_bytes, box.created_at = (number % 3) << 20, 1000 + number % 2
        alias = aliases.create(session, f"alias{number}@{DOMAIN}", [f"joe@{DOMAIN}"], actor=OPERATOR)
        alias.created_at = 2000 - number % 2
        forwardings.put(session, f"box{number}@{DOMAIN}", [f"joe@{DOMAIN}"], actor=OPERATOR)
        mailboxes.create(session, f"gone{number}@d{number % 3}.test", actor=OPERATOR).used_bytes = number % 2
        mailboxes.remove(session, f"gone{number}@d{number % 3}.test", actor=OPERATOR)
        mailboxes.create(session, f"box@d{number % 3}.test" if number < 3 else f"b{number}@d0.test", actor=OPERATOR)
        tenants.create(session, f"{'nN'[number % 2]}orth {number}", actor=OPERATOR)
        accounts.create(session, f"zoe{4 - number}", tenant_id=tenant_id, sealed_hash="x", actor=OPERATOR)
        keys.create(session, tenant_id=tenant_id, actor=OPERATOR, name=f"key {number % 3}")
        plans.create(session, f"plan {9 - number}", actor=OPERATOR, max_mailboxes=number % 3 or None)
        jobs.create(session, "batch", [{}], actor=OPERATOR)
        hook = Webhook(
            public_id=f"w{number}", tenant_id=tenant_id, url=f"https://{number % 2}.test/", sealed_secret="x"
        )
        names = [CertificateName(name=f"c{number % 2}.test"), CertificateName(name=f"z{number}.test")]
        shown = Certificate(
            tenant_id=tenant_id, origin="uploaded", chain="x", sealed_key="x", fingerprint="x", not_before=0,
            not_after=number % 2, rows=names,
        )  # fmt: skip
        session.add_all((hook, shown))


def furnished_world(session: Session) -> tuple[int, ...]:
    """People, and what is theirs."""
    ids = people(session)
    furnish(session, ids[1])
    return ids


FURNISHED["rows_to_sort"] = furnished_world


@pytest.fixture(autouse=True)
def rows_to_sort(furniture: tuple[int, ...]) -> None:
    """Made once: see tests/fixtures/database.py."""


class Sorted(NamedTuple):
    """A list, and what each of the words for its orders sorts by."""

    pages: Callable[..., paging.Page[Any]]
    by: dict[str, Callable[[Any], Any]]


def limit_of(row: Any, name: str) -> int:
    """No limit is the largest."""
    value = getattr(row, name)
    return NEVER if value is None else value


def lists(session: Session) -> dict[str, Sorted]:
    """All that can be had in several orders."""

    def sizes(place: int) -> Callable[[Any], int]:
        return lambda row: domains.counts(session, [row])[row.id][place]

    by_id = {"created": lambda row: row.id}
    of_plans = ("max_domains", "max_mailboxes", "max_aliases", "max_forwards", "max_storage_bytes", "sends_per_day")
    tenant = {"tenant": lambda row: row.tenant.name.lower()}
    name = {"name": lambda row: row.name.lower()}
    folded = {"name": lambda row: row.folded}
    made = {"created": lambda row: row.created_at}
    return {
        "domains": Sorted(
            domains.list_domains, name | by_id | tenant | {"mailboxes": sizes(0), "aliases": sizes(1)}
        ),
        "tenants": Sorted(tenants.list_tenants, by_id | name),
        "accounts": Sorted(accounts.list_accounts, name | by_id),
        "keys": Sorted(
            keys.list_keys, by_id | name | tenant | {"until": lambda row: row.expires_at or NEVER}
        ),
        "webhooks": Sorted(webhooks.list_webhooks, by_id | {"url": lambda row: row.url}),
        "plans": Sorted(
            plans.list_plans, by_id | name | {each: partial(limit_of, name=each) for each in of_plans}
        ),
        "certificates": Sorted(
            certificates.list_certificates,
            by_id | tenant | {"name": lambda row: min(row.names), "until": lambda row: row.not_after},
        ),
        "removals": Sorted(
            removals.list_removals,
            {
                "removed": lambda row: row.id, "name": lambda row: row.key, "used": lambda row: row.used_bytes,
                "until": lambda row: row.until,
            },
        ),
        "jobs": Sorted(jobs.list_jobs, by_id),
        "audit": Sorted(
            partial(audit.list_entries, search=Search(action="domain.created")), {"at": lambda row: row.id}
        ),
        "mailboxes": Sorted(
            partial(mailboxes.list_mailboxes, domain=DOMAIN), folded | made | {"used": lambda row: row.used_bytes}
        ),
        "aliases": Sorted(partial(aliases.list_aliases, domain=DOMAIN), folded | made),
        "forwards": Sorted(partial(forwardings.list_forwarding, domain=DOMAIN), folded),
        "found": Sorted(partial(mailboxes.list_mailboxes, domain=DOMAIN, search="box"), folded | made),
    }  # fmt: skip


def walked(list_page: Callable[..., paging.Page[Any]], session: Session, word: str) -> list[Any]:
    """All rows, two at a time."""
    rows, cursor = [], None
    while True:
        page = list_page(session, actor=OPERATOR, sort=word, limit=2, cursor=cursor)
        assert page.sort == word
        rows += page.items
        if page.next is None:
            return rows
        cursor = page.next


def test_every_order_holds_every_row_once(world):
    """Both ways, and the id decides among those that are alike."""
    with world.engine.connect() as connection, Session(connection) as session:
        for noun, (list_page, by) in lists(session).items():
            offered = list_page(session, actor=OPERATOR, sort="", limit=1).sorts
            assert {paging.name_of(word) for word in offered} >= set(by), noun
            for name, value in by.items():
                whole = list_page(session, actor=OPERATOR, sort="", limit=500).items
                for word in (name, f"-{name}"):
                    wanted = sorted(whole, key=lambda row: (value(row), row.id), reverse=word != name)
                    assert [row.id for row in walked(list_page, session, word)] == [row.id for row in wanted], (
                        noun,
                        word,
                    )


def test_a_cursor_leads_on_in_its_own_order_alone(world):
    """From another one it would skip rows, and show others twice."""
    for noun in ("domains", "mailboxes", "removals"):
        with world.engine.connect() as connection, Session(connection) as session:
            list_page, by = lists(session)[noun]
            words = [word for name in by for word in (name, f"-{name}")]
            cursors = {word: list_page(session, actor=OPERATOR, sort=word, limit=1).next for word in words}
            for word, cursor in cursors.items():
                for other in words:
                    if other == word:
                        continue
                    with pytest.raises(NotFound) as caught:
                        list_page(session, actor=OPERATOR, sort=other, limit=1, cursor=cursor)
                    assert caught.value.code == "bad_cursor", (noun, word, other)


def test_what_cannot_be_sorted_is_in_its_own_order(world, monkeypatch):
    """An unknown word; one for so many rows that it is not offered; and whoever asks for none is told of none."""
    monkeypatch.setattr(paging, "MOST_SORTED", 4)
    monkeypatch.setattr(domains, "MOST_SORTED", 4)
    with world.engine.connect() as connection, Session(connection) as session:
        page = mailboxes.list_mailboxes(session, actor=OPERATOR, domain=DOMAIN, sort="-used")
        assert (page.sort, page.sorts) == ("name", ("name",))
        assert [row.folded for row in page.items] == sorted(row.folded for row in page.items)
        assert domains.list_domains(session, actor=OPERATOR, sort="-mailboxes").sorts == ("name", "-created")
        found = domains.list_domains(session, actor=OPERATOR, search="d4", sort="-mailboxes")
        assert (found.sort, "-mailboxes" in found.sorts) == ("-mailboxes", True)
        assert domains.list_domains(session, actor=OPERATOR, sort="-' or 1").sort == "name"
        assert domains.list_domains(session, actor=OPERATOR).sorts == ()
