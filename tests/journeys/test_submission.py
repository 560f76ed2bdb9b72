"""user -> mailbox and other hosts, over submission: other people's clients on both ports, and what is refused there to whom."""

import os
import shutil
import smtplib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.mx import Manners, StubMx
from tests.fakes.zone import Zone
from tests.fixtures.house import House, free_port, wait_until
from tests.fixtures.served import DOMAIN, PATIENT, content_of

pytestmark = [pytest.mark.journey, pytest.mark.must_show]

JOE, ANN = f"joe@{DOMAIN}", f"ann@{DOMAIN}"
PASSWORD, WRONG = "correct horse", "wrong horse"
LF_CONTENT = (
    b"From: <joe@%b>\nSubject: by a user\nDate: Mon, 2 Nov 2026 10:00:00 +0000\nMessage-ID: <1@client.test>\n\n.\n..\n.dot\nend\n"
    % DOMAIN.encode()
)
CONTENT = LF_CONTENT.replace(b"\n", b"\r\n")
PORTS = ["submission", "submissions"]
ELSEWHERE = "127.0.2.1"


ISOLATIONS = ["worker", "connection"] if os.environ.get("POSTERN_FULL") else ["worker"]


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[StubMx]:
    """The host of elsewhere.test."""
    stub = StubMx(Manners(), ELSEWHERE, free_port())
    yield stub
    stub.close()


@pytest.fixture(scope="module")
def zone() -> Iterator[Zone]:
    with Zone({
        "elsewhere.test": {"MX": ["10 mx.elsewhere.test."]}, "mx.elsewhere.test": {"A": [ELSEWHERE]},
    }) as zone:  # fmt: skip
        yield zone


@pytest.fixture(scope="module", params=ISOLATIONS)
def served(request, tmp_path_factory, zone, elsewhere) -> Iterator[House]:
    """Joe may log in; Ann has a mailbox and no password. In full size with both isolations; the dialogs have both always."""
    settings = {
        **PATIENT, "smtpd.isolation": f'"{request.param}"', "dns.servers": f'["{zone.address}"]',
        "outbound.port": str(elsewhere.port), "outbound.allow_loopback": "true",
    }  # fmt: skip
    with House(tmp_path_factory.mktemp("submission") / "house", settings=settings, submission=True) as house:
        house.add_domain(DOMAIN)
        house.add_mailbox(JOE, password=PASSWORD)
        house.add_mailbox(ANN)
        house.wait_until_known(ANN)
        house.wait_until_users_may_come()
        yield house


@pytest.fixture
def house(served: House) -> House:
    """The same, with nothing left of the test before."""
    served.turn_page()
    return served


@pytest.fixture(params=PORTS)
def port(request) -> str:
    return request.param


def run(*command: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False)


def needs(program: str) -> None:
    if shutil.which(program, path="/usr/sbin:/usr/bin") is None:
        pytest.skip(f"{program} is not installed")


def arrived(house: House) -> bytes:
    """Ann's one message, whose Received field says how it came; answers what the client sent."""
    (path,) = house.wait_for_messages(ANN)
    octets = path.read_bytes()
    received = octets.partition(b"\nReceived: ")[2].partition(b"; ")[0]
    assert b" with ESMTPSA (TLSv1." in b" ".join(received.split()), received
    return content_of(octets)


def curl(house: House, port: str, password: str, folder: Path) -> subprocess.CompletedProcess[bytes]:
    (folder / "message").write_bytes(CONTENT)
    scheme = "smtps" if port == "submissions" else "smtp"
    command = ["curl", "--silent", "--show-error", f"{scheme}://127.0.0.1:{house.port(port)}/client.test", "--insecure"]
    command += ["--user", f"{JOE}:{password}", "--mail-from", JOE, "--mail-rcpt", ANN, "--ssl-reqd"]
    return run(*command, "--upload-file", str(folder / "message"))


