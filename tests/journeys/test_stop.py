"""Starting, stopping and resting: how fast, how completely, how small."""

import contextlib
import re
import signal
import smtplib
import threading
import time
from pathlib import Path

import pytest

from tests.fixtures.house import House, wait_until
from tests.fixtures.served import DOMAIN, PATIENT

pytestmark = [pytest.mark.journey, pytest.mark.must_show, pytest.mark.alone]

STOP_SECONDS = 5.0
READY_SECONDS = 5.0
IDLE_MIB = 350
JOE = f"joe@{DOMAIN}"


@pytest.fixture(scope="module")
def founded(tmp_path_factory):
    """One house for nearly all of this."""
    with House(tmp_path_factory.mktemp("stop") / "house", settings=PATIENT, by_command=True) as made:
        prepare(made)
        yield made


def prepare(house):
    house.add_domain(DOMAIN)
    house.add_mailbox(JOE)
    house.wait_until_known(JOE)


@pytest.fixture
def house(founded):
    """It serves, whatever became of it in the test before."""
    if founded.process is None:
        founded.start()
    return founded


def alive(pids):
    found = []
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if ") Z" not in Path(f"/proc/{pid}/stat").read_text():
                found.append(pid)
    return found


def deliver_one(house):
    """So that somebody is there who delivers."""
    had = len(house.messages(JOE))
    house.send(JOE, b"Subject: x\r\n\r\n")
    house.wait_for_messages(JOE, had + 1)


def test_idle_it_takes_at_most_350_mib(house, capsys):
    """Proportional set size of all processes together, after a message has gone through."""
    deliver_one(house)
    sizes = {pid: _proportional(pid) for pid in house.all_pids()}
    total = sum(sizes.values()) / 1024
    with capsys.disabled():
        print(f"\nidle: {total:.0f} MiB in {len(sizes)} processes")
    assert total <= IDLE_MIB, {pid: (size, _name(pid)) for pid, size in sizes.items()}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_a_signal_ends_all_processes_within_five_seconds(house, number):
    """Also the locals, while mail is just being delivered, and with a conversation open; status 0, nobody left."""
    deliver_one(house)
    pids, standing = house.all_pids(), house.smtp()
    assert len(house.pids("local")) == 1
    process, began = house.process, time.monotonic()
    process.send_signal(number)
    status = process.wait(STOP_SECONDS)
    took, house.process = time.monotonic() - began, None
    standing.close()
    assert alive(pids) == []
    assert took < STOP_SECONDS
    assert status == 0
    assert house.status() == {}


def test_a_killed_supervisor_leaves_nobody_either(house):
    """Not even a `local`; the next start serves."""
    deliver_one(house)
    pids, process = house.all_pids(), house.process
    process.kill()
    process.wait()
    house.process = None
    wait_until(lambda: not alive(pids), STOP_SECONDS)
    house.start()
    assert house.rcpt(JOE)[0] == 250


def test_a_second_start_is_ready_within_five_seconds(tmp_path, capsys):
    """With the panel. Measured from the command to `ready`, and to the first accepted recipient."""
    with House(tmp_path / "house", settings=PATIENT, panel=True, by_command=True) as house:
        prepare(house)
        house.stop()
        began = time.monotonic()
        house.start()
        ready = time.monotonic() - began
        assert house.rcpt(JOE)[0] == 250
        served = time.monotonic() - began
        assert house.said().splitlines().count("ready") == 2
    with capsys.disabled():
        print(f"\nready after {ready:.2f} s, first recipient after {served:.2f} s")
    assert ready < READY_SECONDS


def test_what_got_250_before_the_stop_is_delivered_after_the_next_start(house):
    """Stopped under load: every message is in the mailbox once, or its client was not told 250."""
    accepted, stop = [], threading.Event()

    def talk(worker):
        number = 0
        with contextlib.suppress(OSError, smtplib.SMTPException), house.smtp() as client:
            while not stop.is_set():
                number += 1
                client.sendmail("a@client.test", [JOE], b"Subject: %d-%d\r\n\r\nbody\r\n" % (worker, number))
                accepted.append(b"Subject: %d-%d\n" % (worker, number))

    had = set(house.messages(JOE))
    threads = [threading.Thread(target=talk, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(accepted) > 100, 30, house.said)
    assert house.stop() == 0
    stop.set()
    for thread in threads:
        thread.join()

    house.start()
    house.wait_for_messages(JOE, len(had) + len(accepted))
    wait_until(lambda: not [path for path in (house.state / "spool").rglob("*") if path.is_file()], 30, house.said)
    found = [re.search(rb"Subject: .*\n", path.read_bytes())[0] for path in set(house.messages(JOE)) - had]
    assert set(accepted) <= set(found)
    assert len(found) == len(set(found))
    # A client that was cut off may have a message that it was not told about; never more than the one in hand.
    assert len(found) <= len(accepted) + len(threads)


def _proportional(pid):
    """PSS in KiB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise AssertionError(f"no Pss of {pid}")


def _name(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()[-60:]
