"""remote → mailbox under TLS: offered from the first start, and the key in one process only, whatever is done with it."""

import base64
import os
import re
import smtplib
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mta import roster
from mta.seal import TLS_KEY, Opener
from mta.snapshot.reader import Snapshot
from mta.snapshot.records import CERTIFICATE, Certificate, unpack_record
from tests.fixtures.house import HOST_NAME, House, descendants, wait_until
from tests.fixtures.lone_role import run_as

POSTMASTER = f"postmaster@{HOST_NAME}"
UID_BASE = 1_900_000_000
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root reads what other processes remember")


@pytest.fixture(scope="module", params=["worker", "connection"])
def started(request, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """For the first time."""
    folder = tmp_path_factory.mktemp("tls") / "house"
    with House(folder, settings={"smtpd.isolation": f'"{request.param}"'}) as made:
        yield made


@pytest.fixture
def house(started: House) -> House:
    started.turn_page()
    return started


def certificate(house: House) -> Certificate:
    """What is shown to who asks for no other name."""
    snapshot = Snapshot.open(house.state / "snapshot/certificates")
    octets = snapshot.get(CERTIFICATE)
    snapshot.close()
    assert octets is not None
    record = unpack_record(octets)
    assert isinstance(record, Certificate)
    return record


def secured(house: House) -> smtplib.SMTP:
    """A conversation under TLS whose certificate was verified for the host's name."""
    context = ssl.create_default_context(cadata=certificate(house).chain.decode())
    client = house.smtp()
    client._host = HOST_NAME  # which smtplib asks for and verifies
    client.starttls(context=context)
    return client


@pytest.mark.must_show
def test_mail_comes_under_tls_from_the_first_start(house: House) -> None:
    """`init` made a certificate for the host's name; what was delivered says how it came."""
    wait_until(lambda: "starttls" in features(house), 30, house.said)
    with secured(house) as client:
        client.sendmail("a@client.test", [POSTMASTER], b"Subject: hi\r\n\r\n" + b"x" * 100_000 + b"\r\n")
    [message] = house.wait_for_messages(POSTMASTER)
    received = message.read_text().partition("\n\t for")[0]
    assert re.search(r"with ESMTPS \(TLSv1\.[23] [A-Z0-9_-]+\)", received)
    [event] = wait_until(lambda: house.events("secured"), 20)
    assert event["server_name"] == HOST_NAME


def features(house: House) -> dict[str, str]:
    with house.smtp() as client:
        client.ehlo()
        return client.esmtp_features


@needs_root
@pytest.mark.must_show
def test_no_other_process_has_the_key_in_its_memory_or_can_open_its_file(house: House) -> None:
    """Sought in all memory of every process, as PEM, as DER and as the bare number, while it is used and afterwards.

    With a process for each conversation that one has the key too, while it lasts; what the keys are sealed to it never has.
    """
    wait_until(lambda: "starttls" in features(house), 30, house.said)
    sought = forms_of(house)
    holder, passed_over = house.pid("tls"), set()
    with secured(house) as client:
        client.noop()
        cells = descendants(house.pid("tlsspawn")) if house.pids("tlsspawn") else ()
        for cell in cells:
            assert holds(cell, sought)
            assert not holds(cell, sought[-1:])
            passed_over.add(cell)
        found = {pid: holds(pid, sought) for pid in house.all_pids() if pid not in passed_over}
        client.sendmail("a@client.test", [POSTMASTER], b"Subject: hi\r\n\r\nhi\r\n")
    house.wait_for_messages(POSTMASTER)
    after = {pid: holds(pid, sought) for pid in house.all_pids()}
    assert found.pop(holder)  # else we would look in the wrong way
    assert after.pop(holder)
    assert len(found) > 12
    assert [pid for pid, has in (found | after).items() if has] == []
    assert attempts_to_open(house.state / "keys" / "tls.key") == {"PermissionError"}


def forms_of(house: House) -> list[bytes]:
    """How the private key of the host's certificate could lie in memory."""
    opener = Opener((house.state / "keys/tls.key").read_bytes(), TLS_KEY)
    pem = opener.open(certificate(house).sealed_key)
    key = serialization.load_pem_private_key(pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    number = key.private_numbers().private_value
    lines = b"".join(pem.splitlines()[1:-1])
    return [
        number.to_bytes(32, "big"),
        number.to_bytes(32, "little"),  # as OpenSSL counts with it
        max(pem.splitlines(), key=len),
        lines[48:96],
        base64.b64decode(lines)[32:68],
        (house.state / "keys/tls.key").read_bytes(),  # what all of them are sealed to
    ]


def holds(pid: int, sought: list[bytes]) -> bool:
    """Is any of *sought* in what the process *pid* has in memory of its own?"""
    try:
        maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            return any(_is_in(memory, *span, sought) for span in map(_written, maps) if span)
    except (FileNotFoundError, ProcessLookupError):
        return False  # It ended meanwhile; a cell does that.


def _written(line: str) -> tuple[int, int] | None:
    """From where to where: memory that can be written, which is where a secret comes to lie."""
    span, rights, *_ = line.split()
    if "w" not in rights:
        return None
    low, _, high = span.partition("-")
    return int(low, 16), int(high, 16)


def _is_in(memory, low: int, high: int, sought: list[bytes]) -> bool:
    overlap, kept = 128, b""
    while low < high:
        memory.seek(low)
        try:
            octets = memory.read(min(1 << 22, high - low))
        except OSError:
            return False  # The kernel's own pages
        if not octets:
            return False
        if any(form in kept + octets for form in sought):
            return True
        kept, low = octets[-overlap:], low + len(octets)
    return False


def attempts_to_open(key: Path) -> set[str]:
    """What each uid of ours hears: not even that of tls may, which read it while it was root; nor a cell's, nor a domain's."""
    numbers = [role.number for role in (*roster.ROLES, roster.LOCAL)] + [
        roster.CELL_UIDS_FROM, roster.TLS_CELL_UIDS_FROM, roster.DOMAIN_UIDS_FROM,
    ]  # fmt: skip
    return {run_as(UID_BASE + number, lambda: os.open(key, os.O_RDONLY)) for number in numbers}
