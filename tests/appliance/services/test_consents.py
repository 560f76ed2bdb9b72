"""Nobody elsewhere gets mail sent on to him before he agreed."""

import pytest
from sqlalchemy import select

from appliance import consent_links
from appliance.consent_links import Question
from appliance.errors import NotFound
from appliance.models import ConsentRequest, Instance
from appliance.services import aliases, audit, consents, domains, forwardings, mailboxes, proof
from mta.roles.directory.outward import Beyond
from mta.roles.directory.resolve import Resolver
from tests.appliance.services.test_proof import compiled
from tests.fixtures.database import OPERATOR

JOE, INFO, ANN = "joe@own.test", "info@own.test", "Ann@away.example"
KEY = "k" * 64
QUESTION = Question(7, "mailbox", 3, ANN, 1_800_000_000)


def leaves_for(world, address) -> set[str]:
    """To whom elsewhere mail for *address* goes, as the directory says."""
    found = Resolver(compiled(world)["recipients"].get).expand(address.encode())
    return {end.recipient.decode() for end in found if isinstance(end, Beyond)} if isinstance(found, list) else set()


def forward(world, *targets, actor=None, mailbox=JOE):
    def act(session):
        return forwardings.put(session, mailbox, targets, actor=actor or world.owner).waiting

    return world.do(act)


def requests(world) -> list[tuple[str, str]]:
    found = select(ConsentRequest.kind, ConsentRequest.target).order_by(ConsentRequest.id)
    return world.do(lambda s: [tuple(row) for row in s.execute(found)])


def token(world, index=-1) -> str:
    """Of the newest link."""

    def act(session):
        row = session.scalars(select(ConsentRequest).order_by(ConsentRequest.id)).all()[index]
        question = Question(row.id, row.kind, row.holder_id, row.target, row.asked_at)
        return consent_links.token(session.scalars(select(Instance.consent_key)).one(), question)

    return world.do(act)


def agree(world, link):
    return world.do(lambda s: consents.agree(s, link, source="192.0.2.9"))


def test_a_forwarding_waits_until_its_target_agreed(world):
    """Shown as waiting, asked about once, in no snapshot; and then it is there, with an entry that says who agreed."""
    assert forward(world, ANN) == [ANN]
    assert leaves_for(world, JOE) == set()
    assert requests(world) == [("mailbox", ANN)]
    asked = world.do(lambda s: consents.look_up(s, token(world)))
    assert (asked.holder, asked.domain, asked.target, asked.is_given) == (JOE, "own.test", ANN, False)
    assert leaves_for(world, JOE) == set(), "to look is not to agree"
    assert agree(world, token(world)).is_given
    assert agree(world, token(world)).is_given
    assert leaves_for(world, JOE) == {ANN}
    search = audit.Search(action="forwarding.confirmed")
    entries = world.do(lambda s: audit.list_entries(s, search=search, actor=OPERATOR).items)
    assert [(entry.actor, entry.source, entry.after) for entry in entries] == [(ANN, "192.0.2.9", {"target": ANN})]


def test_an_aliass_target_waits_too_and_only_that_one(world):
    """What is inside, and what was agreed to, has mail at once."""
    world.do(lambda s: aliases.update(s, INFO, [JOE, ANN], actor=world.customer))
    assert leaves_for(world, INFO) == set()
    agree(world, token(world))
    world.do(lambda s: aliases.update(s, INFO, [JOE, ANN, "bob@away.example"], actor=world.customer))
    assert leaves_for(world, INFO) == {ANN}
    assert world.do(lambda s: aliases.get(s, INFO, actor=world.customer).waiting) == ["bob@away.example"]
    made = world.do(lambda s: aliases.create(s, "new@own.test", [ANN], actor=world.customer).waiting)
    assert made == [ANN], "he agreed to another's mail"


def test_a_mailbox_whose_targets_all_wait_keeps_its_mail(world):
    """Also when it is to keep no copy."""
    world.do(lambda s: forwardings.put(s, JOE, [ANN], actor=world.owner, keep_copy=False))
    found = Resolver(compiled(world)["recipients"].get).expand(JOE.encode())
    assert [end.recipient for end in found] == [JOE.encode()]


def test_the_operators_word_is_enough(world):
    """He names it, or saves what waits; a customer who saves it does not make it so, nor take it back."""
    assert forward(world, ANN) == [ANN]
    assert forward(world, ANN, actor=world.customer) == [ANN]
    assert forward(world, ANN, actor=OPERATOR) == []
    assert leaves_for(world, JOE) == {ANN}
    assert forward(world, ANN, actor=world.owner) == []
    world.do(lambda s: aliases.create(s, "new@own.test", [ANN], actor=OPERATOR))
    assert leaves_for(world, "new@own.test") == {ANN}


def test_naming_it_again_and_again_asks_once_a_day(world):
    """Also by way of removing it; and what was removed has to be agreed to anew."""
    forward(world, ANN)
    agree(world, token(world))
    for _ in range(3):
        world.do(lambda s: forwardings.clear(s, JOE, actor=world.owner))
        assert forward(world, ANN) == [ANN]
    assert requests(world) == [("mailbox", ANN)]

    def age(session):
        session.scalars(select(ConsentRequest)).one().asked_at -= consents.ASK_AGAIN_SECONDS

    world.do(age)
    forward(world, ANN)
    assert len(requests(world)) == 2


