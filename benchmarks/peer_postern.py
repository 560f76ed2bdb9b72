"""This tree in a temporary directory: `postern init`, mailboxes through the services, `postern up`. Needs root.

Nothing is tuned for the comparison but the ports: what is measured is what `postern init` sets up.
"""

import contextlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from appliance.config import load_settings
from appliance.database.engine import open_engine
from benchmarks import peers
from benchmarks.inbound import DOMAIN, MAILBOXES_PER_DOMAIN
from tests.fixtures import bulk

COMMAND = Path(sys.executable).parent / "postern"
STOP_SECONDS = 10
STORES_SECONDS = 300
LOOK_SECONDS = 0.5


class Postern:
    """One of them, below *root*."""

    name = "Postern"

    def __init__(self, root: Path) -> None:
        self.root = root
        self.port = peers.free_port()
        self._process: subprocess.Popen[str] | None = None
        self._stores = 0  # that the first start has to make

    @property
    def settings(self) -> Path:
        """Its postern.toml."""
        return self.root / "postern.toml"

    @property
    def mail(self) -> Path:
        """Where `local` delivers."""
        return self.root / "var/mail"

    @property
    def pid(self) -> int:
        """The supervisor's."""
        assert self._process is not None
        return self._process.pid

    def prepare(self, mailboxes: int, pair: peers.KeyPair, domains: Sequence[str] = ()) -> None:
        """Settings, database, mailboxes; their stores come with the first start."""
        self.root.mkdir(mode=0o711)
        self._run("init", "--state", str(self.root / "var"), "--hostname", peers.HOST, "--operator", "bench")
        self._run("tls", "install", str(pair.chain), str(pair.key))
        listening = {"smtp": f'"127.0.0.1:{self.port}"', "panel": f'"127.0.0.1:{peers.free_port()}"'}
        text = self.settings.read_text()
        for name in ("smtp", "submission", "submissions", "panel", "metrics"):
            text = re.sub(rf"^{name} = .*$", f"{name} = [{listening.get(name, '')}]", text, count=1, flags=re.MULTILINE)
        self.settings.write_text(text)
        engine = open_engine(load_settings(self.settings).database_url)
        bulk.fill(engine, [DOMAIN], mailboxes + 1, prefix="", suffix="user", stores=True)  # 0user@ is never written to
        bulk.fill(engine, domains, MAILBOXES_PER_DOMAIN + 1, prefix="", suffix="user", stores=True)
        engine.dispose()
        self._stores = mailboxes + len(domains) * MAILBOXES_PER_DOMAIN

    def relay(self, domain: str, sink: int) -> None:
        """From now on take mail of 127.0.0.0/8 for *domain*, and send it to 127.0.0.1:*sink*."""
        settings = {"relay_clients": '["127.0.0.0/8"]', "routes": f'{{ "{domain}" = "127.0.0.1:{sink}" }}'}
        text = self.settings.read_text()
        for name, value in settings.items():
            text = re.sub(rf"^{name} = .*$", f"{name} = {value}", text, count=1, flags=re.MULTILINE)
        self.settings.write_text(text)
        self._run("publish")  # Else the first messages would come before the route is known, and ask DNS.

    def start(self, isolation: str = "worker") -> None:
        """Start it and wait for its greeting; the first time also for the stores, which Postfix has by now."""
        text = re.sub(r"^isolation = .*$", f'isolation = "{isolation}"', self.settings.read_text(), flags=re.MULTILINE)
        self.settings.write_text(text)
        with (self.root / "up.log").open("a") as log:
            command = [str(COMMAND), "--config", str(self.settings), "up"]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, text=True, cwd=self.root)
        peers.wait_until_listening(self.port)
        try:
            self._wait_for_stores()
        except TimeoutError:
            self.stop()
            raise

    def _wait_for_stores(self) -> None:
        deadline = time.monotonic() + STORES_SECONDS
        while self._stores and sum(1 for _ in self.mail.glob("*/*/Maildir/new")) < self._stores:
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {STORES_SECONDS} seconds not every mailbox has a store")
            time.sleep(LOOK_SECONDS)
        self._stores = 0

    def stop(self) -> None:
        """SIGTERM to the supervisor; what is left after that is killed by its number."""
        pids = peers.family(self.pid)
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        peers.end(pids, seconds=1)

    def _run(self, *arguments: str) -> None:
        command = [str(COMMAND), "--config", str(self.settings), *arguments]
        subprocess.run(command, check=True, capture_output=True, text=True, cwd=self.root)
