"""A mailbox and its domain are removed and had back: refused at once, then there is the mail of before again, and more comes."""

import os

import pytest

from tests.fixtures.house import House, wait_until
from tests.fixtures.served import PATIENT

pytestmark = pytest.mark.journey

ANNA, BEN, ALL = "anna@gone.test", "ben@gone.test", "all@gone.test"


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    with House(tmp_path_factory.mktemp("removed") / "house", settings=PATIENT) as house:
        yield house


def is_unknown(house, address):
    return house.rcpt(address)[1].startswith("5.1.1")


def bodies(house, address):
    return sorted(path.read_bytes().rpartition(b"\n\n")[2].strip() for path in house.messages(address))


def test_a_mailbox_and_its_domain_come_back_with_their_mail(house):
    house.add_domain("gone.test")
    house.add_mailbox(ANNA)
    house.add_mailbox(BEN)
    house.add_alias(ALL, ANNA, BEN)
    house.wait_until_known(ALL)
    for number in range(3):
        house.send(ALL, b"Subject: x\r\n\r\n%d\r\n" % number)
    for address in (ANNA, BEN):
        house.wait_for_messages(address, 3)
    before = {address: bodies(house, address) for address in (ANNA, BEN)}

    house.postern("mailbox", "remove", ANNA)
    wait_until(lambda: is_unknown(house, ANNA), 30, house.said)
    store = house.maildir(ANNA).parent
    wait_until(lambda: not os.path.lexists(store), 30, house.said)
    assert "was removed" in house.postern("mailbox", "add", ANNA, check=False).stderr

    # Its domain goes meanwhile, and comes back without it: it has a removal of its own.
    house.postern("domain", "remove", "gone.test")
    wait_until(lambda: house.rcpt(BEN)[0] == 550, 30, house.said)
    assert "have that back first" in house.postern("mailbox", "restore", ANNA, check=False).stderr
    house.postern("domain", "restore", "gone.test")
    house.wait_until_known(BEN)
    assert is_unknown(house, ANNA)
    house.postern("mailbox", "restore", ANNA)
    house.wait_until_known(ANNA)

    for address in (ANNA, BEN):
        house.wait_for_messages(address, 3)
        assert bodies(house, address) == before[address]
    house.send(ALL, b"Subject: x\r\n\r\nafterwards\r\n")
    for address in (ANNA, BEN):
        house.wait_for_messages(address, 4)


def test_what_is_made_final_leaves_nothing_on_the_disk(house):
    """And its name is free for whoever comes next, who finds nothing there."""
    house.add_domain("final.test")
    house.add_mailbox("joe@final.test")
    house.wait_until_known("joe@final.test")
    house.send("joe@final.test", b"Subject: x\r\n\r\nsecret\r\n")
    house.wait_for_messages("joe@final.test")
    folder = house.maildir("joe@final.test").parent.parent
    house.postern("domain", "remove", "final.test")
    (number,) = (
        line.split("\t")[0]
        for line in house.postern("removal", "list").stdout.splitlines()
        if line.split("\t")[2] == "final.test"
    )
    assert "can be had back" in house.postern("domain", "add", "final.test", check=False).stderr
    house.postern("removal", "end", number)
    wait_until(lambda: not folder.exists(), 20, house.said)
    wait_until(lambda: house.postern("domain", "add", "final.test", check=False).returncode == 0, 20, house.said)
    house.add_mailbox("joe@final.test")
    house.wait_until_known("joe@final.test")
    assert house.messages("joe@final.test") == []
