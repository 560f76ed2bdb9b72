"""A house around one real smtpd: real processes, real channels, a real port; every other role is a fake.

A reader would otherwise get wrong: this is the supervisor's part of the language (Begin, Peer, ListeningSocket, Stop), not
the supervisor. A role that dies here stays dead until the test starts it again.
"""

import ast
import contextlib
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mta import roster
from mta.wire import messages as m
from mta.wire import permits
from mta.wire.channel import Channel, ChannelClosed, pair
from mta.wire.control import CONTROL_FD
from tests.fakes import nursery
from tests.fixtures.trees import THE_PRODUCT, Tree

START_SECONDS = 20.0
FAKES = {role: f"tests.fakes.{role}" for role in ("journal", "directory", "enqueuer", "listener")}
SHELLS = {"worker": "smtpd", "connection": "smtpdspawn"}  # smtpd.isolation: who holds the conversations
SUBMISSION_SHELLS = {"worker": "submissiond", "connection": "submissionspawn"}  # the same of users' conversations
UID_BASE = 1_900_000_000
Event = tuple[str, bytes, dict[bytes, bytes]]


class SmtpdHouse:
    """Starts the five processes; `port` is where clients connect, `shell` who holds the conversations."""

    def __init__(
        self,
        folder: Path,
        isolation: str = "worker",
        *,
        tls: bool = False,
        service: str = "smtp",
        tree: Tree = THE_PRODUCT,
        **settings: str,
    ) -> None:
        """With *tls* the real role stands beside it; its certificates must have been published in *folder*."""
        self._tree = tree
        self.service = service
        self.shell = (SHELLS if service == "smtp" else SUBMISSION_SHELLS)[isolation]
        fakes, asked = dict(FAKES), ["journal", "directory", "enqueuer"]
        if service != "smtp":
            del fakes["enqueuer"]
            fakes |= {"authenticator": "tests.fakes.log_in", "submitter": "tests.fakes.submitter"}
            asked = ["journal", "directory", "submitter", "authenticator"]
        self.modules = {**fakes, self.shell: f"mta.roles.{self.shell}"}
        self.edges = (*((self.shell, name) for name in asked), ("listener", self.shell))
        if tls:
            more = ("tls",) if isolation == "worker" else ("tls", "tlsspawn")
            self.modules = {**fakes, **{name: f"mta.roles.{name}" for name in (*more, self.shell)}}
            shaking = ((self.shell, more[-1]), *([("tlsspawn", "tls")] if len(more) > 1 else []))
            self.edges = (*((name, "journal") for name in more), *self.edges, *shaking)
        self.folder = folder
        (folder / "run/empty").mkdir(parents=True)
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self.listening.getsockname()[1]
        self.settings = {
            "state": str(folder), "root": "1" if os.geteuid() == 0 else "0", "uid_base": str(UID_BASE),
            "host.name": "mx.example.test", "smtpd.max_message_size": str(1024 * 1024),
            "limits.max_recipients": "100", "limits.tarpit_seconds": "1",
            "submission.mechanisms": "PLAIN LOGIN SCRAM-SHA-256", "fake.folder": str(folder), **settings,
        }  # fmt: skip
        self.keys = {name: os.urandom(32) for name in (roster.TICKET_KEY, roster.SESSION_KEY)}
        self.pids: dict[str, int] = {}
        self._watched: dict[str, int] = {}  # a pidfd of each
        self.controls: dict[str, Channel] = {}
        self.outputs: dict[str, int] = {}

    def __enter__(self) -> Self:
        for name in self.modules:
            self.start(name)
        for client, server in self.edges:
            self.connect(client, server)
        self.hand_port()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in list(self.pids):
            self.kill(name)
        for descriptor in self.outputs.values():
            os.close(descriptor)
        self.listening.close()

    def start(self, name: str) -> None:
        """Start a role and wait until it is ready."""
        if name in self.outputs:
            os.close(self.outputs.pop(name))
        ours, theirs = pair()
        # A pipe, not a file: a role that writes no files may have a limit of 0 octets for them.
        self.outputs[name], out = os.pipe()
        os.set_blocking(self.outputs[name], False)
        module = self.modules[name]
        self.pids[name] = (
            nursery.born(module, theirs.fileno(), out)
            if module.startswith("tests.")
            else self._spawn(module, theirs.fileno(), out)
        )
        self._watched[name] = os.pidfd_open(self.pids[name])
        theirs.close()
        os.close(out)
        self.begin(name, Channel(ours, name, permits.TO_SUPERVISOR))

    def _spawn(self, module: str, control: int, out: int) -> int:
        actions = [(os.POSIX_SPAWN_DUP2, control, CONTROL_FD)] + [(os.POSIX_SPAWN_DUP2, out, n) for n in (1, 2)]
        # Not from where we are, which is the product's own tree.
        arguments = [self._tree.python, "-P", "-m", module]
        environment = {**os.environ, "PYTHONPATH": str(self._tree.root)}
        return os.posix_spawn(self._tree.python, arguments, environment, file_actions=actions)

    def begin(self, name: str, control: Channel) -> None:
        self.controls[name] = control
        held = roster.role_named("enqueuer" if name == "submitter" else name).secrets  # The fake stands for both.
        secrets = {key: self.keys[key] for key in held if key in self.keys}
        settings = {**{key: value.encode() for key, value in self.settings.items()}, **secrets}
        control.send(m.Begin(tuple(part for key, value in settings.items() for part in (key.encode(), value))))
        try:
            message, _ = control.wait()
        except ChannelClosed as error:
            raise AssertionError(f"{name} did not start:\n{self.output(name)}") from error
        assert isinstance(message, m.Ready)

    def connect(self, client: str, server: str) -> None:
        """Give both ends of a fresh channel out."""
        ours, theirs = pair()
        with ours, theirs:
            self.controls[client].send(m.Peer(server.encode(), 0, False), (ours.fileno(),))
            self.controls[server].send(m.Peer(client.encode(), 0, True), (theirs.fileno(),))

    def hand_port(self) -> None:
        """The listening socket to the listener."""
        self.controls["listener"].send(
            m.ListeningSocket(self.service.encode(), b"127.0.0.1"), (self.listening.fileno(),)
        )

    def restart(self, name: str) -> None:
        """Kill a role and put a fresh one into its place, as the supervisor does."""
        self.kill(name)
        self.start(name)
        for client, server in self.edges:
            if name in {client, server}:
                self.connect(client, server)
        if name == "listener":
            self.hand_port()

    def kill(self, name: str) -> None:
        """End a role without asking it."""
        pid = self.pids.pop(name, None)
        if pid is not None:
            self.controls.pop(name).close()
            watched = self._watched.pop(name)
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(watched, signal.SIGKILL)
            select.select([watched], [], [])
            os.close(watched)
            with contextlib.suppress(ChildProcessError):  # a fake is the nursery's
                os.waitpid(pid, 0)

    def stop(self, name: str, seconds: float = 20.0) -> int:
        """Ask a role to stop; answers its exit status. It must be gone within *seconds*."""
        self.controls[name].send(m.Stop())
        return self.await_end(name, seconds)

    def await_end(self, name: str, seconds: float = 20.0) -> int:
        """Wait until a role, not a fake one, has ended; answers its exit status."""
        pid = self.pids[name]
        deadline = time.monotonic() + seconds
        while True:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del self.pids[name]
                os.close(self._watched.pop(name))
                self.controls.pop(name).close()
                return os.waitstatus_to_exitcode(status)
            assert time.monotonic() < deadline, f"{name} does not end"
            time.sleep(0.01)

    def reload(self, **settings: str) -> None:
        """Change settings of smtpd while it runs; `__` stands for the dot in their names."""
        pairs = tuple(part.encode() for key, value in settings.items() for part in (key.replace("__", "."), value))
        self.controls[self.shell].send(m.Reload(pairs))

    # --- what the fakes saw

    def output(self, name: str) -> str:
        """What a role wrote to stdout and stderr since the last question."""
        try:
            return os.read(self.outputs[name], 65536).decode()
        except BlockingIOError:
            return ""

    def messages(self) -> list[tuple[dict[str, Any], bytes]]:
        """Envelope and content of what the enqueuer took, in order."""
        numbers = sorted(int(path.stem) for path in self.folder.glob("*.envelope"))
        return [
            (ast.literal_eval((self.folder / f"{n}.envelope").read_text()), (self.folder / f"{n}.content").read_bytes())
            for n in numbers
        ]

    def events(self) -> list[Event]:
        """What the journal was told."""
        path = self.folder / "events"
        return [ast.literal_eval(line) for line in path.read_text().splitlines()] if path.exists() else []

    def finished(self) -> list[str]:
        """Sessions that smtpd told the listener are over."""
        return (self.folder / "finished").read_text().split()

    def log_ins(self) -> list[str]:
        """What the authenticator was asked."""
        path = self.folder / "log_in"
        return path.read_text().splitlines() if path.exists() else []

    def withdrawn(self) -> int:
        """Offers that were taken back."""
        path = self.folder / "withdrawn"
        return len(path.read_text().splitlines()) if path.exists() else 0


def eventually(condition: Callable[[], Any], seconds: float = 20.0) -> None:
    """Wait until *condition* answers true.

    Raises:
        AssertionError: it did not within *seconds*.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)
