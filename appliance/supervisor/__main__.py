"""The supervisor's process: lock, ports, tree, signals, and the file in which others read how it stands."""

import contextlib
import copy
import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from appliance.supervisor import door, ports, standing
from appliance.supervisor.plan import SERVICES, Plan
from appliance.supervisor.selftest import SelfTest
from appliance.supervisor.tree import Tree
from mta import roster
from mta.wire import messages as m
from mta.wire.channel import Channel, ChannelClosed
from mta.wire.loop import Loop

_PR_SET_CHILD_SUBREAPER = 36
RELOAD_SECONDS = 20
TESTED = "selftest.json"  # in run/: what the walls were found to be
_ORPHAN_SECONDS = 0.3  # for children of roles that ended, once all roles did


class CannotStartError(Exception):
    """Why, in one line for the operator."""


def main(descriptor: int) -> int:
    """Serve the plan behind *descriptor* until told to stop; answers the exit status."""
    with os.fdopen(descriptor) as file:
        plan: Plan = json.load(file)
    try:
        with _lock(Path(plan["state"])):
            _check_uids(plan)
            return House(plan, ports.listen(plan["listen"])).serve()
    except (CannotStartError, ports.PortError) as error:
        print(f"postern: {error}", file=sys.stderr)  # noqa: T201 - the one clear line
        return 1


class House:
    """Glue: signals in, the tree, the status file out."""

    def __init__(self, plan: Plan, sockets: list[ports.Listening]) -> None:
        self._plan, self._sockets = plan, sockets
        self._started: Plan = copy.deepcopy(plan)
        self._status = Path(plan["state"], "run", "status.json")
        self._loop = Loop()
        self._tree = Tree(plan, sockets, self._loop, self._changed)
        self._test = SelfTest(self._status.with_name(TESTED), self._loop, self._tree.streams, self._tree.settings)
        self._status_code = 0
        self._announced = False

    def serve(self) -> int:
        """Run until stopped."""
        os.chdir("/")
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._watch_signals()
        orders = door.Door(self._status.parent, self._loop, self._tree.order)
        self._tree.told, self._tree.untold = orders.told, orders.away
        self._tree.asked, self._tree.reaped = self._asked, self._test.reaped
        try:
            self._write_status()  # What a predecessor wrote is true no more.
            self._tree.start()
            while self._tree.alive or not self._tree.stopping:
                self._loop.run_once(None)
        finally:
            orders.close()
            self._tree.kill()
            self._bury()
            for name in ("status.json", "supervisor.pid", door.NAME):
                with contextlib.suppress(FileNotFoundError):
                    self._status.with_name(name).unlink()
        return self._status_code

    def _watch_signals(self) -> None:
        reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)  # The pipe has its number; the loop acts on it.
        self._loop.add_reader(reading, lambda: self._signalled(os.read(reading, 4096)))

    def _signalled(self, numbers: bytes) -> None:
        if signal.SIGCHLD in numbers:
            self._tree.reap()
            self._give_up_when_hopeless()
        if signal.SIGHUP in numbers and not self._tree.stopping:
            self._reload()
        if (signal.SIGTERM in numbers or signal.SIGINT in numbers) and not self._tree.stopping:
            self._tree.stop()

    def _give_up_when_hopeless(self) -> None:
        if self._tree.served or self._tree.stopping:
            return
        for member in self._tree.members:
            if member.restarts.hopeless:
                print(f"postern: {member.label} does not start; what it said stands above and in log/", file=sys.stderr)  # noqa: T201
                self._status_code = 1
                self._tree.stop()
                return

    def _reload(self) -> None:
        command = [sys.executable, "-I", "-m", "appliance.supervisor.plan", self._plan["config"]]
        # A few tenths of a second in which nothing is restarted; mail flows on, since it does not pass through here.
        try:
            result = subprocess.run(command, stdout=subprocess.PIPE, env={}, check=True, timeout=RELOAD_SECONDS)
        except subprocess.SubprocessError:
            _say("the settings were not read again: they are wrong; everything goes on as it was")
            return
        plan: Plan = json.loads(result.stdout)
        self._plan["settings"] = plan["settings"]
        self._tree.reload(plan["settings"])
        waiting = _waiting_for_a_start(self._started, plan)
        _say("settings read again" + (f"; in force with the next start: {', '.join(waiting)}" if waiting else ""))

    def _asked(self, web: Channel, message: m.Message) -> None:
        """What web wants: to know how the house stands, or to have the walls tried."""
        if isinstance(message, m.TryWalls):
            self._test.begin(list(dict.fromkeys(member.role for member in self._tree.members)))
        elif isinstance(message, m.StandingOf):
            uids = {member.role.name: self._uid_of(member.role) for member in self._tree.members}
            with contextlib.suppress(ChannelClosed):  # It is restarted, and asks again if it still wants to know.
                for one in standing.told(message.tag, self._tree, self._test, uids):
                    web.send(one)

    def _uid_of(self, role: roster.Role) -> int:
        return self._plan["uid_base"] + role.number if os.geteuid() == 0 else os.geteuid()

    def _changed(self) -> None:
        self._write_status()
        if self._tree.ready and not self._announced:
            self._announced = True
            _say("ready")

    def _write_status(self) -> None:
        now = time.time()
        status: dict[str, Any] = {
            "pid": os.getpid(),
            "ready": self._tree.ready,
            "root": os.geteuid() == 0,
            "written": now,
            "roles": [
                {
                    "role": member.role.name,
                    "instance": member.instance,
                    "pid": member.pid,
                    "uid": self._uid_of(member.role),
                    "state": member.state,
                    "restarts": member.restarts.ended,
                }
                for member in self._tree.members
            ],
            "ports": {
                service: [listening.address for listening in self._sockets if listening.service == service]
                for service in self._plan["listen"]
            },
        }
        fresh = self._status.with_suffix(".new")
        with contextlib.suppress(OSError):  # A full disk must not stop the house; the next change writes it again.
            fresh.write_text(json.dumps(status))
            fresh.rename(self._status)

    def _bury(self) -> None:
        """Wait for the children of roles that are gone; kill what does not go by itself."""
        until = time.monotonic() + _ORPHAN_SECONDS
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid:
                continue
            if time.monotonic() > until:
                for child in _children():
                    os.kill(child, signal.SIGKILL)
            time.sleep(0.01)


