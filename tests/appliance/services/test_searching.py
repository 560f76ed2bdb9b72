"""A part of an address is found by its index, and what is found is what a look at every name would find."""

import random
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, select

from appliance.database.session import Session, reading, unit_of_work
from appliance.models import Alias, Domain, Mailbox
from appliance.services import aliases, domains, mailboxes, many_mailboxes, searching
from appliance.services.actor import Actor
from appliance.services.many_mailboxes import NewMailbox
from tests.fixtures.database import FURNISHED, OPERATOR

NAMES = (
    "anna", "hanna", "an", "a", "n.a", "na.an", "bob+anna", "o'hara", 'say"hi', "per%cent", "under_score", "back\\slash",
    "müller", "MÜLLER-2", "张伟", "李小龙", "😀smile", "x" * 64, "nan-nan-nan", "two words", "-rf", "NEAR", "a*b", "{curly}",
)  # fmt: skip
SPECIAL = (
    "",
    "zq",
    "nobody.at.all",
    "anna@one.test",
    "@one.test",
    '"',
    "%",
    "_",
    "\\",
    "*",
    " ",
    "nn",
    "an",
    "ann",
    "x" * 254,
)


def furnish(session: Session) -> None:
    """Two domains with the same names, and one with aliases."""
    for name in ("one.test", "two.test", "three.test"):
        domains.create(session, name, actor=OPERATOR)
    quoted = ['"{}"'.format(name.replace("\\", "\\\\").replace('"', '\\"')) for name in NAMES]
    wanted = [NewMailbox(f"{name}@{domain}") for domain in ("one.test", "two.test") for name in quoted]
    many_mailboxes.create_each(session, wanted, actor=OPERATOR)
    for name in quoted:
        aliases.create(session, f"{name}@three.test", ["anna@one.test"], actor=OPERATOR)


FURNISHED["names_to_find"] = furnish


@pytest.fixture
def names_to_find(furniture: None) -> None:
    """Made once: see tests/fixtures/database.py."""


@pytest.fixture
def engine(engine: Engine, names_to_find: None) -> Engine:
    return engine


def walked(session: Session, kind: type[Mailbox] | type[Alias], typed: str) -> list[tuple[str, str]]:
    """What is to be found, from a look at every row."""
    text = searching.text_of(typed)
    rows = session.execute(select(Domain.name, kind.folded).join(kind).order_by(kind.domain_id, kind.folded))
    return [(name, part) for name, part in rows if (text in part if len(text) >= 3 else part.startswith(text))]


def listed(
    session: Session,
    kind: type[Mailbox] | type[Alias],
    typed: str,
    actor: Actor = OPERATOR,
    domain: str | None = None,
) -> Iterator[tuple[str, str]]:
    """All pages of three."""
    list_page = mailboxes.list_mailboxes if kind is Mailbox else aliases.list_aliases
    cursor = None
    while True:
        page = list_page(session, actor=actor, domain=domain, search=typed, limit=3, cursor=cursor)
        yield from ((row.domain.name, row.folded) for row in page.items)
        cursor = page.next
        if cursor is None:
            return


def typed_by_somebody() -> list[str]:
    choose, found = random.Random(5), list(SPECIAL)
    for name in NAMES:
        for length in (1, 2, 3, 5):
            start = choose.randrange(max(1, len(name) - length + 1))
            found.append(name[start : start + length])
    return found


def test_what_is_found_is_what_is_there(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is typed, in pages, in the order of lists; found by the index, and by walking where it would be many."""
    with reading(engine) as session:
        for few in (searching.FEW, 2):
            monkeypatch.setattr(searching, "FEW", few)
            for typed in typed_by_somebody():
                assert list(listed(session, Mailbox, typed)) == walked(session, Mailbox, typed), typed
            for typed in SPECIAL:
                assert list(listed(session, Alias, typed)) == walked(session, Alias, typed), typed


@pytest.mark.parametrize("few", [searching.FEW, 2])
def test_in_one_domain_only_its_own_are_found(engine: Engine, monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    """Whether it is small, and walked through, or large."""
    monkeypatch.setattr(searching, "FEW", few)
    with reading(engine) as session:
        for typed in typed_by_somebody():
            own = [found for found in walked(session, Mailbox, typed) if found[0] == "two.test"]
            assert list(listed(session, Mailbox, typed, domain="two.test")) == own, typed


def test_it_is_so_after_every_change(engine: Engine) -> None:
    """Names that came, went and are different now; a domain that went with all of them."""
    with unit_of_work(engine) as session:
        mailboxes.remove(session, "hanna@two.test", actor=OPERATOR)
        mailboxes.create(session, "susanna@two.test", actor=OPERATOR)
        aliases.remove(session, "hanna@three.test", actor=OPERATOR)
        renamed = session.scalars(
            select(Mailbox).join(Domain).where(Mailbox.folded == "anna", Domain.name == "two.test")
        ).one()
        renamed.folded = "berta"
        session.flush()
        for typed in ("anna", "berta", "sus", "han", "be", "an"):
            for kind in (Mailbox, Alias):
                assert list(listed(session, kind, typed)) == walked(session, kind, typed), typed
        domains.remove(session, "two.test", actor=OPERATOR)
        session.flush()
        assert {name for name, _ in listed(session, Mailbox, "ann")} == {"one.test"}
        assert list(listed(session, Mailbox, "ann")) == walked(session, Mailbox, "ann")


def test_nobody_finds_what_is_not_his(engine: Engine) -> None:
    with unit_of_work(engine) as session:
        domain = session.scalars(select(Domain).where(Domain.name == "two.test")).one()
        manager = Actor("domain", "manager", tenant_id=domain.tenant_id, domain_id=domain.id)
        assert {name for name, _ in listed(session, Mailbox, "anna", manager)} == {"two.test"}
        assert list(listed(session, Alias, "anna", manager)) == []


@pytest.mark.parametrize("typed", ["a\0b", "\x02\x02a", "\x02an", "a\ud800", "ann\u200b"])
def test_what_no_address_holds_is_not_found(engine: Engine, typed: str) -> None:
    """Nor does either database see it."""
    with reading(engine) as session:
        assert list(listed(session, Mailbox, typed)) == []
