"""The way remote -> mailbox: other people's clients in front, a Maildir at the end."""

import imaplib
import os
import re
import shlex
import shutil
import socket
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.fixtures.house import House, free_port, wait_until
from tests.fixtures.served import DOMAIN, PATIENT, content_of

pytestmark = [pytest.mark.journey, pytest.mark.must_show]

# Dots that must be stuffed, 8-bit that is no UTF-8, control characters, a line far over 998 octets, blanks at line ends.
AWKWARD = (
    b"From: <a@client.test>\r\nSubject: =?utf-8?q?=E2=9C=93?=\r\n\r\n"
    b".\r\n..\r\n.dot\r\n\xff\xfe\x80\x01\x1f\r\n"
    + b"x" * 20_000
    + b"\r\n trailing  \t\r\n\r\n\r\n-- \r\nFrom here\r\n"
)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """One that was started as an operator would, and has printed what it prints."""
    with House(tmp_path_factory.mktemp("served") / "house", settings=PATIENT, by_command=True) as house:
        house.add_domain(DOMAIN)
        yield house


def lf(octets):
    return octets.replace(b"\r\n", b"\n")


def test_the_first_lines_and_every_octet(served, mailbox):
    """Return-Path, Delivered-To, our Received, then exactly what was sent, with LF for CRLF."""
    address = mailbox("octets")
    served.send(address, AWKWARD, "Sender+Tag@client.test")
    (path,) = served.wait_for_messages(address)
    octets = path.read_bytes()
    assert octets.startswith(
        b"Return-Path: <Sender+Tag@client.test>\nDelivered-To: " + address.encode() + b"\nReceived: "
    )
    assert content_of(octets) == lf(AWKWARD)
    assert int(re.search(r",S=(\d+)", path.name)[1]) == len(octets)


def test_it_is_in_new_within_a_second_of_the_250(served, mailbox):
    """Measured over several messages, each a conversation of its own."""
    address = mailbox("quick")
    served.send(address, b"Subject: warm\r\n\r\n")
    served.wait_for_messages(address, 1)
    took = []
    for number in range(2, 8):
        served.send(address, b"Subject: hi\r\n\r\nbody\r\n")
        began = time.monotonic()
        served.wait_for_messages(address, number)
        took.append(time.monotonic() - began)
    assert min(took) < 1.0, took


