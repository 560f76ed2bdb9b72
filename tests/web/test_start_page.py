"""What stands on the first page of each: what wants to be looked at, with the way to what mends it, and his own mail of the day."""

import dataclasses
from pathlib import Path

import pytest

from appliance.database.session import unit_of_work
from appliance.services import attention, domains, mailboxes, traffic
from appliance.services.traffic import HOUR_SECONDS, KINDS, Hour
from tests.fixtures.panel import PASSWORD, SYSTEM, Office

ANNA = "anna@shop.test"


@pytest.fixture
def shop(office: Office) -> Office:
    tenant = office.tenant("Shop")
    with unit_of_work(office.engine) as session:
        domains.create(session, "shop.test", actor=SYSTEM, tenant_id=tenant)
        sealed = office.sealer.seal_password(PASSWORD, ANNA)
        box = mailboxes.create(session, ANNA, actor=SYSTEM, sealed_hash=sealed, quota_bytes=1 << 20)
        box.used_bytes = 1 << 20
    office.account("shop-admin", tenant)
    return office


def hours(*waiting: int) -> list[Hour]:
    """As many messages wait of each hour, and one was delivered."""
    return [
        Hour(number * HOUR_SECONDS, dict.fromkeys(KINDS, 0) | {"delivered": 1, "waiting": count})
        for number, count in enumerate(waiting)
    ]


@pytest.mark.parametrize(
    ("figures", "count"),
    [
        ("", 0),
        ("# HELP postern_backscatter_total x\npostern_backscatter_total 0\n", 0),
        ("postern_backscatter_total 3\npostern_messages_bounced_total 9\n", 3),
        ('postern_backscatter_total{node="a"} 1\npostern_backscatter_total{node="b"} 2.0\n', 3),
        ("xpostern_backscatter_total 7\npostern_backscatter_total many\n", 0),
    ],
)
def test_backscatter_above_zero_wants_to_be_looked_at(figures: str, count: int) -> None:
    assert [(need.kind, need.number) for need in attention.of_figures(figures)] == [("backscatter", count)] * bool(
        count
    )


def test_the_operator_reads_what_the_journal_counted_and_nobody_else_does(shop: Office, tmp_path: Path) -> None:
    file = tmp_path / "metrics"
    wiring = shop.app.state.wiring
    shop.app.state.wiring = dataclasses.replace(wiring, figures=file)
    operator, customer = shop.client().log_in(), shop.client().log_in("shop-admin")
    assert "Backscatter" not in operator.get("/").text
    file.write_text("postern_backscatter_total 4\n")
    assert "Backscatter: 4." in operator.get("/").text
    assert "Backscatter" not in customer.get("/").text
    shop.app.state.wiring = wiring


def test_mail_that_waits_for_long_is_told_to_each_in_his_part(shop: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    scopes = []

    def count(_file: Path, scope: object) -> list[Hour]:
        scopes.append(scope)
        return hours(2, 1, 5, 7)

    monkeypatch.setattr(traffic, "by_hour", count)
    operator, owner = (shop.client().log_in(*who) for who in ((), (ANNA,)))
    assert "<strong>3 messages of this day wait for longer than an hour.</strong>" in operator.get("/traffic").text
    told = owner.get("/traffic").text
    assert '<a href="/messages?state=deferred">Look at them</a>' in told
    assert scopes[0] != scopes[1]
    monkeypatch.setattr(traffic, "by_hour", lambda _file, _scope: hours(0, 0, 5, 7))
    assert "for longer than an hour" not in operator.get("/traffic").text


def test_an_owner_sees_how_full_his_mailbox_is_and_his_mail_of_the_day(shop: Office) -> None:
    owner = shop.client().log_in(ANNA)
    page = owner.get(f"/mailboxes/{ANNA}").text
    assert "<strong>1 MiB</strong> of 1 MiB, 100 %" in page
    assert "New mail is put off now." in page
    assert 'hx-get="/traffic"' in page
    assert owner.get("/traffic").status_code == 200