def test_a_link_is_good_for_what_it_was_made_for(world):
    """Not for another question, not when it is old, not when nobody wants it any more."""
    forward(world, ANN, "bob@away.example")
    first, second = token(world, 0), token(world, 1)
    for wrong in ("", "x", first[:-1], first.replace("-", "-0"), "999" + first[first.index("-") :],
                  second[: second.index("-")] + first[first.index("-") :], "9" * 18 + "-" + "a" * 64):  # fmt: skip
        with pytest.raises(NotFound):
            agree(world, wrong)
    forward(world, "bob@away.example")
    with pytest.raises(NotFound):
        agree(world, first)

    def age(session):
        for row in session.scalars(select(ConsentRequest)):
            row.asked_at -= consent_links.GOOD_SECONDS

    world.do(age)
    for link in (second, token(world, 1)):
        with pytest.raises(NotFound):
            agree(world, link)
    assert leaves_for(world, JOE) == set()


def test_nobody_is_asked_about_what_is_ours_until_it_is_no_more(world):
    """A domain that goes leaves targets elsewhere; one that comes, and is proved, ends the waiting."""
    for name in ("gone.test", "new.test"):
        world.do(lambda s, name=name: domains.create(s, name, actor=OPERATOR, tenant_id=world.foreign_customer_id))
        world.do(lambda s, name=name: mailboxes.create(s, f"eve@{name}", actor=OPERATOR))
    assert forward(world, "eve@gone.test") == []
    world.do(lambda s: domains.remove(s, "gone.test", actor=OPERATOR))
    assert leaves_for(world, JOE) == set()
    assert forward(world, "eve@gone.test") == ["eve@gone.test"]
    world.do(
        lambda s: domains.create(s, "gone.test", actor=OPERATOR, tenant_id=world.foreign_customer_id, discard=True)
    )
    assert world.do(lambda s: forwardings.get(s, JOE, actor=world.owner).waiting) == []


def test_a_claim_that_nobody_proved_neither_gives_nor_takes_consent(world):
    """Or whoever names a domain could have mail sent on into it, or stop that of others."""
    forward(world, ANN, actor=OPERATOR)
    world.do(lambda s: domains.create(s, "away.example", actor=world.customer))
    world.do(lambda s: mailboxes.create(s, "bob@away.example", actor=world.customer))
    world.do(lambda s: aliases.update(s, INFO, ["bob@away.example"], actor=world.customer))
    assert leaves_for(world, INFO) == set()
    assert requests(world) == [], "whoever reads mail there today is not whom he means"
    world.do(lambda s: domains.remove(s, "away.example", actor=world.customer))
    assert leaves_for(world, JOE) == {ANN}


def test_with_the_proof_its_own_targets_are_ours(world):
    """And nobody was asked."""
    world.do(lambda s: domains.create(s, "mine.test", actor=world.customer))
    world.do(lambda s: mailboxes.create(s, "bob@mine.test", actor=world.customer))
    world.do(lambda s: aliases.update(s, INFO, ["bob@mine.test"], actor=world.customer))
    assert world.do(lambda s: aliases.get(s, INFO, actor=world.customer).waiting) == ["bob@mine.test"]
    world.do(lambda s: proof.waive(s, domains.get(s, "mine.test", actor=OPERATOR), actor=OPERATOR))
    assert world.do(lambda s: aliases.get(s, INFO, actor=world.customer).waiting) == []
    found = Resolver(compiled(world)["recipients"].get).expand(INFO.encode())
    assert [end.recipient for end in found] == [b"bob@mine.test"]


@pytest.mark.parametrize(
    "other",
    [
        QUESTION._replace(number=8), QUESTION._replace(kind="alias"), QUESTION._replace(holder_id=4),
        QUESTION._replace(target="Bob@away.example"), QUESTION._replace(asked_at=1_800_000_001),
    ],
)  # fmt: skip
def test_a_token_says_all_of_its_question(other):
    """So a row that somebody changes makes a link worthless."""
    made = consent_links.token(KEY, QUESTION)
    assert consent_links.holds(KEY, QUESTION, made, QUESTION.asked_at)
    assert not consent_links.holds(KEY, other, made, QUESTION.asked_at)
    assert not consent_links.holds("j" * 64, QUESTION, made, QUESTION.asked_at)


def test_a_token_ends_and_needs_a_key():
    """After two weeks, to the second."""
    made, end = consent_links.token(KEY, QUESTION), QUESTION.asked_at + consent_links.GOOD_SECONDS
    assert consent_links.holds(KEY, QUESTION, made, end - 1)
    assert not consent_links.holds(KEY, QUESTION, made, end)
    assert not consent_links.holds(KEY, QUESTION, "é" + made, end - 1)
    with pytest.raises(ValueError, match="too short"):
        consent_links.token("", QUESTION)
