"""Which events leave for whose web server, signed how, in which order, and what becomes of those that nobody takes."""

import base64
import contextlib
import hashlib
import hmac
import json

import pytest
from sqlalchemy import select

from appliance.compile import webhooks as telling
from appliance.compile.source import open_source
from appliance.compile.webhooks import AT_ONCE, AT_ONCE_OF_ONE, DELAYS, KEPT, LEASE_SECONDS, MAX_BODY, Webhooks
from appliance.models import AuditEntry, Webhook, WebhookDelivery
from appliance.models.base import now
from appliance.services import aliases, audit, events, mailboxes, tenants, webhooks
from appliance.services.seals import Seals
from mta.seal import WEBHOOK_SECRET, Opener, make_key_pair
from mta.wire import messages as m
from tests.fakes.desk import Desk, Wire
from tests.fixtures.database import OPERATOR
from web.api.schemas.events import Event

PRIVATE, PUBLIC = make_key_pair()
SEALS = Seals(PUBLIC, PUBLIC, PUBLIC, PUBLIC, PUBLIC)
URL = "https://billing.own.test/hook?x=1"


class Sender(Desk):
    """With webhooks, and a clock of its own."""

    def __init__(self, source, opener=None):
        super().__init__(source, "fetcher")
        self.moment = float(now())
        self.webhooks = self.another(opener or Opener(PRIVATE, WEBHOOK_SECRET))

    def another(self, opener):
        """A compiler that begins now, over the same database."""
        return Webhooks(self, opener, clock=lambda: self.moment, chance=lambda: 1.0)

    def posts(self):
        """What leaves now."""
        self.webhooks.look()
        self.webhooks.look()
        told, self.told = self.told, []
        return told

    def answer(self, post, status=200, why=b""):
        self.webhooks.answered(Wire(), (m.Posted(post.tag, status, 12, why), ()))
        self.webhooks.look()

    def all_told(self):
        """Everything there is to tell, to servers that take it."""
        told = []
        while posts := self.posts():
            told += posts
            for post in posts:
                self.answer(post)
        return told


@pytest.fixture
def desk(world):
    source = open_source(world.engine.url.render_as_string(hide_password=False))
    with contextlib.closing(source):
        yield Sender(source)


def make(world, url=URL, *, actor=None, **more):
    made = world.do(lambda s: webhooks.create(s, url, actor=actor or world.customer, seals=SEALS, **more))
    return made.webhook.public_id, base64.b64decode(made.secret.removeprefix("whsec_"))


def happen(world, *names, domain="own.test"):
    world.do(lambda s: [mailboxes.create(s, f"{name}@{domain}", actor=OPERATOR) for name in names])


def row(world, public_id):
    return world.do(lambda s: s.scalars(select(Webhook).where(Webhook.public_id == public_id)).one())


def log(world, public_id):
    page = world.do(lambda s: webhooks.deliveries(s, public_id, actor=world.customer))
    return [(one.attempt, one.status, one.detail, one.waits) for one in page.items]


def body(post):
    return json.loads(post.body)


def fields(post):
    return dict(zip(post.fields[::2], post.fields[1::2], strict=True))


def subjects(posts):
    return [body(post)["data"]["subject"] for post in posts]


def is_signed(post, *secrets):
    said = fields(post)
    told = b".".join((said[b"webhook-id"], said[b"webhook-timestamp"], post.body))
    wanted = [b"v1," + base64.b64encode(hmac.new(key, told, hashlib.sha256).digest()) for key in secrets]
    return said[b"webhook-signature"].split(b" ") == wanted


def test_what_happens_is_told_one_after_another_each_when_the_one_before_was_taken(world, desk) -> None:
    """In the order of the feed."""
    make(world)
    happen(world, "a", "b", "c")
    (first,) = desk.posts()
    assert desk.posts() == []
    desk.answer(first)
    assert subjects([first, *desk.all_told()]) == ["a@own.test", "b@own.test", "c@own.test"]