def test_the_line_that_the_appliance_prints_works_as_it_stands(served):
    """`curl smtp://…`, copied from the terminal into a shell."""
    postmaster = "postmaster@mx.house.test"
    before = len(served.messages(postmaster))
    (line,) = {line.strip() for line in served.said().splitlines() if line.strip().startswith("curl smtp://")}
    done = subprocess.run(shlex.split(line), capture_output=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    began = time.monotonic()
    path = served.wait_for_messages(postmaster, before + 1)[-1]
    assert time.monotonic() - began < 10.0  # With the machine for itself a second: tests/house.
    assert path.read_bytes().startswith(
        b"Return-Path: <you@example.net>\nDelivered-To: postmaster@mx.house.test\nReceived: "
    )


def test_swaks_is_understood(served, mailbox):
    """Somebody else's client with its own idea of SMTP."""
    address = mailbox("swaks")
    command = ["swaks", "--server", f"127.0.0.1:{served.port('smtp')}", "--to", address, "--from", "a@client.test"]
    command += ["--body", ".leading dot", "--header", "Subject: from swaks", "--hide-all"]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = served.wait_for_messages(address)
    assert b"\n.leading dot\n" in path.read_bytes()


@pytest.mark.parametrize("piece", [1, 7, 4096])
def test_it_does_not_matter_how_the_octets_are_cut_into_packets(served, mailbox, piece):
    """The whole transaction over a bare socket, pipelined, in pieces that split every CRLF and dot once."""
    address = mailbox(f"pieces{piece}")
    content = b"Subject: cut\r\n\r\n.a\r\n..\r\nb\r\n"
    stuffed = b"Subject: cut\r\n\r\n..a\r\n...\r\nb\r\n"
    with socket.create_connection(("127.0.0.1", served.port("smtp")), timeout=30) as sock:
        reader = sock.makefile("rb")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        assert reader.readline().startswith(b"220 ")
        sock.sendall(b"EHLO client.test\r\n")
        while not reader.readline().startswith(b"250 "):
            pass
        said = b"MAIL FROM:<a@client.test>\r\nRCPT TO:<%b>\r\nDATA\r\n" % address.encode()
        for start in range(0, len(said), piece):
            sock.sendall(said[start : start + piece])
        assert [reader.readline()[:3] for _ in range(3)] == [b"250", b"250", b"354"]
        for start in range(0, len(stuffed), piece):
            sock.sendall(stuffed[start : start + piece])
        sock.sendall(b".\r\n")
        assert reader.readline().startswith(b"250 ")
    (path,) = served.wait_for_messages(address)
    assert content_of(path.read_bytes()) == lf(content)


def test_a_large_message_arrives_whole(served, mailbox):
    """Many blocks long; the line ends fall wherever they fall."""
    address = mailbox("large")
    content = b"Subject: large\r\n\r\n" + b"".join(b"%d %b\r\n" % (n, b"z" * (n % 97)) for n in range(60_000))
    served.send(address, content)
    (path,) = served.wait_for_messages(address)
    assert content_of(path.read_bytes()) == lf(content)


def test_many_clients_at_once_lose_nothing_and_double_nothing(served, mailbox):
    """Several conversations side by side, several messages and recipients in each."""
    addresses = [mailbox(f"many{n}") for n in range(3)]

    def talk(number):
        with served.smtp() as client:
            for message in range(15):
                client.sendmail("a@client.test", addresses, b"Subject: %d-%d\r\n\r\nbody\r\n" % (number, message))

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = sorted(b"Subject: %d-%d" % (number, message) for number in range(6) for message in range(15))
    for address in addresses:
        paths = served.wait_for_messages(address, 90)
        assert sorted(re.search(rb"Subject: [\d-]+", path.read_bytes())[0] for path in paths) == expected


def test_the_spool_is_empty_afterwards(served, mailbox):
    """Delivered is finished: no content, no envelope, no progress."""
    address = mailbox("clean")
    served.send(address, b"Subject: x\r\n\r\n")
    served.wait_for_messages(address)
    spool = served.state / "spool"
    wait_until(lambda: not [path for path in spool.rglob("*") if path.is_file()], 30)


def test_upper_case_and_tags_reach_the_same_mailbox(served, mailbox):
    """The local-part compares case-insensitively; `+tag` goes to the mailbox; Delivered-To names whose mailbox it is."""
    address = mailbox("Case")
    for number, to in enumerate(("CASE@EXAMPLE.TEST", "case+tag@example.test", "Case@Example.Test"), 1):
        served.send(to, b"Subject: x\r\n\r\n")
        wait_until(lambda number=number: len(served.messages("case@example.test")) == number, 20, served.said)
    assert address.lower() == "case@example.test"


def test_each_domain_s_mail_lies_under_a_uid_of_its_own(served, mailbox):
    """As root; mode 0700, and nobody's group."""
    if os.geteuid() != 0:
        pytest.skip("only root can give domains uids of their own")
    mailbox("owned")
    served.add_domain("second.test")
    served.add_mailbox("owned@second.test")
    served.wait_until_known("owned@second.test")
    uids = []
    for address in ("owned@example.test", "owned@second.test"):
        served.send(address, b"Subject: x\r\n\r\n")
        (path,) = served.wait_for_messages(address)
        folder = served.state / "mail" / address.partition("@")[2]
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {each.stat().st_uid for each in (path, folder, served.maildir(address))} == {folder.stat().st_uid}
        uids.append(folder.stat().st_uid)
    assert len(set(uids)) == 2
    # Nobody else lives under them: of all processes only the locals have a domain's uid.
    others = {pid for pid in served.all_pids() if pid not in served.pids("local")}
    assert not {_uid(pid) for pid in others} & set(uids)


def _uid(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Uid:"))


DOVECOT = """
protocols = imap
base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/log
ssl = no
disable_plaintext_auth = no
default_internal_user = {user}
default_login_user = {user}
default_internal_group = {group}
mail_location = maildir:%h/Maildir
first_valid_uid = 1
listen = 127.0.0.1
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={home}
}}
"""


def test_dovecot_reads_it(served, mailbox, tmp_path):
    """The store is what other people's IMAP server understands: fetched over IMAP, octet for octet, size as in the name."""
    dovecot = shutil.which("dovecot", path="/usr/sbin:/usr/bin")
    if dovecot is None or os.geteuid() != 0:
        pytest.skip("dovecot is not installed, or cannot change to the domain's uid")
    address = mailbox("imap")
    content = b"From: a@client.test\r\nSubject: by imap\r\n\r\nbody\r\n.dot\r\n"
    served.send(address, content)
    (path,) = served.wait_for_messages(address)
    octets = path.read_bytes()

    store = served.maildir(address).parent
    # Only pytest's own folders are in the way; in the state folder the domain's uid passes to its own store.
    for folder in (tmp_path, *tmp_path.parents, *served.state.parents):
        if "pytest" in str(folder):
            folder.chmod(folder.stat().st_mode | 0o011)
    port = free_port()
    owner = store.stat()
    (tmp_path / "run").mkdir()
    (tmp_path / "conf").write_text(
        DOVECOT.format(
            folder=tmp_path, user="nobody", group="nogroup", port=port, uid=owner.st_uid, gid=owner.st_gid, home=store
        )
    )
    server = subprocess.Popen([dovecot, "-F", "-c", str(tmp_path / "conf")], stderr=subprocess.PIPE)
    try:
        said = lambda: (tmp_path / "log").read_text() if (tmp_path / "log").exists() else ""  # noqa: E731
        wait_until(lambda: server.poll() is not None or _is_open(port), 20, said)
        with imaplib.IMAP4("127.0.0.1", port, timeout=20) as client:
            client.login("imap", "secret")
            assert client.select("INBOX")[1] == [b"1"], said()
            _, found = client.fetch("1", "(RFC822 RFC822.SIZE)")
            assert found[0][1] == octets.replace(b"\n", b"\r\n")
    finally:
        server.terminate()
        server.communicate(timeout=10)


def _is_open(port):
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0
