"""Addresses that an owner makes for himself: what he may, what he may not, and what becomes of them with his mailbox."""

import pytest

from appliance.database.session import reading, unit_of_work
from appliance.errors import Conflict, Forbidden, Invalid, LimitReached, NotFound, Taken
from appliance.models.base import now
from appliance.services import acceptance, aliases, disposables, domains, mailboxes, patterns, removals
from appliance.services.actor import Actor
from tests.fixtures.panel import SYSTEM, Office

ANNA = "anna@shop.test"


@pytest.fixture
def anna(office: Office) -> Actor:
    """The owner of a mailbox, beside whom there is another."""
    with unit_of_work(office.engine) as session:
        domains.create(session, "shop.test", actor=SYSTEM, tenant_id=office.tenant("Shop"))
        box = mailboxes.create(session, ANNA, actor=SYSTEM)
        mailboxes.create(session, "ben@shop.test", actor=SYSTEM)
        return Actor("mailbox", ANNA, box.domain.tenant_id, box.domain_id, mailbox_id=box.id)


def test_what_is_made_up_leads_to_its_owner_and_is_counted(office: Office, anna: Actor) -> None:
    with unit_of_work(office.engine) as session:
        made = disposables.add(session, ANNA, actor=anna, word="Lamps", note=" the  shop ")
        assert str(made.address).startswith("lamps.")
        assert (list(made.targets), made.note, made.waiting) == ([ANNA], "the shop", [])
        assert acceptance.is_accepted(session, str(made.address))
        disposables.add(session, ANNA, actor=anna)
        assert [row.id for row in disposables.get(session, ANNA, actor=anna)] == [made.id + 1, made.id]
        assert len(aliases.list_aliases(session, actor=SYSTEM, domain="shop.test").items) == 2


def test_switched_off_its_name_is_kept_and_nothing_else_takes_its_mail(office: Office, anna: Actor) -> None:
    with unit_of_work(office.engine) as session:
        patterns.put(session, ANNA, ["anna.*@shop.test"], actor=anna)
        made = str(disposables.add(session, ANNA, actor=anna, name="anna.once").address)
        disposables.update(session, ANNA, made, actor=anna, enabled=False)
        assert not acceptance.is_accepted(session, made)
        assert acceptance.is_accepted(session, "anna.other@shop.test")
        with pytest.raises(Taken):
            disposables.add(session, ANNA, actor=anna, name="anna.once")
        disposables.update(session, ANNA, made, actor=anna, enabled=True)
        assert acceptance.is_accepted(session, made)


@pytest.mark.parametrize("name", ["admin", "ben.x", "ben", "annalise", "anna", "sales-x"])
def test_a_chosen_name_begins_with_ones_own(office: Office, anna: Actor, name: str) -> None:
    with pytest.raises((Forbidden, Taken)), unit_of_work(office.engine) as session:
        disposables.add(session, ANNA, actor=anna, name=name)
    with unit_of_work(office.engine) as session:
        assert str(disposables.add(session, ANNA, actor=anna, name="anna.x@shop.test").address) == "anna.x@shop.test"


@pytest.mark.parametrize("word", ["a b", "x@y", "ä", "admin.", "a" * 25])
def test_a_word_is_plain(office: Office, anna: Actor, word: str) -> None:
    with pytest.raises(Invalid), unit_of_work(office.engine) as session:
        disposables.add(session, ANNA, actor=anna, word=word)


def test_no_more_are_made_than_mailbox_and_domain_may_have(
    office: Office, anna: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with unit_of_work(office.engine) as session:
        domains.update(session, "shop.test", actor=SYSTEM, max_aliases=2)
        for _ in range(2):
            disposables.add(session, ANNA, actor=anna)
        with pytest.raises(LimitReached):
            disposables.add(session, ANNA, actor=anna)
        domains.update(session, "shop.test", actor=SYSTEM, max_aliases=None)
        monkeypatch.setattr(disposables, "MAX_DISPOSABLES", 2)
        with pytest.raises(LimitReached):
            disposables.add(session, ANNA, actor=anna)
        monkeypatch.setattr(disposables, "MAX_DISPOSABLES", 9)
        with pytest.raises(Conflict):
            disposables.add(session, ANNA, actor=anna, expires_at=now() - 5)


def test_others_are_not_his(office: Office, anna: Actor) -> None:
    with unit_of_work(office.engine) as session:
        bens = str(disposables.add(session, "ben@shop.test", actor=SYSTEM).address)
        aliases.create(session, "info@shop.test", [ANNA], actor=SYSTEM)
        for address, disposable in (
            (ANNA, bens),
            ("ben@shop.test", bens),
            (ANNA, "info@shop.test"),
            (ANNA, "anna@x.test"),
        ):
            with pytest.raises(NotFound):
                disposables.update(session, address, disposable, actor=anna, enabled=False)
            with pytest.raises(NotFound):
                disposables.remove(session, address, disposable, actor=anna)


def test_led_elsewhere_by_whoever_manages_the_domain_it_is_his_no_more(office: Office, anna: Actor) -> None:
    with unit_of_work(office.engine) as session:
        made = str(disposables.add(session, ANNA, actor=anna).address)
        aliases.update(session, made, ["ben@shop.test"], actor=SYSTEM)
        assert disposables.get(session, ANNA, actor=anna) == []
        assert aliases.get(session, made, actor=SYSTEM).targets == ["ben@shop.test"]


def test_they_go_and_come_with_the_mailbox(office: Office, anna: Actor) -> None:
    with unit_of_work(office.engine) as session:
        made = str(disposables.add(session, ANNA, actor=anna, note="lamps").address)
    with unit_of_work(office.engine) as session:
        removal = mailboxes.remove(session, ANNA, actor=SYSTEM).removal.id
    with unit_of_work(office.engine) as session:
        assert not acceptance.is_accepted(session, made)
        removals.undo(session, removal, actor=SYSTEM)
    with reading(office.engine) as session:
        assert acceptance.is_accepted(session, made)
        assert [row.note for row in disposables.get(session, ANNA, actor=SYSTEM)] == ["lamps"]


def test_a_mailbox_in_the_place_of_one_keeps_it(office: Office, anna: Actor) -> None:
    with unit_of_work(office.engine) as session:
        made = str(disposables.add(session, ANNA, actor=anna).address)
        removal = mailboxes.remove(session, ANNA, actor=SYSTEM).removal.id
        mailboxes.create(session, made, actor=SYSTEM)
    with pytest.raises(Conflict, match="stands in the place"), unit_of_work(office.engine) as session:
        removals.undo(session, removal, actor=SYSTEM)


def test_one_that_was_removed_can_be_had_back_by_whoever_manages_the_domain(office: Office, anna: Actor) -> None:
    with unit_of_work(office.engine) as session:
        made = str(disposables.add(session, ANNA, actor=anna).address)
        removal = disposables.remove(session, ANNA, made, actor=anna).removal.id
        assert not acceptance.is_accepted(session, made)
        with pytest.raises(NotFound):
            removals.undo(session, removal, actor=anna)
        removals.undo(session, removal, actor=SYSTEM)
        assert [str(row.address) for row in disposables.get(session, ANNA, actor=anna)] == [made]