def test_a_delivery_is_what_standard_webhooks_wants_and_the_feed_says(world, desk) -> None:
    """The header fields, the signature over id, moment and body, and the event as the API shows it."""
    _, secret = make(world)
    happen(world, "a")
    (post,) = desk.posts()
    (event,) = world.do(lambda s: events.feed(s, actor=world.customer, types=["mailbox.created"])).items[-1:]
    assert (post.host, post.port, post.target) == (b"billing.own.test", 443, b"/hook?x=1")
    assert fields(post)[b"content-type"] == b"application/json"
    assert fields(post)[b"webhook-id"] == f"evt_{event.id}".encode()
    assert int(fields(post)[b"webhook-timestamp"]) == int(desk.moment)
    assert is_signed(post, secret)
    shown = json.loads(Event.model_validate(event).model_dump_json())
    assert body(post) == {"type": "mailbox.created", "timestamp": shown["at"], "data": shown}


def test_everybody_is_told_what_he_may_see_and_nothing_else(world, desk) -> None:
    """A customer of himself, a reseller of his customers, the operator of all; and by types."""
    make(world)
    make(world, "https://reseller.test/", actor=world.reseller)
    make(world, "https://operator.test/", actor=OPERATOR)
    make(world, "https://some.test/", types=["alias.", "mailbox.suspended"])
    desk.all_told()
    happen(world, "a")
    happen(world, "b", domain="foreign.test")
    world.do(lambda s: aliases.create(s, "new@own.test", ["joe@own.test"], actor=OPERATOR))
    told = {}
    for post in desk.all_told():
        told.setdefault(post.host, []).append(body(post)["data"]["subject"])
    own = ["a@own.test", "new@own.test"]
    assert told == {
        b"billing.own.test": own, b"reseller.test": own, b"operator.test": ["a@own.test", "b@foreign.test", "new@own.test"],
        b"some.test": ["new@own.test"],
    }  # fmt: skip


def test_what_nobody_takes_is_tried_again_later_and_later_and_in_the_end_disabled(world, desk) -> None:
    """With jitter; and its owner reads of the end in the feed."""
    public_id, _ = make(world)
    happen(world, "a", "b")
    for delay in DELAYS:
        (post,) = desk.posts()
        desk.answer(post, 503)
        assert desk.posts() == []
        desk.moment += int(delay * (1 + telling.JITTER)) - 1
        assert desk.posts() == []
        desk.moment += 1
    (post,) = desk.posts()
    assert subjects([post]) == ["a@own.test"]
    desk.answer(post, 0, b"no answer within 15 seconds")
    assert desk.posts() == []
    stopped = row(world, public_id)
    assert (stopped.enabled, stopped.disabled_why) == (False, "11 attempts in vain: no answer within 15 seconds")
    assert world.do(lambda s: events.feed(s, actor=world.customer, types=["webhook.disabled"])).items
    assert [name for name, _ in desk.events] == ["webhook-disabled"]
    world.do(lambda s: webhooks.update(s, public_id, actor=world.customer, enabled=True))
    assert subjects(desk.all_told())[:2] == ["a@own.test", "b@own.test"]
    assert not row(world, public_id).disabled_why


def test_a_server_that_is_gone_is_told_nothing_more(world, desk) -> None:
    """410, as Standard Webhooks says; and a redirection is no success."""
    public_id, _ = make(world)
    happen(world, "a")
    desk.answer(desk.posts()[0], 301)
    desk.moment += 10
    desk.answer(desk.posts()[0], 410)
    assert desk.posts() == []
    assert not row(world, public_id).enabled
    assert log(world, public_id) == [(2, 410, "", False), (1, 301, "", False)]


