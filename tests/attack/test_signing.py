"""A taken-over submitter gets no signature by lying, and what signs lies with nobody but signer."""

import base64
import contextlib
import os
import platform
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from mta import seal
from mta.wire import messages as m
from tests.attack.test_claims import MAC, say
from tests.fixtures.house import House, wait_until
from tests.fixtures.trees import copy_of_product
from tests.journeys.test_tls import holds

pytestmark = [
    pytest.mark.attack,
    pytest.mark.skipif(os.geteuid() != 0, reason="taking a process over by ptrace needs root"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the injector knows the registers of x86_64 only"),
]
JOE, ANN, PASSWORD = "joe@example.test", "ann@example.test", "a horse that signs"
SESSION, HEADER = b"f" * 16, f"From: {ANN}\r\nSubject: forged\r\n".encode()


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    folder = Path(tempfile.mkdtemp(prefix="postern-signing-"))
    try:
        tree = copy_of_product(folder / "copy")
        # Each lie costs a submitter its life, and one that keeps ending would have to wait longer each time.
        tree.replace("appliance/supervisor/restart.py", "LONGEST_DELAY = 10.0", "LONGEST_DELAY = 0.0")
        with House(folder / "house", tree=tree, submission=True, awake=True) as made:
            made.add_domain("example.test")
            made.add_mailbox(JOE, password=PASSWORD)
            made.add_mailbox(ANN)
            made.wait_until_known(ANN)
            made.wait_until_users_may_come()
            wait_until(lambda: seeds(made), 20, made.said)
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def seeds(house: House) -> list[bytes]:
    """The private halves of the domain's Ed25519 keys: what whoever steals state and keys together has."""
    opener = seal.read_opener(house.state / "keys" / "signer.key", seal.SIGNING_KEY)
    assert opener is not None
    with contextlib.closing(sqlite3.connect(house.state / "db" / "postern.db")) as database:
        rows = database.execute(
            "SELECT k.sealed_key FROM dkim_key k JOIN domain d ON d.id = k.domain_id "
            "WHERE d.name = 'example.test' AND k.algorithm = 'ed25519-sha256'"
        ).fetchall()
    keys = [serialization.load_der_private_key(opener.open(base64.b64decode(sealed)), None) for (sealed,) in rows]
    return [key.private_bytes_raw() for key in keys]


def send(house: House) -> None:
    with house.submission() as client:
        client.login(JOE, PASSWORD)
        client.sendmail(JOE, [ANN], f"From: <{JOE}>\r\nSubject: true\r\n\r\nhi\r\n")


@pytest.mark.must_show
def test_what_signs_lies_with_the_signer_alone(house: House) -> None:
    """In the memory of no other process, and in the clear in no file but under the key that root keeps."""
    send(house)
    wait_until(lambda: house.events("signed"), 30, house.said)
    sought = seeds(house)
    assert holds(house.pid("signer"), sought), "else we would look in the wrong way"
    assert [pid for pid in house.all_pids() if pid != house.pid("signer") and holds(pid, sought)] == []
    files = [path for path in house.state.rglob("*") if path.is_file()]
    assert [path for path in files if any(secret in path.read_bytes() for secret in sought)] == []
    key = house.state / "keys" / "signer.key"
    assert (key.stat().st_uid, key.stat().st_mode & 0o777) == (0, 0o600)


@pytest.mark.must_show
def test_a_submitter_that_lies_gets_no_signature(house: House) -> None:
    """A ticket that nobody gave: refused and told; and the next user's mail is signed again."""
    house.settle()
    before, signed = len(house.events("proof-refused")), len(house.events("signed"))
    lie = m.Sign(1, SESSION, JOE.encode(), ANN.encode(), int(time.time()) + 60, MAC, bytes(32), HEADER)
    former = house.pid("submitter")
    assert say(former, lie) >= 3
    wait_until(lambda: len(house.events("proof-refused")) > before, 30, house.said)
    house.settle()
    assert len(house.events("signed")) == signed
    with contextlib.suppress(ProcessLookupError):
        os.kill(former, 9)
    house.wait_for_restart("submitter", former)
    send(house)
    wait_until(lambda: len(house.events("signed")) > signed, 30, house.said)


@pytest.mark.must_show
@pytest.mark.parametrize(
    "lie", [m.Taken(1, b"0" * 20), m.Verify(1, b"account", b"operator", b"guess"), b"junk"], ids=str
)
def test_it_cannot_speak_for_others(house: House, lie: m.Message | bytes) -> None:
    """Whoever hears it hangs up; signer goes on, and users send again."""
    signer, former = house.pid("signer"), house.pid("submitter")
    assert say(former, lie) >= 3
    with contextlib.suppress(ProcessLookupError):
        os.kill(former, 9)
    house.wait_for_restart("submitter", former)
    assert house.pid("signer") == signer
    send(house)
