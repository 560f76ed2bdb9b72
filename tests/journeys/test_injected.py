"""program on this machine -> mailbox, and listed host -> mailbox: `postern sendmail`, and Postfix's QMQP client."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from mta import relaying
from tests.fixtures.house import House, _open_way_to, free_port
from tests.fixtures.lone_role import run_as
from tests.fixtures.served import DOMAIN, PATIENT
from tests.mta.roles.qmtpd.test_protocol import netstring, qmtp

pytestmark = [pytest.mark.journey, pytest.mark.must_show]

JOE, ANN = f"joe@{DOMAIN}", f"ann@{DOMAIN}"
NOBODY = 65534  # somebody who has no right at all here


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[House]:
    listed = {
        f"{section}.{protocol}{suffix}": value
        for protocol in ("qmtp", "qmqp")
        for section, suffix, value in (
            ("listen", "", f'["127.0.0.1:{free_port()}"]'),
            ("smtpd", "_clients", '["127.0.0.0/8"]'),
        )
    }
    with House(tmp_path_factory.mktemp("injected") / "house", settings=PATIENT | listed, submission=True) as house:
        house.add_domain(DOMAIN)
        house.add_mailbox(JOE)
        house.add_mailbox(ANN)
        house.wait_until_known(ANN)
        yield house


@pytest.fixture
def house(served: House) -> House:
    served.turn_page()
    return served


def port_of(house: House, protocol: str) -> int:
    return int(house.config.read_text().partition(f"\n{protocol} = [")[2].partition('"]')[0].rpartition(":")[2])


def sendmail(house: House, *arguments: str, stdin: bytes) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "appliance.cli.sendmail", *arguments]
    return subprocess.run(
        command, input=stdin, capture_output=True, timeout=60, check=False, cwd=house.tree.root,
        env={"PATH": "/usr/bin:/bin", "POSTERN_CONFIG": str(house.config)},
    )  # fmt: skip


def test_a_program_sends_by_sendmail(house: House) -> None:
    typed = f"To: Joe <{JOE}>\nBcc: {ANN}\nSubject: from a program\n\n.dot\nend\n".encode()
    done = sendmail(house, "-t", "-i", "-f", f"cron@{DOMAIN}", "-F", "Cron", stdin=typed)
    assert (done.returncode, done.stderr) == (0, b"")
    (joes,) = house.wait_for_messages(JOE)
    (anns,) = house.wait_for_messages(ANN)
    content = joes.read_bytes()
    assert b"(uid %d)" % os.geteuid() in content
    assert f'From: "Cron" <cron@{DOMAIN}>\n'.encode() in content
    assert b"\nMessage-ID: <" in content
    assert content.endswith(b"\n\n.dot\nend\n")
    assert b"Bcc" not in content + anns.read_bytes()


def test_cron_sends(house: House) -> None:
    """With its own arguments, a From field without a domain, which submitter would not read, and a user for a recipient."""
    house.postern("alias", "add", "root@mx.house.test", ANN)
    house.wait_until_known("root@mx.house.test")
    typed = b"From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@mx> true\n\nsaid\n"
    done = sendmail(house, "-FCronDaemon", "-i", "-B8BITMIME", "-oem", "root", stdin=typed)
    assert (done.returncode, done.stderr) == (0, b"")
    (path,) = house.wait_for_messages(ANN)
    assert b"\nFrom: root@mx.house.test (Cron Daemon)\nTo: root@mx.house.test\n" in path.read_bytes()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_the_kernel_says_whose_program_it_is(house: House) -> None:
    _open_way_to(house.folder, NOBODY)

    def send() -> str:
        with socket.socket(socket.AF_UNIX) as sock, sock.makefile("rwb", buffering=0) as stream:
            sock.connect(str(house.state / "inject/smtp"))
            for line in (b"", b"HELO root", f"MAIL FROM:<a@{DOMAIN}>".encode(), f"RCPT TO:<{JOE}>".encode(), b"DATA"):
                stream.write(line and line + b"\r\n")
                stream.readline()
            stream.write(b"From: a@example.test\r\n\r\n.\r\n")
            return stream.readline().decode()

    assert run_as(NOBODY, send).startswith("250 ")
    (message,) = house.wait_for_messages(JOE)
    assert b"Received: from root (uid 65534)\n" in message.read_bytes()
    assert NOBODY in {relaying.user_of(connected["client"].encode()) for connected in house.events("connected")}


def test_when_one_recipient_is_refused_nothing_is_sent_and_the_exit_code_says_why(house: House) -> None:
    done = sendmail(house, JOE, f"nobody-here@{DOMAIN}", stdin=b"Subject: x\n\n")
    assert done.returncode == 67
    assert done.stderr.startswith(b"postern sendmail: nobody-here@")
    assert b"550 5.1.1" in done.stderr
    house.settle()
    assert not house.events("accepted")


def test_a_house_that_is_down_is_come_back_later(house: House, tmp_path) -> None:
    (tmp_path / "postern.toml").write_text('[host]\nname = "mx.example.test"\n')
    done = subprocess.run(
        [sys.executable, "-m", "appliance.cli", "--config", str(tmp_path / "postern.toml"), "sendmail", JOE],
        input=b"\n", capture_output=True, timeout=60, check=False, cwd=house.tree.root,
    )  # fmt: skip
    assert done.returncode == 75


def test_postfix_as_a_client_of_qmqp_delivers(house: House) -> None:
    program = shutil.which("qmqp-source", path="/usr/sbin:/usr/bin")
    if program is None:
        pytest.skip("qmqp-source is not installed")
    port = port_of(house, "qmqp")
    sent = subprocess.run(
        [program, "-m", "5", "-s", "2", "-l", "2000", "-f", f"source@{DOMAIN}", "-t", JOE, f"inet:127.0.0.1:{port}"],
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert (sent.returncode, sent.stderr) == (0, b"")
    messages = house.wait_for_messages(JOE, 5)
    assert all(b" with QMQP id " in message.read_bytes() for message in messages)


def test_qmtp_answers_for_each_recipient(house: House) -> None:
    with socket.create_connection(("127.0.0.1", port_of(house, "qmtp"))) as client:
        client.sendall(qmtp(b"Subject: quick\n\nbody\n", b"", [JOE.encode(), b"nobody-here@" + DOMAIN.encode()]))
        heard = b""
        while b"#5.1.1" not in heard:
            heard += client.recv(1000)
    queued, refused = heard.split(b",", 1)
    assert queued.partition(b":")[2].startswith(b"Kqueued as ")
    assert refused == netstring(b"DNo such mailbox here (#5.1.1)")
    house.wait_for_messages(JOE)
