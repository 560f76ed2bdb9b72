"""A full disk: mail is deferred with 452, nothing is lost, and it goes on by itself when there is space."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.crash._load import Load, tokens_in
from tests.fixtures.house import House, wait_until

pytestmark = [
    pytest.mark.must_show,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system"),
]

ADDRESS = "joe@one.test"
SETTINGS = {"limits.unknown_recipients_per_minute": "10000", "smtpd.max_connections_per_client": "0"}


@pytest.fixture
def mount(tmp_path) -> Iterator[Callable[[Path, int], None]]:
    """Makes a folder a small file system with the same things in it; unmounts at the end."""
    places: list[Path] = []

    def mount(place: Path, octets: int) -> None:
        aside = tmp_path / f"aside-{len(places)}"
        subprocess.run(["cp", "-a", place, aside], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={octets}", "none", place], check=True)
        places.append(place)
        # The folder itself too: owner, mode, and every file in it.
        subprocess.run(["cp", "-a", "-T", aside, place], check=True)

    yield mount
    for place in places:
        subprocess.run(["umount", "--lazy", place], check=True)


def prepared(house: House) -> House:
    house.add_domain("one.test")
    house.add_mailbox(ADDRESS)
    house.wait_until_known(ADDRESS)
    return house


def accepted_is_there(house: House, load: Load) -> bool:
    return set(load.accepted) <= set(tokens_in(house.maildir(ADDRESS) / "new"))


@pytest.mark.parametrize("reserve", ["0", "64 MiB"])
def test_a_full_spool_defers_loses_nothing_and_goes_on(tmp_path, mount, reserve, figure):
    """While the scheduler stands still the spool fills up; then 452, and nothing half-written; then it empties."""
    with House(tmp_path / "house", settings=SETTINGS | {"limits.min_free_space": f'"{reserve}"'}) as house:
        prepared(house)
        house.stop()
        spool = house.state / "spool"
        mount(spool, 3 << 20)
        house.start()
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


def test_a_full_mail_store_delays_by_seconds_and_bounces_nothing(tmp_path, mount):
    """What was accepted waits in the spool for space in the store, and is there soon after space returns."""
    with House(tmp_path / "house", settings=SETTINGS) as house:
        prepared(house)
        house.stop()
        store = house.state / "mail"
        mount(store, 1 << 20)
        house.start()
        house.wait_until_known(ADDRESS)
        with Load(house.port("smtp"), [ADDRESS], threads=4, octets=20_000) as load:
            load.wait_for(100, 60)
        assert not accepted_is_there(house, load)
        time.sleep(3)
        house.settle()
        assert not house.events("bounced")
        subprocess.run(["mount", "-o", f"remount,size={64 << 20}", store], check=True)
        wait_until(lambda: accepted_is_there(house, load), 100)
        assert sum(tokens_in(house.maildir(ADDRESS) / "new").values()) == len(load.accepted)
