"""A full disk: mail is deferred with 452, nothing is lost, and it goes on by itself when there is space."""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.config import load_settings
from appliance.provision import directories
from tests.crash._load import Load, tokens_in
from tests.fixtures.house import House, wait_until

pytestmark = [
    pytest.mark.must_show,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system"),
]

ADDRESS = "joe@one.test"
SETTINGS = {"limits.unknown_recipients_per_minute": "10000", "smtpd.max_connections_per_client": "0"}
AMPLE = 64 << 20
PLACES = ("spool", "mail")


def mount(place: Path, aside: Path) -> None:
    """Make a folder a file system of its own with the same things in it: itself too, its owner, its mode, every file."""
    subprocess.run(["cp", "-a", place, aside], check=True)
    resize(place, AMPLE, "-t", "tmpfs")
    subprocess.run(["cp", "-a", "-T", aside, place], check=True)


def resize(place: Path, octets: int, *how: str) -> None:
    how = how or ("-o", "remount")
    subprocess.run(["mount", *how, "-o", f"size={octets}", "none", place], check=True)


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One house for all of this; its spool and its mail store are each a file system of their own."""
    folder = tmp_path_factory.mktemp("disks")
    made = House(folder / "house", settings=SETTINGS)
    made.make()
    directories.prepare(load_settings(made.config))
    with contextlib.ExitStack() as stack:
        for name in PLACES:
            mount(made.state / name, folder / f"aside-{name}")
            stack.callback(subprocess.run, ["umount", "--lazy", made.state / name], check=True)
        stack.enter_context(made)
        made.add_domain("one.test")
        made.add_mailbox(ADDRESS)
        made.wait_until_known(ADDRESS)
        yield made


@pytest.fixture
def house(founded: House) -> House:
    """With much room in both places, and no mail in them."""
    for name in PLACES:
        resize(founded.state / name, AMPLE)
    founded.turn_page()
    return founded


def keeping(house: House, reserve: str) -> None:
    """So much of the spool's disk stays free from now on."""
    if house.setting("limits.min_free_space") != f'"{reserve}"':
        house.stop()
        house.set("limits.min_free_space", f'"{reserve}"')
        house.start()


def accepted_is_there(house: House, load: Load) -> bool:
    return set(load.accepted) <= set(tokens_in(house.maildir(ADDRESS) / "new"))


@pytest.mark.parametrize("reserve", ["64 MiB", "0"])
def test_a_full_spool_defers_loses_nothing_and_goes_on(house, reserve, figure):
    """While the scheduler stands still the spool fills up; then 452, and nothing half-written; then it empties."""
    keeping(house, reserve)
    spool = house.state / "spool"
    resize(spool, 3 << 20)
    house.wait_until_known(ADDRESS)
    pid = house.kill("scheduler", number=19)
    with Load(house.port("smtp"), [ADDRESS], threads=4, octets=20_000) as load:
        wait_until(lambda: load.replies[b"452"] >= 20, 60, lambda: str(load.replies))
        assert load.replies[b"451"] == load.replies[b"550"] == load.replies[b"554"] == 0
        full_at = len(load.accepted)
        assert full_at >= 10
        os.kill(pid, 18)
        load.wait_for(full_at + 50, 90)
    wait_until(lambda: accepted_is_there(house, load), 90)
    wait_until(lambda: not any(any((spool / part).iterdir()) for part in ("content", "envelope", "progress")), 30)
    figure(f"accepted before the spool was full, reserve {reserve}", full_at)


def test_a_full_mail_store_delays_by_seconds_and_bounces_nothing(house):
    """What was accepted waits in the spool for space in the store, and is there soon after space returns."""
    keeping(house, "64 MiB")
    store = house.state / "mail"
    resize(store, 1 << 20)
    with Load(house.port("smtp"), [ADDRESS], threads=4, octets=20_000) as load:
        load.wait_for(100, 60)
    assert not accepted_is_there(house, load)
    time.sleep(3)
    house.settle()
    assert not house.events("bounced")
    resize(store, AMPLE)
    wait_until(lambda: accepted_is_there(house, load), 100)
    assert sum(tokens_in(house.maildir(ADDRESS) / "new").values()) == len(load.accepted)
