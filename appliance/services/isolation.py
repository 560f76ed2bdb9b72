"""Who runs in this house behind which walls, whether the kernel says so too, and what the last self-test of the walls found.

A reader would otherwise get wrong: three sources meet here. What a role *should* have is the roster's word, of which its walls are
built; what its process *has* is the kernel's, read by the supervisor; what the walls *hold* was tried by the self-test, in a
process of its own behind the same walls. Where two of them disagree, that is an alarm.
"""

from collections.abc import Callable
from dataclasses import dataclass

from appliance.errors import NotFound
from appliance.services import authorisation
from appliance.services.actor import Actor
from mta import roster
from mta.roster import Access, Promise

Standing = Callable[[], list[dict[str, str]]]  # who knows it: `appliance.peers.Supervisor.standing`

OFTEN = 3  # restarts, the last of them within RECENT_SECONDS
RECENT_SECONDS = 600
_CAPABILITIES = {Promise.SPAWN: 0xC0, Promise.CHOWN_DOMAINS: 0x1}  # CAP_SETGID and CAP_SETUID; CAP_CHOWN
_FILTERED = "2"  # Seccomp in /proc/<pid>/status: by a filter


@dataclass(frozen=True, slots=True)
class Attempt:
    """One thing that was tried, what became of it (held, open, idle, job), and the kernel's word."""

    name: str
    outcome: str
    answer: str


@dataclass(frozen=True, slots=True)
class Process:
    """A process as it is, and as it should be."""

    role: str
    instance: int
    pid: int
    uid: int
    state: str  # running, starting, down
    restarts: int
    since: int
    faults: tuple[str, ...]  # in what the kernel says otherwise: uid, groups, capabilities, privileges, filter


@dataclass(frozen=True, slots=True)
class Room:
    """One role: what it may, whom it knows, its processes, and what was tried behind its walls."""

    name: str
    trusted: bool
    promises: tuple[str, ...]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    keys: tuple[str, ...]
    asks: tuple[str, ...]
    is_asked_by: tuple[str, ...]
    memory_mib: int
    open_files: int
    processes: tuple[Process, ...]
    attempts: tuple[Attempt, ...]
    whole: bool | None  # did its self-test come to its end; None: there was none

    @property
    def broken(self) -> tuple[Attempt, ...]:
        """What got through."""
        return tuple(attempt for attempt in self.attempts if attempt.outcome == "open")

    @property
    def faults(self) -> tuple[str, ...]:
        """What the kernel says otherwise of any of its processes."""
        return tuple(dict.fromkeys(fault for process in self.processes for fault in process.faults))

    @property
    def is_down(self) -> bool:
        """Does one of its processes not serve? One that sleeps until it is asked would."""
        return any(process.state not in ("running", "asleep") for process in self.processes)

    @property
    def is_asleep(self) -> bool:
        """Has nobody asked it anything yet, and is it not started before?"""
        return all(process.state == "asleep" for process in self.processes)

    @property
    def is_alarming(self) -> bool:
        """Does a wall of it not stand, as far as anybody knows?"""
        return bool(self.broken or self.faults or self.whole is False)


@dataclass(frozen=True, slots=True)
class House:
    """All of it. *began*, *ended*: of the last self-test (seconds since 1970; 0: never, or not yet); *left*: roles to come."""

    rooms: tuple[Room, ...]
    edges: tuple[tuple[str, str], ...]  # who asks whom; the journal, to which everybody tells, left out
    began: int
    ended: int
    running: bool
    left: int
    every: int  # seconds between two of them
    is_root: bool  # Has each role a uid of its own?

    @property
    def tried(self) -> int:
        """How many attempts of the last self-test say anything."""
        return sum(attempt.outcome in ("held", "open") for room in self.rooms for attempt in room.attempts)

    @property
    def alarms(self) -> tuple[Room, ...]:
        """Rooms of which a wall does not stand. One whose test is under way is none yet."""
        return tuple(room for room in self.rooms if room.is_alarming)

    def room(self, name: str) -> Room:
        """The one called *name*.

        Raises:
            NotFound: there is none.
        """
        for room in self.rooms:
            if room.name == name:
                return room
        raise NotFound(f"there is no role {name[:40]} here")