def test_one_silent_server_keeps_nobody_waiting(world, desk) -> None:
    """And one tenant's silent servers keep no other tenant's events."""
    for number in range(8):
        make(world, f"https://silent{number}.test/")
    make(world, "https://other.test/", actor=OPERATOR, tenant_id=world.foreign_customer_id)
    happen(world, "a")
    silent = desk.posts()
    assert len(silent) == AT_ONCE_OF_ONE < AT_ONCE
    happen(world, "b", domain="foreign.test")
    (other,) = desk.posts()
    assert other.host == b"other.test"
    desk.answer(silent[0])
    assert len(desk.posts()) == 1, "who had no room has it now"


def test_after_a_restart_what_was_under_way_is_told_again(world, desk) -> None:
    """Of the compiler: when its claim has run out, and not before, since another node may be at it. Of fetcher: at once."""
    make(world)
    happen(world, "a")
    assert len(desk.posts()) == 1
    desk.webhooks = desk.another(Opener(PRIVATE, WEBHOOK_SECRET))
    assert desk.posts() == []
    desk.moment += LEASE_SECONDS + 1
    (again,) = desk.posts()
    desk.webhooks.lost()
    assert desk.posts() == []
    desk.moment += 60 * (1 + telling.JITTER)
    assert desk.posts()[0].body == again.body


def test_of_two_nodes_one_tells(world, desk) -> None:
    """And when it is done, whoever is quicker tells the next."""
    public_id, _ = make(world)
    happen(world, "a", "b")
    mine, other = desk.webhooks, desk.another(Opener(PRIVATE, WEBHOOK_SECRET))
    (first,) = desk.posts()
    desk.webhooks = other
    assert desk.posts() == []
    desk.webhooks = mine
    desk.answer(first)
    assert subjects(desk.all_told()) == ["b@own.test"]
    assert len(log(world, public_id)) == 2


def test_nothing_is_lost_while_fetcher_is_away(world, desk) -> None:
    """And no attempt is counted."""
    public_id, _ = make(world)
    happen(world, "a")
    desk.is_there = False
    for _ in range(20):
        assert desk.posts() == []
        desk.moment += 3
    desk.is_there = True
    assert len(desk.all_told()) == 1
    assert log(world, public_id) == [(1, 200, "", False)]


def test_a_secret_that_was_replaced_signs_beside_the_new_one_for_a_while(world, desk) -> None:
    """Then no more."""
    public_id, old = make(world)
    made = world.do(lambda s: webhooks.rotate(s, public_id, actor=world.customer, seals=SEALS, overlap_hours=1))
    new = base64.b64decode(made.secret.removeprefix("whsec_"))
    (post,) = desk.posts()
    assert is_signed(post, new, old)
    desk.answer(post, 500)
    desk.moment += 3601
    assert is_signed(desk.posts()[0], new)


def test_without_its_secret_nothing_leaves(world, desk) -> None:
    """On a node with another key; the journal is told once, and a node that has the key does it."""
    make(world)
    happen(world, "a")
    desk.webhooks = desk.another(Opener(make_key_pair()[0], WEBHOOK_SECRET))
    assert desk.posts() == []
    desk.moment += 61
    assert desk.posts() == []
    assert [name for name, _ in desk.events] == ["webhook-unopened"]
    desk.webhooks = desk.another(Opener(PRIVATE, WEBHOOK_SECRET))
    assert len(desk.posts()) == 1


def test_a_suspended_tenant_is_told_nothing_and_misses_nothing(world, desk) -> None:
    """Whoever above him was suspended."""
    make(world)
    desk.all_told()
    world.do(lambda s: tenants.suspend(s, world.reseller_id, actor=OPERATOR, what=["log_in"]))
    happen(world, "a")
    assert desk.posts() == []
    world.do(lambda s: tenants.resume(s, world.reseller_id, actor=OPERATOR, what=["log_in"]))
    desk.moment += telling.HELD_SECONDS + 1
    assert subjects(desk.all_told()) == ["a@own.test"]


