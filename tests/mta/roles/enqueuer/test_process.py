"""The enqueuer as a process of its own, as the supervisor starts it: walls up, real disk."""

import os
import time
from pathlib import Path

import pytest

from mta import roster
from mta.wire import messages as m
from tests.fixtures.lone_role import receive
from tests.mta.roles.enqueuer._rig import KEYS, offer

SETTINGS = {
    roster.SESSION_KEY: KEYS.session, roster.TICKET_KEY: KEYS.ticket, roster.ORIGINAL_KEY: KEYS.original,
        roster.NOTICE_KEY: KEYS.notice,
        roster.CONSENT_KEY: KEYS.consent,
    "limits.min_free_space": b"0", "smtpd.max_message_size": b"1000000",
}  # fmt: skip
BODY = b"Subject: hello\r\n\r\n" + b"x" * 4000 + b"\r\n"


def test_behind_its_walls_it_takes_mail_and_after_a_kill_it_removes_what_it_had_not_taken(lone_role, state):
    """The whole way over real descriptors; what was streaming when it was killed is gone after the next start."""
    enqueuer = lone_role(roster.ENQUEUER, state, settings=SETTINGS)
    smtpd, scheduler = enqueuer.as_client("smtpd"), enqueuer.as_server("scheduler")
    assert receive(scheduler)[0] == m.Recovered()
    smtpd.send(offer(1))
    smtpd.send(m.Content(1, True, BODY))
    taken = receive(smtpd)[0]
    assert isinstance(taken, m.Taken)
    assert receive(scheduler)[0].pairs[0] == taken.queue_id
    smtpd.send(offer(2))
    for _ in range(5):
        smtpd.send(m.Content(2, False, b"y" * 40_000))
    deadline = time.monotonic() + 10
    while len(os.listdir(state / "spool/content")) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(os.listdir(state / "spool/content")) == 2
    enqueuer.process.kill()
    enqueuer.process.wait()
    again = lone_role(roster.ENQUEUER, state, settings=SETTINGS)
    assert receive(again.as_server("scheduler"))[0] == m.Recovered()
    assert [os.listdir(state / "spool" / part) for part in ("content", "envelope")] == [[taken.queue_id.decode()]] * 2
    assert (state / "spool/content" / taken.queue_id.decode()).read_bytes().endswith(BODY)


@pytest.mark.alone
def test_a_message_of_4_kib_costs_little_cpu(lone_role, state, figure):
    """The whole house has 1.5 ms for a message; the enqueuer's part of it is bounded here, in batches of twenty."""
    enqueuer = lone_role(roster.ENQUEUER, state, settings=SETTINGS)
    smtpd, scheduler = enqueuer.as_client("smtpd"), enqueuer.as_server("scheduler")
    receive(scheduler)
    rounds, batch = 50, 20
    offers = [offer(tag) for tag in range(batch)]

    def one_round():
        for each in offers:
            smtpd.send(each)
            smtpd.send(m.Content(each.tag, True, BODY))
        for _ in offers:
            assert isinstance(receive(smtpd)[0], m.Taken)
        announced = 0
        while announced < 2 * batch:
            announced += len(receive(scheduler)[0].pairs)

    def used():
        fields = Path(f"/proc/{enqueuer.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    one_round()
    before = used()
    for _ in range(rounds):
        one_round()
    each = (used() - before) / (rounds * batch) * 1e6
    figure("enqueuer, us CPU a message of 4 KiB", round(each))
    # The figure is what counts; this only catches a blunder: syncfs pays for whatever else is written on the machine.
    assert each < 2500
