"""A web process that somebody took over, at work and with a browser connected: what it sees, starts, reaches and can say.

`test_walls` goes through all roles and takes their walls down one by one. Here is what the panel alone has: threads, which a
filter must hold as well as the first one, listening sockets, a client's connection, the database - and the sealed secrets in it.

A reader would otherwise get wrong: passwords that people type, and the words of forms, pass through it. That it decides about
future mail and reads who writes to whom is its job; SECURITY.md says what is not promised.
"""

import base64
import contextlib
import os
import platform
import re
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from mta import roster, seal
from mta.wire import messages as m
from tests.attack import files
from tests.attack.injector import injected
from tests.attack.probes import PROBES
from tests.attack.test_claims import all_pids, say, settled
from tests.attack.test_signing import seeds
from tests.attack.test_walls import UID_BASE, target_of
from tests.fixtures.house import House, wait_until
from tests.journeys.test_tls import certificate, holds

pytestmark = [
    pytest.mark.attack,
    pytest.mark.skipif(os.geteuid() != 0, reason="taking a process over by ptrace needs root"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the injector knows the registers of x86_64 only"),
]
JOE, PASSWORD = "joe@example.test", "a horse that signs"
WEB = roster.role_named("web")
READS = tuple(rule.path for rule in WEB.paths)  # what it was promised
ASK = b"GET /login HTTP/1.1\r\nHost: panel.test\r\n\r\n"


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """With mail that came and mail that waits, two kinds of private keys, and everything else that is worth having."""
    folder = Path(tempfile.mkdtemp(prefix="postern-web-"))
    folder.chmod(0o711)
    try:
        with House(folder / "house", submission=True, panel=True, awake=True) as made:
            made.add_domain("example.test")
            made.add_mailbox(JOE, password=PASSWORD)
            made.wait_until_known(JOE)
            wait_until(lambda: seeds(made), 30, made.said)
            made.send(JOE, b"Subject: secret\r\n\r\nfor Joe alone\r\n")
            made.wait_for_messages(JOE)
            for part in ("content", "envelope", "progress"):
                (made.state / "spool" / part / "0123456789abcdef0123").write_bytes(b"waits")
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def visited(house: House) -> Iterator[int]:
    """The process of web, while a browser is connected to it and has had an answer."""
    with socket.create_connection(("127.0.0.1", house.port("panel")), 20) as browser:
        for _ in range(2):
            browser.sendall(ASK)
            answer = b""
            while b"</html>" not in answer:
                octets = browser.recv(65536)
                assert octets, answer[-500:]
                answer += octets
        yield house.pid("web")
    # Another one: who stood still for seconds hangs up on those who said nothing meanwhile.
    with socket.create_connection(("127.0.0.1", house.port("panel")), 20) as browser:
        browser.sendall(ASK)
        assert browser.recv(65536).startswith(b"HTTP/1.1 200"), "it goes on as if nothing had been"


def threads_of(pid: int) -> list[int]:
    return sorted(int(entry.name) for entry in Path(f"/proc/{pid}/task").iterdir())


def below(house: House, *folders: str) -> list[str]:
    """Every file in these folders of the house."""
    found = [path for folder in folders for path in (house.state / folder).rglob("*") if path.is_file()]
    return sorted(str(path.relative_to(house.state)) for path in found)


@pytest.mark.must_show
def test_it_opens_no_mail_no_spool_and_no_key(house: House) -> None:
    """By their names, and up from each folder that it holds; what it was promised it opens in the same ways."""
    wanted = {
        "mail": below(house, "mail"),
        "spool": below(house, "spool"),
        "keys": [name for name in below(house, "keys") if name.endswith(".key")],
        "what others read of the database": below(house, "snapshot"),
        "what happened, in full": below(house, "log"),
        "counts of who sends": below(house, "ledger"),
    }
    assert [name for name, paths in wanted.items() if not paths] == []
    assert any("for Joe alone" in (house.state / path).read_text(errors="replace") for path in wanted["mail"])
    opened = {}
    with visited(house) as pid, injected(pid) as victim:
        for name, paths in wanted.items():
            opened[name] = [p for p in paths if any(a >= 0 for a in files.ways_to(victim, house.state, p))]
        assert any(answer >= 0 for answer in files.ways_to(victim, house.state, "db/postern.db")), "a clumsy attempt"
    assert {name: paths for name, paths in opened.items() if paths} == {}


@pytest.mark.must_show
def test_no_descriptor_that_it_holds_leads_anywhere_else(house: House) -> None:
    """Files and folders of its own list, what it writes its complaints to, and its sockets."""
    own = tuple(str(house.state / path) for path in READS)
    complaints = {os.stat(house.output).st_ino}
    strange, kinds = [], set()
    with visited(house) as pid, injected(pid):  # so that it opens and closes nothing while we look
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            target, mode = os.readlink(entry), entry.stat()
            kinds.add(stat.S_IFMT(mode.st_mode))
            is_own = target.startswith(own) or target == "/dev/null" or mode.st_ino in complaints
            if not target.startswith(("socket:", "pipe:", "anon_inode:")) and not is_own:
                strange.append((entry.name, target))
        sockets = [entry for entry in Path(f"/proc/{pid}/fd").iterdir() if os.readlink(entry).startswith("socket:")]
    assert strange == []
    assert {stat.S_IFSOCK, stat.S_IFREG} <= kinds, "else we would look in the wrong way"
    # The supervisor, each peer of the roster, each address listened on, asyncio's own pair, and the browser. No more.
    assert len(sockets) <= 1 + len(roster.servers_of(WEB)) + 2 + len(house.ports) + 2 + 1


@pytest.mark.must_show
def test_each_of_its_threads_stands_behind_the_walls(house: House) -> None:
    """Every probe from every thread, with the browser's connection among its sockets."""
    with visited(house) as pid:
        target, threads = target_of(house, pid), threads_of(pid)
        assert len(threads) > 2
        told = {}
        for thread in threads:
            said = Path(f"/proc/{pid}/task/{thread}/status").read_text()
            told[thread] = tuple(
                re.findall(r"^(?:Uid|NoNewPrivs|Seccomp|CapEff|CapPrm|Groups):\t(.*?) *$", said, re.MULTILINE)
            )
            with injected(thread) as victim:
                through = {
                    p.name: a
                    for p in PROBES
                    if "web" not in p.unless and (a := p.attempt(victim, target)) not in p.denied
                }
            assert through == {}, thread
    uid = "\t".join([str(UID_BASE + WEB.number)] * 4)
    assert set(told.values()) == {(uid, "", "0" * 16, "0" * 16, "1", "2")}


@pytest.mark.must_show
def test_no_private_key_lies_in_its_memory(house: House) -> None:
    """Neither those of files, nor what they open: DKIM, TLS. It seals such things, and what is sealed it cannot open."""
    tls = seal.read_opener(house.state / "keys" / "tls.key", seal.TLS_KEY)
    assert tls is not None
    pem = serialization.load_pem_private_key(tls.open(certificate(house).sealed_key), None)
    numbers = pem.private_numbers()  # type: ignore[union-attr]
    secret = numbers.private_value if hasattr(numbers, "private_value") else numbers.d
    octets = secret.to_bytes((secret.bit_length() + 7) // 8)
    keys = {path.name: path.read_bytes() for path in (house.state / "keys").glob("*.key")}
    sought = [*seeds(house), octets, octets[::-1], *keys.values(), *(base64.b64encode(key) for key in keys.values())]
    assert len(keys) >= 6
    with visited(house) as pid:
        assert not holds(pid, sought)
    assert holds(house.pid("authenticator"), [keys["authenticator.key"]]), "else we would look in the wrong way"


@pytest.mark.must_show
@pytest.mark.parametrize("lie", [m.Taken(1, b"0" * 20), b"junk"], ids=["another's word", "junk"])
def test_what_it_is_not_asked_to_say_ends_it_and_nobody_else(house: House, lie: m.Message | bytes) -> None:
    """To the supervisor and to each of its peers: they hang up, go on, and a fresh one serves."""
    before, former = all_pids(house), house.pid("web")
    assert say(former, lie) >= len(roster.servers_of(WEB))
    with contextlib.suppress(ProcessLookupError):
        say(former, lie, to_supervisor=True)
    house.wait_for_restart("web", former)
    settled(house, before, "web")
    with visited(house) as pid:
        assert pid != former