def test_a_test_and_a_repetition_leave_at_once_and_move_nothing(world, desk) -> None:
    """Also of a webhook that is disabled. A repetition has the id that it had."""
    public_id, secret = make(world)
    happen(world, "a")
    (first,) = desk.all_told()
    world.do(lambda s: webhooks.update(s, public_id, actor=world.customer, enabled=False))
    world.do(lambda s: webhooks.send_test(s, public_id, actor=world.customer))
    (post,) = desk.posts()
    assert (body(post)["type"], body(post)["data"]) == ("webhook.test", {"webhook": public_id})
    assert is_signed(post, secret)
    desk.answer(post, 204)
    desk.posts()
    assert log(world, public_id)[0] == (0, 204, "", False)
    number = world.do(lambda s: webhooks.deliveries(s, public_id, actor=world.customer)).items[-1].id
    told = row(world, public_id).told
    world.do(lambda s: webhooks.repeat(s, public_id, number, actor=world.customer))
    (again,) = desk.posts()
    assert (again.body, fields(again)[b"webhook-id"]) == (first.body, fields(first)[b"webhook-id"])
    desk.answer(again, 0, b"it hung up")
    assert desk.posts() == []
    assert log(world, public_id)[0] == (0, None, "it hung up", False)
    assert row(world, public_id).told == told


def test_what_does_not_concern_it_moves_its_place_all_the_same(world, desk, monkeypatch) -> None:
    """In pieces, so that no search is long; and what is found behind them is told."""
    monkeypatch.setattr(telling, "PIECE", 10)
    monkeypatch.setattr(telling, "STRIDE", 10)
    public_id, _ = make(world, types=["alias."])
    before = row(world, public_id).told
    happen(world, *(f"m{number}" for number in range(35)))
    world.do(lambda s: aliases.create(s, "new@own.test", ["joe@own.test"], actor=OPERATOR))
    told = [post for _ in range(6) for post in desk.posts()]
    assert subjects(told) == ["new@own.test"]
    assert row(world, public_id).told >= before + 30


def test_the_log_of_deliveries_is_bounded(world, desk, monkeypatch) -> None:
    """The newest stay."""
    monkeypatch.setattr(telling, "KEPT", 5)
    public_id, _ = make(world)
    happen(world, *(f"m{number}" for number in range(12)))
    assert len(desk.all_told()) == 12
    assert len(log(world, public_id)) == 5 < KEPT


def test_an_event_that_is_too_long_is_told_without_what_changed(world, desk) -> None:
    """It fits into a packet of the wire, whatever it is about."""
    make(world)
    after = {"targets": [f"{number:060}@away.example" for number in range(1000)]}
    world.do(lambda s: audit.record(s, OPERATOR, "alias.changed", "x", tenant_id=world.customer_id, after=after))
    (post,) = desk.posts()
    assert len(post.body) < MAX_BODY
    assert len(post.encode()) < 64 * 1024
    data = body(post)["data"]
    assert (data["after"], data["shortened"], data["subject"]) == (None, True, "x")


def test_an_answer_that_nobody_waits_for_is_for_nobody(desk) -> None:
    """And who says something else is hung up on."""
    desk.webhooks.answered(Wire(), (m.Posted(99, 200, 1, b""), ()))
    wire = Wire()
    desk.webhooks.answered(wire, (m.Noticed(1, True), ()))
    assert wire.closed


def test_without_a_key_nothing_is_looked_for(world, desk) -> None:
    """An appliance of before, until its next start."""
    make(world)
    happen(world, "a")
    desk.webhooks = Webhooks(desk, None)
    assert desk.posts() == []


def test_a_removed_webhook_takes_its_log_along(world, desk) -> None:
    """And a tenant its webhooks; what was under way then is nobody's."""
    public_id, _ = make(world)
    happen(world, "a")
    (post,) = desk.posts()
    world.do(lambda s: webhooks.remove(s, public_id, actor=world.customer))
    desk.answer(post)
    assert desk.posts() == []
    assert not world.do(lambda s: s.scalars(select(WebhookDelivery)).all())
    assert (
        world.do(lambda s: s.scalars(select(AuditEntry.action).order_by(AuditEntry.id.desc())).first())
        == "webhook.removed"
    )
