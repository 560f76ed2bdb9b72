"""A sheet is read as it was written, whatever is in its cells; and nothing in it is a formula to anybody."""

import csv
import io

import pytest

from appliance.errors import Invalid
from appliance.services import aliases, forwardings, holdings, mailboxes, sheets
from appliance.services.passwords import Sealer
from mta.seal import make_key_pair
from tests.fixtures.database import OPERATOR

SEALER = Sealer(make_key_pair()[1])
HEAD = "kind,address,display_name,quota_bytes,targets,keep_copy\n"


def written(*boxes, **more):
    return "".join(sheets.write({"mailboxes": boxes, "aliases": [], **more}))


@pytest.mark.parametrize(
    "name", ["=cmd|' /C calc'!A0", "+1", "-1+1", "@SUM(A1)", "'=1", "'", 'a, "b"\nc', "Ünï ☃", " =1"]
)
def test_cells_are_neutral_and_read_back_as_they_were(name):
    """A program that shows sheets must not carry a display name out."""
    text = written({"address": "=x@own.test", "display_name": name, "quota_bytes": 7})
    cells = list(csv.reader(io.StringIO(text, newline="")))[1]
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)
    (row,) = sheets.read(text)
    assert (row.kind, row.address, row.said) == (
        "mailbox",
        "=x@own.test",
        {"display_name": name.strip(), "quota_bytes": 7},
    )


def test_what_a_tenant_has_comes_back_from_its_own_sheet(world):
    def furnish(session):
        mailboxes.create(session, "+ann@own.test", actor=OPERATOR, quota_bytes=9, display_name="@nn")
        aliases.create(session, "all@own.test", ["joe@own.test", "+ann@own.test"], actor=OPERATOR)
        forwardings.put(session, "joe@own.test", ["+ann@own.test"], actor=OPERATOR, keep_copy=False)

    world.do(furnish)

    def sheet(session):
        return "".join(sheets.write(holdings.give_out(session, actor=OPERATOR, tenant_id=world.customer_id)))

    before = world.do(sheet)

    def clear(session):
        for name in ("all@own.test", "info@own.test"):
            aliases.remove(session, name, actor=OPERATOR, days=0)
        for name in ("joe@own.test", "+ann@own.test"):
            mailboxes.remove(session, name, actor=OPERATOR, days=0)

    world.do(clear)
    outcomes = world.do(lambda s: sheets.take_in(s, sheets.read(before), actor=OPERATOR, sealer=SEALER))
    assert [outcome.refusal for outcome in outcomes] == [None] * 5
    assert world.do(sheet) == before


def test_each_line_is_judged_by_itself_and_told_by_its_number(world):
    """Whatever is led to comes first, wherever it stands; and what is refused leaves nothing behind."""
    text = HEAD + (
        "forward,new@own.test,,,joe@own.test,yes\n"
        "alias,all@own.test,,,new@own.test,\n"
        "mailbox,new@own.test,New,5,,\n"
        "mailbox,joe@own.test,,,,\n"
        "\n"
        "alias,bad@own.test,,,nobody@own.test,\n"
    )
    outcomes = world.do(lambda s: sheets.take_in(s, sheets.read(text), actor=OPERATOR, sealer=SEALER))
    told = [(each.row.line, each.refusal.code if each.refusal else None) for each in outcomes]
    assert told == [(2, None), (3, None), (4, None), (5, "address_taken"), (7, "target_unknown")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1: the columns"),
        ("kind,kind,address\n", "line 1: the columns"),
        ("kind,address,colour\n", "'colour' is none"),
        (HEAD + "mailbox,a@own.test\n", "line 2: 2 cells instead of 6"),
        (HEAD + "folder,a@own.test,,,,\n", "line 2: kind is one of"),
        (HEAD + "mailbox,,,,,\n", "line 2: there is no address"),
        (HEAD + "mailbox,a@own.test,,,b@own.test,\n", "line 2: of a mailbox targets is not said"),
        (HEAD + "alias,a@own.test,,,,\n", "line 2: there are no targets"),
        (HEAD + "mailbox,a@own.test,,ten,,\n", "line 2: quota_bytes is a number"),
        (HEAD + "forward,a@own.test,,,b@own.test,maybe\n", "line 2: keep_copy is yes or no"),
        (HEAD + 'mailbox,"a@own.test,,,,\n', "line 2: unexpected end of data"),
        ("kind,address,targets,expires_at\nalias,a@own.test,b@own.test,soon\n", "line 2: expires_at is a moment"),
        (HEAD + "x,,,,,\n" * 3, "line 2: kind is one of domain, mailbox, alias, forward; line 3: kind"),
        (HEAD + "x,,,,,\n" * 10_500, "line 101: kind"),
        (HEAD + "mailbox,a@own.test,,,,\n" * 10_001, "at most 10000 lines"),
    ],
    ids=range(15),
)
def test_a_sheet_that_makes_no_sense_is_refused_with_the_lines(text, words):
    with pytest.raises(Invalid) as refused:
        sheets.read(text)
    assert words in refused.value.sentence
    assert len(refused.value.sentence) < 20_000
