"""The supervisor's part of the self-test: begun once in a while, role after role, and nobody's silence taken for safety."""

import json
import os
import socket
import sys
from pathlib import Path

import pytest

from appliance.supervisor import selftest
from appliance.supervisor.selftest import SelfTest
from appliance.supervisor.spawn import Streams
from mta import roster
from mta.wire import messages as m
from mta.wire import permits
from mta.wire.control import CONTROL_FD
from mta.wire.loop import Loop

ROLES = [roster.LEDGER, roster.SMTPD]
STARTED: list[int] = []  # pids that nobody has waited for yet
# What a test's process does in place of the attempts: tells what its role's name means here.
STAND_IN = f"""
import socket, sys
from mta.wire import messages as m, permits
from mta.wire.channel import Channel
control = Channel(socket.socket(fileno={CONTROL_FD}), "supervisor", permits.FROM_SUPERVISOR)
begin, _ = control.wait()
assert b"ticket-key" not in begin.pairs
control.send(m.Probed(b"fork", b"held" if sys.argv[1] == "ledger" else b"open", b"EPERM"))
if sys.argv[1] == "ledger":
    control.send(m.Ready())
elif "%s" == "chatter":
    for _ in range(300):
        control.send(m.Probed(b"fork", b"held", b"EPERM"))
elif "%s" == "silent":
    import time
    time.sleep(600)
elif "%s" == "nonsense":
    control.send(m.QueueTold(1, True, ()))
"""


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    return instead(monkeypatch, "end")


def instead(monkeypatch: pytest.MonkeyPatch, manner: str) -> Loop:
    def spawn(_module: str, control: socket.socket, _streams: tuple[int, int, int], role: str) -> int:
        program = STAND_IN.replace("%s", manner)
        actions = [(os.POSIX_SPAWN_DUP2, control.fileno(), CONTROL_FD)]
        STARTED.append(
            os.posix_spawn(sys.executable, [sys.executable, "-I", "-c", program, role], {}, file_actions=actions)
        )
        return STARTED[-1]

    monkeypatch.setattr(selftest, "spawn", spawn)
    return Loop()


def made_with(loop: Loop, file: Path) -> SelfTest:
    return SelfTest(file, loop, Streams(), lambda: {"state": b"/nowhere", "root": b"1"})


def run(test: SelfTest, loop: Loop) -> None:
    assert test.begin(ROLES)
    for _ in range(3000):
        if not test.running and not STARTED:
            return
        loop.run_once(0.02)
        for pid in [pid for pid in STARTED if os.waitpid(pid, os.WNOHANG)[0]]:
            STARTED.remove(pid)
            test.reaped(pid)
    raise AssertionError("it did not end")


def test_each_role_is_tried_and_what_did_not_end_is_told_as_that(loop: Loop, tmp_path: Path) -> None:
    test = made_with(loop, tmp_path / "selftest.json")
    run(test, loop)
    assert [(one.role, one.whole, one.probes) for one in test.results] == [
        ("ledger", True, [("fork", "held", "EPERM")]), ("smtpd", False, [("fork", "open", "EPERM")]),
    ]  # fmt: skip


@pytest.mark.parametrize("manner", ["chatter", "nonsense"])
def test_a_process_that_says_too_much_is_bounded(manner: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """However many attempts it tells of, and whatever else it says."""
    loop = instead(monkeypatch, manner)
    test = made_with(loop, tmp_path / "selftest.json")
    run(test, loop)
    assert len(test.results[1].probes) <= selftest.MAX_PROBES
    assert not test.results[1].whole


def test_a_process_that_says_nothing_holds_nobody_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is ended, and told as not finished."""
    loop = instead(monkeypatch, "silent")
    monkeypatch.setattr(selftest, "ROLE_SECONDS", 1.5)
    test = made_with(loop, tmp_path / "selftest.json")
    run(test, loop)
    assert test.results[1].whole is False
    assert STARTED == []


def test_it_runs_once_in_a_while_whoever_asks(loop: Loop, tmp_path: Path) -> None:
    """Else a web process that was taken over would have root start processes without end."""
    test = made_with(loop, tmp_path / "selftest.json")
    run(test, loop)
    assert not test.begin(ROLES)
    assert [one.role for one in test.results] == ["ledger", "smtpd"], "the last one is kept"


def test_what_was_found_is_known_after_a_restart(loop: Loop, tmp_path: Path) -> None:
    test = made_with(loop, tmp_path / "selftest.json")
    run(test, loop)
    again = made_with(loop, tmp_path / "selftest.json")
    assert (again.began, again.ended, again.results) == (test.began, test.ended, test.results)
    assert again.began
    assert not again.running


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"began": 1}', json.dumps({"began": 1, "ended": 2, "results": [["x"]]})]
)
def test_a_torn_memory_is_none(text: str, loop: Loop, tmp_path: Path) -> None:
    file = tmp_path / "selftest.json"
    file.write_text(text)
    test = made_with(loop, file)
    assert (test.results, test.began) == ([], 0)


def test_only_web_may_ask_and_nobody_has_a_word_in_it() -> None:
    """The supervisor hangs up on every other role that says so; what web says has no field but a number to answer to."""
    asked = {m.StandingOf, m.TryWalls}
    for role in roster.ROLES:
        assert (permits.to_supervisor(role.name) & asked == asked) == (role is roster.WEB)
    assert permits.to_supervisor("web") == asked | {m.Ready}
    assert (m.TryWalls.__match_args__, m.StandingOf.__match_args__) == ((), ("tag",))