def test_curl(house, port, tmp_path):
    """Which picks a mechanism of those it is offered."""
    needs("curl")
    refused = curl(house, port, WRONG, tmp_path)
    assert refused.returncode == 67, "curl's word for a login that was denied"
    assert house.messages(ANN) == []
    done = curl(house, port, PASSWORD, tmp_path)
    assert done.returncode == 0, done.stderr
    assert arrived(house).endswith(LF_CONTENT)


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_swaks(house, port, mechanism):
    """By each of its mechanisms that we have."""
    needs("swaks")
    command = ["swaks", "--server", f"127.0.0.1:{house.port(port)}", "--to", ANN, "--from", JOE, "--hide-all"]
    command += ["--tls-on-connect" if port == "submissions" else "--tls", "--auth", mechanism, "--auth-user", JOE]
    assert run(*command, "--auth-password", WRONG).returncode == 28, "its word for no successful login"
    done = run(*command, "--auth-password", PASSWORD)
    assert done.returncode == 0, done.stdout + done.stderr
    assert b"test" in arrived(house)


@pytest.mark.parametrize("mechanism", ["plain", "login", "scram-sha-256"])
def test_msmtp(house, port, mechanism):
    """What stands in for sendmail on many a small machine; by SCRAM it wants our proof, too."""
    needs("msmtp")
    command = ["msmtp", "--host=127.0.0.1", f"--port={house.port(port)}", f"--from={JOE}", "--domain=client.test"]
    command += ["--tls=on", "--tls-certcheck=off", f"--tls-starttls={'off' if port == 'submissions' else 'on'}"]
    command += [f"--auth={mechanism}", f"--user={JOE}", "--set-from-header=off", "--set-date-header=off"]
    for password, status in ((WRONG, 77), (PASSWORD, 0)):
        done = run(*command, f"--passwordeval=printf '%s' '{password}'", ANN, stdin=LF_CONTENT)
        assert done.returncode == status, done.stderr
    assert arrived(house).endswith(LF_CONTENT)


def test_smtplib(house, port):
    """Python's own, with several messages in one conversation."""
    with house.submission(implicit=port == "submissions") as client:
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            client.login(JOE, WRONG)
        assert refused.value.smtp_code == 535
        assert refused.value.smtp_error.startswith(b"5.7.8 ")
        client.login(JOE, PASSWORD)
        client.sendmail(JOE, [ANN], CONTENT)
        client.sendmail(f"joe+tag@{DOMAIN}", [ANN], CONTENT)
    first, second = house.wait_for_messages(ANN, 2)
    assert first.read_bytes().endswith(LF_CONTENT)
    assert b"joe+tag@" in first.read_bytes().splitlines()[0] + second.read_bytes().splitlines()[0]
    [logged_in] = wait_until(lambda: house.events("logged-in"), 30)
    assert logged_in["login"] == JOE
    house.settle()
    assert WRONG not in str(house.events())
    assert PASSWORD not in str(house.events())


def test_mail_leaves_for_another_host(house, elsewhere):
    """By its MX, signed, and as who logged in. Who did not may not: neither at port 25 nor in front of the log-in."""
    with house.submission() as client:
        client.login(JOE, PASSWORD)
        client.sendmail(JOE, ["bob@elsewhere.test"], CONTENT)
    wait_until(lambda: elsewhere.contents, 20, house.said)
    (content,) = elsewhere.contents
    assert content.startswith(b"DKIM-Signature: ") or b"\nDKIM-Signature: " in content
    assert b"with ESMTPSA (TLSv1." in b" ".join(content.split())
    assert b"Subject: by a user" in content
    elsewhere.heard.clear()
    with house.smtp() as stranger:
        stranger.ehlo()
        stranger.mail(JOE)
        code, words = stranger.rcpt("bob@elsewhere.test")
        assert (code, words[:6]) == (550, b"5.7.1 ")