def look(ask: Standing, *, actor: Actor) -> House:
    """How the house stands.

    Raises:
        NotFound: it is the operator's alone.
        Unable: nobody can tell now.
    """
    authorisation.require_operator(actor, "page of the walls")
    told = ask()
    summary = told[-1] if told else {}
    running, is_root = summary.get("running") == "1", summary.get("root") == "1"
    tested = {one["tested"]: one for one in told if "tested" in one}
    under_way = next(reversed(tested), "") if running else ""
    processes = [_process(one, is_root=is_root) for one in told if "role" in one]
    names = list(dict.fromkeys(process.role for process in processes))
    rooms = tuple(_room(name, names, processes, tested.get(name), name == under_way) for name in names)
    edges = tuple(
        (edge.client, edge.server)
        for edge in roster.EDGES
        if edge.client in names and edge.server in names and edge.server != roster.JOURNAL.name
    )
    began, ended, left, every = (_number(summary, name) for name in ("began", "ended", "left", "every"))
    return House(rooms, edges, began, ended, running, left, every, is_root)


def try_walls(start: Callable[[], None], *, actor: Actor) -> None:
    """Have the self-test run.

    Raises:
        NotFound: it is the operator's alone.
    """
    authorisation.require_operator(actor, "page of the walls")
    start()


def _room(
    name: str, names: list[str], processes: list[Process], tested: dict[str, str] | None, under_way: bool
) -> Room:
    role = roster.role_named(name)
    attempts = [
        Attempt(probe, *_two(value)) for probe, value in (tested or {}).items() if probe not in ("tested", "whole")
    ]
    return Room(
        name, role.trusted,
        tuple(sorted(promise.value for promise in role.promises)),
        tuple(rule.path for rule in role.paths if rule.access is Access.READ),
        tuple(rule.path for rule in role.paths if rule.access is Access.WRITE),
        role.secrets,
        tuple(server for server in roster.servers_of(role) if server in names),
        tuple(edge.client for edge in roster.EDGES if edge.server == name and edge.client in names),
        role.memory_mib, role.open_files,
        tuple(process for process in processes if process.role == name),
        tuple(attempts),
        None if tested is None or under_way else tested.get("whole") == "1",
    )  # fmt: skip


def _process(told: dict[str, str], *, is_root: bool) -> Process:
    return Process(
        told["role"], _number(told, "instance"), _number(told, "pid"), _number(told, "uid"), told.get("state", "down"),
        _number(told, "restarts"), _number(told, "since"),
        _faults(told, is_root=is_root) if told.get("state") == "running" else (),
    )  # fmt: skip


def _faults(told: dict[str, str], *, is_root: bool) -> tuple[str, ...]:
    """In what the kernel says otherwise than it should of a process that serves. Where it says nothing, nothing is known."""
    if "Uid" not in told:
        return ()
    role = roster.role_named(told["role"])
    allowed = sum(bits for promise, bits in _CAPABILITIES.items() if promise in role.promises)
    found = {
        "uid": set(told["Uid"].split()) != {told["uid"]},
        "groups": is_root
        and bool(told.get("Groups", "").strip()),  # Only root can leave the groups of whoever started it.
        "capabilities": bool(_hexadecimal(told.get("CapPrm", "0")) & ~allowed),
        "privileges": told.get("NoNewPrivs") != "1",
        "filter": told.get("Seccomp") != _FILTERED,
    }
    return tuple(name for name, wrong in found.items() if wrong)


def _two(value: str) -> tuple[str, str]:
    first, _, second = value.partition(" ")
    return first, second


def _number(told: dict[str, str], name: str) -> int:
    value = told.get(name, "0")
    return int(value) if value.isdecimal() and len(value) < 20 else 0


def _hexadecimal(value: str) -> int:
    try:
        return int(value, 16)
    except ValueError:
        return -1  # all of them: what cannot be read is not believed
