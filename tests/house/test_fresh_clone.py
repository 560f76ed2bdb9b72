"""Two commands on a fresh machine: what a newcomer does first, as root and as an ordinary user.

Each clone runs in a network namespace of its own, so that the ports that `init` writes by default are free, and so that
"no process is left" can be asked of the kernel: whoever is still in the namespace is an orphan.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pytest

TREE = Path(__file__).resolve().parents[2]
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", "var", "postern.toml", "__pycache__", "*_cache", ".hypothesis", "bench-*"
)
ORDINARY = 41_234  # a uid that nobody has
READY_SECONDS = 5  # the second start
STOP_SECONDS = 5
# Proportional set size of all processes together: 300 on a machine of their own, more than a third of it web.
IDLE_MIB = 350

pytestmark = [
    pytest.mark.alone,
    pytest.mark.must_show,
    pytest.mark.journey,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace and a second user need root"),
]


@dataclass
class Newcomer:
    """Somebody with a fresh clone, in a network of their own."""

    clone: Path
    uid: int
    keeper: subprocess.Popen[bytes]  # holds the namespace open
    environment: dict[str, str]
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *command: str, output: IO[str]) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            self.inside(*command), cwd=self.clone, env=self.environment, stdout=output, stderr=output, text=True
        )
        self.processes.append(process)
        return process

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.inside(*command), cwd=self.clone, env=self.environment, capture_output=True, text=True, check=False
        )

    def inside(self, *command: str) -> list[str]:
        become = [] if self.uid == 0 else ["setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups"]
        return ["nsenter", f"--net=/proc/{self.keeper.pid}/ns/net", "--", *become, *command]

    def residents(self) -> list[int]:
        """Who runs in the namespace, besides its keeper."""
        here = os.readlink(f"/proc/{self.keeper.pid}/ns/net")
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if (
                    entry.name.isdigit()
                    and os.readlink(entry / "ns/net") == here
                    and int(entry.name) != self.keeper.pid
                ):
                    found.append(int(entry.name))
        return found


@pytest.fixture(scope="module")
def newcomers() -> Iterator[dict[int, tuple[Newcomer, subprocess.CompletedProcess[str]]]]:
    """By uid, each with what its installation said: both install at once, for nothing is measured meanwhile."""
    # Not tmp_path: its parents are root's alone, and each start of another pytest makes them so again.
    folder = Path(tempfile.mkdtemp(prefix="postern-newcomer-", dir="/var/tmp"))
    folder.chmod(0o711)
    made: list[Newcomer] = []

    def make(uid: int) -> Newcomer:
        keeper = subprocess.Popen(["unshare", "--net", "sleep", "3600"])
        wait_for(lambda: os.readlink(f"/proc/{keeper.pid}/ns/net") != os.readlink("/proc/self/ns/net"), 10)
        # A blank in the path, and (as root) a folder on the way that no role's user may enter.
        home = folder / f"home of {uid}"
        clone = home / "fresh clone"
        shutil.copytree(TREE, clone, ignore=LEFT_OUT)
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("VIRTUAL_ENV", "POSTERN"))
        }
        environment["HOME"] = str(home)
        if uid:
            subprocess.run(["chown", "-R", f"{uid}:{uid}", home], check=True)
            environment["PATH"] = "/usr/local/bin:/usr/bin:/bin"
        home.chmod(0o700)
        made.append(Newcomer(clone, uid, keeper, environment))
        assert made[-1].run("sh", "-c", "true").returncode == 0
        subprocess.run(["nsenter", f"--net=/proc/{keeper.pid}/ns/net", "ip", "link", "set", "lo", "up"], check=True)
        return made[-1]

    try:
        both = [make(uid) for uid in (0, ORDINARY)]
        with ThreadPoolExecutor() as pool:
            told = list(pool.map(somebody_installs, both))
        yield {each.uid: (each, said) for each, said in zip(both, told, strict=True)}
    finally:
        send_home(made)
        shutil.rmtree(folder)


def send_home(made: list[Newcomer]) -> None:
    """Nobody of theirs stays."""
    for each in made:
        for process in each.processes:
            process.kill()
            process.wait()
        for pid in each.residents():
            os.kill(pid, signal.SIGKILL)
        each.keeper.kill()
        each.keeper.wait()


def memory_mib(pids: list[int]) -> float:
    """Proportional set size: what is shared counts once over all."""
    kib = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            match = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
            kib += int(match.group(1)) if match else 0
    return kib / 1024


def wait_for(condition: Callable[[], object], seconds: float) -> float:
    """Seconds until *condition* held."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, "it did not happen in time"
        time.sleep(0.02)
    return time.monotonic() - start