def test_what_another_host_refuses_is_told_to_the_user(house, elsewhere):
    """550 there at RCPT: a notification in Joe's mailbox, with the other host's words."""
    elsewhere.manners.answers[b"RCPT"] = b"550 5.1.1 Nobody of that name"
    try:
        with house.submission() as client:
            client.login(JOE, PASSWORD)
            client.sendmail(JOE, ["nobody@elsewhere.test"], CONTENT)
        (path,) = house.wait_for_messages(JOE)
    finally:
        del elsewhere.manners.answers[b"RCPT"]
    assert b"Nobody of that name" in path.read_bytes()
    assert path.read_bytes().startswith(b"Return-Path: <>\n")


def test_a_recipient_that_does_not_exist_is_refused_at_once(house):
    """550 5.1.1 to a user as to anybody; the other recipient gets the message."""
    with house.submission() as client:
        client.login(JOE, PASSWORD)
        refused = client.sendmail(JOE, [f"nobody@{DOMAIN}", ANN], CONTENT)
    assert refused[f"nobody@{DOMAIN}"][0] == 550
    assert refused[f"nobody@{DOMAIN}"][1].startswith(b"5.1.1 ")
    arrived(house)


def test_nothing_goes_without_tls_and_nothing_without_a_login(house):
    """In the clear neither a password is taken (538) nor a message begun (530); under TLS it wants the log-in first (530)."""
    with smtplib.SMTP("127.0.0.1", house.port("submission"), local_hostname="client.test", timeout=30) as client:
        client.ehlo()
        assert not client.has_extn("auth")
        assert client.docmd("AUTH PLAIN AGpvZQBzZWNyZXQ=") == (538, b"5.7.11 Log in under TLS only; say STARTTLS first")
        assert client.docmd(f"MAIL FROM:<{JOE}>") == (530, b"5.7.0 Must issue a STARTTLS command first")
    with house.submission() as client:
        client.ehlo()
        assert set(client.esmtp_features["auth"].split()) >= {"PLAIN", "LOGIN"}
        assert client.docmd(f"MAIL FROM:<{JOE}>") == (530, b"5.7.0 Log in first")
        assert client.docmd(f"RCPT TO:<{ANN}>")[0] == 503
        assert client.login(JOE, PASSWORD)[0] == 235
        assert client.docmd("AUTH PLAIN AGpvZQBzZWNyZXQ=")[0] == 503


def test_nobody_writes_as_somebody_else(house):
    """550 5.7.1, in words that name the address and the rule; the conversation goes on."""
    with house.submission() as client:
        client.login(JOE, PASSWORD)
        code, words = client.mail(ANN)
        assert (code, words[:6]) == (550, b"5.7.1 ")
        assert len(words) > 20
        client.sendmail(JOE, [ANN], CONTENT)
    arrived(house)


def test_mailboxes_without_a_password_cannot_log_in(house):
    """Ann has none; nobody is there; both hear what a wrong password hears."""
    for name in (ANN, f"nobody@{DOMAIN}", "nobody@elsewhere.test", "joe"):
        with house.submission() as client, pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            client.login(name, PASSWORD)
        assert refused.value.smtp_error == b"5.7.8 The name or the password is wrong"


def test_other_servers_flood_does_not_shut_users_out(house):
    """Ends of port 25 that are all taken leave those of users free: each way in has its own."""
    house.set("smtpd.max_connections", "3")
    house.process.send_signal(1)
    wait_until(lambda: "settings read again" in house.said(), 20, house.said)
    crowd = [house.smtp() for _ in range(3)]
    try:
        with pytest.raises(smtplib.SMTPConnectError):
            house.smtp()
        with house.submission() as client:
            client.login(JOE, PASSWORD)
            client.sendmail(JOE, [ANN], CONTENT)
    finally:
        for each in crowd:
            each.close()
        house.set("smtpd.max_connections", "1000")
        house.process.send_signal(1)
    arrived(house)