def _waiting_for_a_start(started: Plan, read: Plan) -> list[str]:
    """What *read* says that only a start can do: other processes, other ports, other users."""
    names = {name for role in roster.ROLES for name in (role.instances, role.only_with[0]) if name}
    changed = sorted(name for name in names if started["settings"][name] != read["settings"][name])
    # A plan has tuples where JSON has lists; both plans came through JSON.
    changed += [f"listen.{service}" for service in SERVICES if started["listen"][service] != read["listen"][service]]
    changed += [f"host.{name}" for name in ("state", "wake_all") if started[name] != read[name]]
    return changed + (["host.uid_base"] if started["uid_base"] != read["uid_base"] else [])


def _children() -> list[int]:
    path = Path("/proc/self/task", str(os.getpid()), "children")
    return [int(pid) for pid in path.read_text().split()] if path.exists() else []


@contextlib.contextmanager
def _lock(state: Path) -> Any:  # noqa: ANN401 - a context manager
    """Be the only supervisor of this state folder.

    Raises:
        CannotStartError: there is one already, or the folder cannot be written.
    """
    run = state / "run"
    try:
        (run / "empty").mkdir(parents=True, exist_ok=True)
        descriptor = os.open(run / "supervisor.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CannotStartError(f"{run} cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise CannotStartError(f"an appliance is running on {state} already") from error
    try:
        (run / "supervisor.pid").write_text(f"{os.getpid()}\n")
        yield
    finally:
        os.close(descriptor)


def _check_uids(plan: Plan) -> None:
    """As root every role needs a uid that exists here; containers often map few.

    Raises:
        CannotStartError: they do not.
    """
    if os.geteuid():
        return
    first, last = plan["uid_base"], plan["uid_base"] + roster.DOMAIN_UIDS_FROM
    for line in Path("/proc/self/uid_map").read_text().splitlines():
        start, _, count = map(int, line.split())
        if start <= first and last < start + count:
            return
    raise CannotStartError(f"host.uid_base: the uids from {first} to {last} do not exist here (see /proc/self/uid_map)")


def _say(line: str) -> None:
    with contextlib.suppress(BrokenPipeError):  # Nobody reads what we print; that is no reason to end.
        print(line, flush=True)  # noqa: T201 - the operator's line


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
