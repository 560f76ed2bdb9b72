"""What a server is to the comparison, and the counting of its syncs.

Syncs are counted in a short run of their own: strace stops a process at each system call it watches, so a run that
counts measures nothing else.
"""

import contextlib
import datetime as dt
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

HOST = "mx.bench.test"
SYNCS = ("fsync", "fdatasync", "syncfs", "sync_file_range", "sync")


class Peer(Protocol):
    """A mail server that can be made, started, stopped and thrown away."""

    name: str
    port: int

    @property
    def mail(self) -> Path:
        """Where it delivers: Maildirs below."""

    @property
    def pid(self) -> int:
        """Its first process; the others are its descendants."""

    def prepare(self, mailboxes: int, pair: "KeyPair", domains: Sequence[str] = ()) -> None:
        """Make configuration and *mailboxes* mailboxes, 1user@bench.test and on, and some in each of *domains*."""

    def start(self, isolation: str = "worker") -> None:
        """Start; returns when it takes mail. *isolation* is for who has the choice."""

    def stop(self) -> None:
        """Stop; returns when no process of it is left."""


class KeyPair(NamedTuple):
    """A certificate and its private key, as files: the same for both."""

    chain: Path
    key: Path


def make_key_pair(folder: Path) -> KeyPair:
    """A self-signed certificate for HOST (ECDSA on P-256), good for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + dt.timedelta(days=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
    folder.mkdir(mode=0o700)
    pair = KeyPair(folder / "chain.pem", folder / "key.pem")
    pair.chain.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    pair.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return pair


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_listening(port: int, seconds: float = 30) -> None:
    """Wait for a greeting at *port*.

    Raises:
        TimeoutError: there was none.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as probe:
            if probe.recv(512).startswith(b"220"):
                probe.sendall(b"QUIT\r\n")
                return
        time.sleep(0.05)
    raise TimeoutError(f"nothing greets at 127.0.0.1:{port}")


def family(pid: int) -> list[int]:
    """*pid* and all its descendants that are alive."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        each = waiting.pop()
        found.append(each)
        waiting.extend(children.get(each, ()))
    return [each for each in found if is_alive(each)]


def cpu_seconds(pid: int) -> float:
    """CPU seconds that *pid* and its descendants used, those that ended and were waited for included."""
    ticks = 0
    for each in family(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))  # its own and its ended children's, user and system
    return ticks / os.sysconf("SC_CLK_TCK")


def is_alive(pid: int) -> bool:
    """Whether *pid* runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def end(pids: list[int], seconds: float = 10) -> None:
    """Wait for *pids* to end; whoever has not by then is killed, by its number."""
    deadline = time.monotonic() + seconds
    while any(map(is_alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in filter(is_alive, pids):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def counted_syncs(pid: int) -> Iterator[dict[str, int]]:
    """Counts the syncs of *pid*, its descendants and theirs to come, while the block runs; full when it has ended."""
    attach = [argument for each in family(pid) for argument in ("-p", str(each))]
    command = ["strace", "-f", "-c", "-U", "calls,name", "-e", f"trace={','.join(SYNCS)}", *attach]
    counts: dict[str, int] = {}
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    try:
        time.sleep(1)  # it attaches one after the other and does not say when it is done
        yield counts
    finally:
        tracer.send_signal(signal.SIGINT)
        report = tracer.communicate(timeout=30)[1]
        for calls, name in re.findall(r"^\s*(\d+)\s+(\w+)\s*$", report, re.MULTILINE):
            if name in SYNCS:
                counts[name] = int(calls)
