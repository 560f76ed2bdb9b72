"""`postern check`: what is wrong with this host, each with its mend.

A reader would otherwise get wrong: a missing kernel feature is a note and not a failure - the other walls stand - but it is
said, for somebody may count on it.
"""

import ctypes
import ipaddress
import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from appliance.cli import living
from appliance.cli.house import engine_of, say, settings
from appliance.config import Endpoint, Settings, render_size
from appliance.database.session import reading
from appliance.errors import ApplianceError, NotFound, Unable
from appliance.provision import descriptors, directories, os_users
from appliance.services import addresses, changes
from appliance.services.actor import from_command_line
from appliance.services.passwords import PRIVATE_KEY, PUBLIC_KEY

LANDLOCK_CREATE_RULESET = 444  # the number is the same on every architecture
LANDLOCK_VERSION_FLAG = 1
LANDLOCK_NETWORK_ABI = 4
SMALLEST_FREE = 256 * 1024 * 1024
OLD_SECONDS = 60
SELFTEST = "run/selftest.json"  # as the supervisor writes it
CERTIFICATE_DAYS = 21  # before its end, from which on it is said
AUDIENCES = ("recipients", "credentials", "certificates", "sources", "routes", "signing")
ALWAYS_WRITTEN = AUDIENCES[:2]  # the others only when something of theirs changes


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be. A note does not fail the check."""

    what: str
    mend: str
    note: bool = False


def check() -> None:
    """Look at kernel, ports, folders, keys, database, snapshot and disk; exit code 1 when something is wrong."""
    given = settings()
    findings = [finding for examine in EXAMINATIONS for finding in examine(given)]
    wrong = [finding for finding in findings if not finding.note]
    lines = [f"{'note' if finding.note else 'wrong'}: {finding.what}\n  mend: {finding.mend}" for finding in findings]
    say(
        {"healthy": not wrong, "findings": [asdict(finding) for finding in findings]},
        *lines,
        *(() if wrong else ("nothing is wrong",)),
    )
    if wrong:
        raise Unable(f"{len(wrong)} {'thing is' if len(wrong) == 1 else 'things are'} wrong", code="unhealthy")


def landlock_abi() -> int:
    """The version of Landlock that the kernel offers; 0 for none."""
    libc = ctypes.CDLL(None, use_errno=True)
    return max(0, int(libc.syscall(LANDLOCK_CREATE_RULESET, None, 0, LANDLOCK_VERSION_FLAG)))


def _kernel(_: Settings) -> Iterator[Finding]:
    abi = landlock_abi()
    newer = "a kernel of 6.7 or newer with CONFIG_SECURITY_LANDLOCK and landlock in lsm="
    if abi == 0:
        yield Finding(
            "the kernel has no Landlock: folders are guarded by uid, root directory and seccomp", newer, note=True
        )
    elif abi < LANDLOCK_NETWORK_ABI:
        yield Finding(
            f"Landlock has ABI {abi}, without rules for the network; seccomp denies it alone,"
            " and cannot judge to which port the roles that call out connect",
            newer,
            note=True,
        )
    if not Path("/proc/sys/kernel/seccomp/actions_avail").exists():
        yield Finding("the kernel has no seccomp filters", "a kernel with CONFIG_SECCOMP_FILTER=y")


def _identity(given: Settings) -> Iterator[Finding]:
    if not os_users.is_root():
        yield Finding("not root: the roles would share this user's uid", "run as root", note=True)
        return
    try:
        highest = os_users.choose_uid_base()
    except ApplianceError as error:
        yield Finding(error.sentence, "a larger uid range for this container")
        return
    if given.host.uid_base > highest:
        yield Finding(
            f"host.uid_base {given.host.uid_base} lies outside what this container maps", f"set it to {highest}"
        )


def _descriptors(given: Settings) -> Iterator[Finding]:
    missing = descriptors.missing(given)
    if missing:
        yield Finding(missing, descriptors.MEND)


def _ports(given: Settings) -> Iterator[Finding]:
    if living.supervisor_pid(given) is not None:
        return  # They are taken, by us.
    listen = given.listen
    for service in ("smtp", "submission", "submissions", "panel", "metrics"):
        for endpoint in getattr(listen, service):
            reason = _why_not_bound(endpoint)
            if reason:
                yield Finding(
                    f"listen.{service} {endpoint}: {reason}", f"stop what uses it, or change listen.{service}"
                )


def _why_not_bound(endpoint: Endpoint) -> str:
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind(endpoint)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _folders(given: Settings) -> Iterator[Finding]:
    for problem in directories.problems(given):
        yield Finding(problem, "`postern up` mends it when it starts")
    for key in (PRIVATE_KEY, PUBLIC_KEY):
        if not os.access(given.state / key, os.R_OK):
            yield Finding(f"{given.state / key} cannot be read", "restore it from the backup: passwords depend on it")
    file = given.database_file
    if file is not None and file != given.state / directories.DATABASE:
        yield Finding(
            f"the database {file} lies where the roles cannot reach it",
            f'database.url = "sqlite:///{given.host.state}/{directories.DATABASE}"',
        )


def _database(given: Settings) -> Iterator[Finding]:
    try:
        with reading(engine_of(given)) as session:
            newest = changes.newest(session)
            answered = addresses.next_of(session, f"postmaster@{given.host.name}") is not None
    except ApplianceError as error:
        yield Finding(error.sentence, "`postern migrate` for an older schema; else restore the backup")
        return
    if newest == 0:
        yield Finding("the database has no history", "`postern init`")
    elif not answered:
        # host.name was changed after `init`, which had made the former name a domain of ours.
        yield Finding(
            f"nobody answers for postmaster@{given.host.name}, who gets notifications that cannot be delivered",
            f"`postern domain add {given.host.name}`",
        )


def _snapshot(given: Settings) -> Iterator[Finding]:
    for audience in AUDIENCES:
        folder = given.state / "snapshot" / audience
        try:
            # Deltas are appended to, so the newest of the files tells when something was published last.
            published = max((entry.stat().st_mtime for entry in folder.iterdir()), default=0.0)
        except OSError as error:
            if os_users.is_root() or not isinstance(error, PermissionError):
                yield Finding(f"{folder} cannot be read: {error.strerror}", "`postern up` makes it")
            continue
        if not published:
            yield Finding(f"no snapshot for {audience} was ever published", "`postern publish`, or `postern up`")
        elif audience in ALWAYS_WRITTEN and _changed_at(given) - published > OLD_SECONDS:
            yield Finding(f"the snapshot for {audience} is older than the database", "`postern publish --full`")


def _changed_at(given: Settings) -> float:
    """When the newest deed was written; 0 where the database cannot say."""
    from appliance.services import audit  # noqa: PLC0415 - only where there is a snapshot

    try:
        with reading(engine_of(given)) as session:
            entries = audit.list_entries(session, actor=from_command_line("check"), limit=10).items
    except ApplianceError:
        return 0.0  # `_database` reports it.
    # A login is a deed that publishes nothing.
    return float(next((entry.at for entry in entries if entry.action != "session.created"), 0))


def _audit(given: Settings) -> Iterator[Finding]:
    """Does every entry of the audit log follow from the one before it?"""
    from appliance.services import audit  # noqa: PLC0415 - as above

    try:
        with reading(engine_of(given)) as session:
            verdict = audit.verify(session, given.state / "snapshot")
    except (ApplianceError, PermissionError):
        return  # `_database` and `_folders` report it.
    if verdict.wrong:
        what = f"the audit log was tampered with: {verdict.wrong}"
        yield Finding(what, "find out who can write the database; a backup tells what stood there")


def _certificate(given: Settings) -> Iterator[Finding]:
    """Does the host show something of itself, and for how long?"""
    from appliance.services import certificates  # noqa: PLC0415 - a library of some size

    name = given.host.name
    try:
        with reading(engine_of(given)) as session:
            found = certificates.of_name(session, name, actor=from_command_line("check"))
    except NotFound:
        yield Finding(f"there is no certificate for {name}, so nobody can encrypt", "`postern tls renew`")
        return
    except ApplianceError:
        return  # `_database` reports it.
    served = (*given.listen.submission, *given.listen.submissions)
    if found.origin == certificates.SELF_SIGNED and any(
        not ipaddress.ip_address(endpoint.host).is_loopback for endpoint in served
    ):
        what = f"the certificate for {name} is signed by itself: programs of users who send will warn of it, or refuse"
        yield Finding(what, "`postern tls install`", note=True)
    days = int(found.not_after - time.time()) // 86400
    if days < CERTIFICATE_DAYS:
        what = f"expires in {days} days" if days >= 0 else "has expired"
        mend = "`postern tls renew`" if found.origin == certificates.SELF_SIGNED else "`postern tls install`"
        yield Finding(f"the certificate for {name} {what}", mend, note=days >= 0)


def _walls(given: Settings) -> Iterator[Finding]:
    """What the last self-test of the walls found. It is begun in the panel."""
    try:
        told = json.loads((given.state / SELFTEST).read_text(encoding="utf-8"))
        results = [
            (role, bool(whole), [probe for probe in probes if probe[1] == "open"])
            for role, whole, probes in told["results"]
        ]
    except (FileNotFoundError, PermissionError):
        return  # Nobody ever began one; or it was begun by root, who alone is told.
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        yield Finding(
            f"{given.state / SELFTEST} cannot be read",
            "have the walls tried again, on the panel's isolation page",
            note=True,
        )
        return
    for role, whole, through in results:
        if through:
            names = ", ".join(str(probe[0]) for probe in through)
            what = f"a wall of {role} does not stand: the self-test got through with {names}"
            yield Finding(
                what, "the notes above may say which wall this kernel lacks; else do not serve with this installation"
            )
        elif not whole:
            what = f"the self-test of the walls of {role} did not come to its end"
            yield Finding(what, "`postern status`, the log, and the button on the panel's isolation page once more")


def _disk(given: Settings) -> Iterator[Finding]:
    try:
        free = shutil.disk_usage(given.state).free
    except OSError as error:
        yield Finding(f"{given.state}: {error.strerror}", "`postern init`")
        return
    wanted = max(SMALLEST_FREE, 2 * given.limits.min_free_space)
    if free < wanted:
        yield Finding(
            f"only {free >> 20} MiB are free below {given.state}",
            f"make room: below {render_size(given.limits.min_free_space)} mail is deferred",
        )


def lacks_journal(folder: Path, proc: Path = Path("/proc")) -> bool:
    """Does *folder* lie on an ext4 that was made without a journal?

    There a power cut may lose whole folders, however often their files were synced; and its allocator walks past every file
    that was deleted in the last minutes, so that each new one costs more the busier the queue is.
    """
    number = folder.stat().st_dev
    device = f"{os.major(number)}:{os.minor(number)}"
    kinds = {
        fields[2]: fields[fields.index("-") + 1]
        for fields in (line.split() for line in (proc / "self/mountinfo").read_text().splitlines())
    }
    if kinds.get(device) != "ext4":
        return False
    options = proc / "fs/ext4" / Path("/sys/dev/block", device).resolve().name / "options"
    # Without a journal there is no way of writing data to name.
    return options.exists() and "data=" not in options.read_text()


def _journal(given: Settings) -> Iterator[Finding]:
    if given.state.exists() and lacks_journal(given.state):
        yield Finding(
            f"{given.state} is on an ext4 without a journal: a power cut may lose accepted mail, a busy queue slows down",
            "`tune2fs -O has_journal` on the unmounted device, or a file system with a journal for the state directory",
            note=True,
        )


def _clock(_: Settings) -> Iterator[Finding]:
    if time.time() < 1_760_000_000:
        yield Finding("the clock is wrong: it shows a time before this program was written", "run a time service")


EXAMINATIONS: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
    _kernel, _identity, _descriptors, _ports, _folders, _database, _snapshot, _audit, _certificate, _walls, _disk, _journal, _clock,
)  # fmt: skip
