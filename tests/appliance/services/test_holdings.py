"""What others held is taken in thing by thing, and what a tenant holds is given out so that it could be made again."""

import pytest
from sqlalchemy import func, select

from appliance.database.session import reading, unit_of_work
from appliance.holdings import HeldAlias, HeldDomain, HeldMailbox, Holdings
from appliance.models import Mailbox
from appliance.services import aliases, audit, domains, forwardings, holdings, mailboxes, patterns
from appliance.services.passwords import Sealer
from mta.seal import make_key_pair
from tests.fakes.others import hash_of
from tests.fixtures.database import OPERATOR


@pytest.fixture(scope="module")
def sealer():
    return Sealer(make_key_pair()[1])


def held() -> Holdings:
    return Holdings(
        [
            HeldDomain("second.test", alias_of="new.test"),
            HeldDomain("new.test", catch_all="ann@new.test"),
            HeldDomain("still.test", suspended=True),
            HeldDomain("no domain"),
        ],
        [
            HeldMailbox(
                "Ann@new.test",
                hash_of("p", 0),
                5,
                "Ann",
                targets=["bob@new.test"],
                keep_copy=False,
                patterns=["ann-*@new.test", "ann*@new.test"],
            ),
            HeldMailbox("bob@new.test", "{CRAM-MD5}what", suspended=True),
            HeldMailbox("joe@own.test", hash_of("p", 0), targets=["ann@new.test"]),
            HeldMailbox("two@@new.test"),
        ],
        [
            HeldAlias("all@new.test", ["team@new.test"]),
            HeldAlias("team@new.test", ["ann@new.test", "bob@new.test"]),
            HeldAlias("lost@new.test", ["nobody@own.test"]),
        ],
        ["a note"],
    )


def test_each_thing_is_made_or_it_is_said_why_not(world, sealer):
    with unit_of_work(world.engine) as session:
        report = holdings.take_in(session, held(), actor=OPERATOR, sealer=sealer)
    assert (report.domains, report.mailboxes, report.aliases, report.forwardings) == (3, 2, 2, 1)
    assert report.without_password == 1
    assert sorted(line.partition(":")[0] for line in report.refused) == [
        "ann*@new.test", "joe@own.test", "lost@new.test", "no domain", "two@@new.test",
    ]  # fmt: skip
    assert report.notes[0] == "a note"
    assert "{CRAM-MD5}" in report.notes[1]
    with reading(world.engine) as session:
        assert domains.get(session, "second.test", actor=OPERATOR).alias_of.name == "new.test"
        assert domains.get(session, "new.test", actor=OPERATOR).catch_all == "ann@new.test"
        ann = mailboxes.get(session, "ann@new.test", actor=OPERATOR)
        assert (ann.address.local_part, ann.quota_bytes, ann.has_password) == ("Ann", 5, True)
        assert (list(ann.forwarding.targets), ann.forwarding.keep_copy) == (["bob@new.test"], False)
        assert patterns.texts(session, ann) == ["ann-*@new.test"]
        assert mailboxes.get(session, "joe@own.test", actor=OPERATOR).forwarding is None
        assert list(aliases.get(session, "all@new.test", actor=OPERATOR).targets) == ["team@new.test"]
        assert audit.verify(session).wrong == ""


def test_a_preview_tells_the_same_and_makes_nothing(world, sealer):
    with unit_of_work(world.engine, dry_run=True) as session:
        tried = holdings.take_in(session, held(), actor=OPERATOR, sealer=sealer)
    with reading(world.engine) as session:
        assert session.scalar(select(func.count()).select_from(Mailbox).where(Mailbox.folded == "ann")) == 0
    with unit_of_work(world.engine) as session:
        assert holdings.take_in(session, held(), actor=OPERATOR, sealer=sealer) == tried


def test_a_tenant_is_given_out_and_nobody_else(world, sealer):
    with unit_of_work(world.engine) as session:
        mailboxes.create(session, "ben@own.test", actor=OPERATOR, sealed_hash="SEALED", quota_bytes=7)
        forwardings.put(session, "ben@own.test", ["joe@own.test"], actor=OPERATOR)
    with reading(world.engine) as session:
        document = holdings.give_out(session, actor=world.customer)
    assert [domain["name"] for domain in document["domains"]] == ["own.test"]
    assert [mailbox["address"] for mailbox in document["mailboxes"]] == ["ben@own.test", "joe@own.test"]
    assert document["mailboxes"][0]["forwarding"]["targets"] == ["joe@own.test"]
    assert document["aliases"] == [{"address": "info@own.test", "targets": ["joe@own.test"]}]
    assert "SEALED" not in repr(document)