def stop(newcomer: Newcomer, process: subprocess.Popen[str]) -> float:
    """SIGTERM; seconds until nobody was left."""
    process.send_signal(signal.SIGTERM)
    seconds = wait_for(lambda: not newcomer.residents(), STOP_SECONDS)
    process.wait()
    return seconds


@pytest.mark.parametrize("uid", [0, ORDINARY], ids=["root", "ordinary user"])
def test_make_run_serves_and_its_line_to_try_delivers(newcomers, tmp_path: Path, figure, uid: int) -> None:
    """
    `make run` in a fresh clone prints what there is to know; the line it says to try puts a message into the mailbox; a
    second start is quick; SIGTERM ends everything.
    """
    somebody, installed = newcomers[uid]
    assert installed.returncode == 0, installed.stdout + installed.stderr

    with (tmp_path / "first.log").open("w+") as log:
        first = somebody.start("make", "run", output=log)
        wait_for(lambda: first.poll() is not None or is_ready(tmp_path / "first.log"), 60)
        told = (tmp_path / "first.log").read_text()
        assert is_ready(tmp_path / "first.log"), told
        check_what_is_told(told, uid)
        try_the_line(somebody, told, figure)
        idle = memory_mib(somebody.residents())
        figure("MiB of all processes, idle", round(idle))
        assert 20 < idle <= IDLE_MIB
        figure("seconds from SIGTERM to the last process", round(stop(somebody, first), 2))

    with (tmp_path / "second.log").open("w+") as log:
        second = somebody.start(".venv/bin/postern", "up", output=log)
        seconds = wait_for(lambda: second.poll() is not None or is_ready(tmp_path / "second.log"), READY_SECONDS)
        assert second.poll() is None, (tmp_path / "second.log").read_text()
        figure("seconds to ready, second start", round(seconds, 2))
        stop(somebody, second)
    assert second.returncode == 0


def somebody_installs(somebody: Newcomer) -> subprocess.CompletedProcess[str]:
    """`make .venv`, outside the namespace: packages come over the network."""
    command = somebody.inside("make", ".venv")
    return subprocess.run(
        command[command.index("--") + 1 :], cwd=somebody.clone, env=somebody.environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def is_ready(log: Path) -> bool:
    return re.search(r"^ready\b", log.read_text(), re.MULTILINE) is not None


def check_what_is_told(told: str, uid: int) -> None:
    """The panel's address, the operator and the one-time password, the ports, a line to try; and which walls are missing."""
    assert "http://localhost:8080" in told
    assert re.search(r"operator", told)
    assert re.search(r"password", told)
    assert "2525" in told
    assert "trouble" not in told
    assert ("one uid" in told or "share" in told) == (uid != 0)


def try_the_line(somebody: Newcomer, told: str, figure: Callable[[str, object], None]) -> None:
    line = next(line.strip() for line in told.splitlines() if line.strip().startswith("curl "))
    tried = somebody.run("sh", "-c", line)
    assert tried.returncode == 0, line + tried.stderr
    inboxes = somebody.clone / "var/mail"
    seconds = wait_for(lambda: list(inboxes.glob("*/*/Maildir/new/*")), 1)
    figure("seconds from curl's end to the mailbox", round(seconds, 3))
    (message,) = inboxes.glob("*/*/Maildir/new/*")
    fields = [line.partition(b":")[0] for line in message.read_bytes().splitlines() if line[:1] not in b" \t"]
    assert fields[:3] == [b"Return-Path", b"Delivered-To", b"Received"]
