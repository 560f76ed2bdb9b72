"""STARTTLS over real processes: smtpd (and its cells) between fakes, with the real tls beside it, and clients of all kinds."""

import os
import re
import smtplib
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from mta import roster
from tests.fakes.smtpd_house import SHELLS, SmtpdHouse, eventually
from tests.fixtures import certificates
from tests.fixtures.house import children
from tests.fixtures.smtpd_house import reachable

HOST, OTHER = certificates.make("mx.example.test"), certificates.make("one.test")
Make = Callable[..., SmtpdHouse]


@pytest.fixture(scope="module", params=list(SHELLS))
def house(request, tmp_path_factory) -> Iterator[SmtpdHouse]:
    """For tests that leave it as it was."""
    folder = reachable(tmp_path_factory.mktemp("starttls"))
    certificates.publish(folder, {"": HOST, "one.test": OTHER})
    with SmtpdHouse(folder, request.param, tls=True) as made:
        offered(made)
        yield made
        assert made.output("tls") == ""


@pytest.fixture(params=list(SHELLS))
def make(request, tmp_path: Path) -> Iterator[Make]:
    """`make(**settings)`: one of one's own, with a certificate if *pairs* is not empty."""
    with ExitStack() as stack:

        def made(pairs=None, **settings: str) -> SmtpdHouse:
            certificates.publish(reachable(tmp_path), {"": HOST} if pairs is None else pairs)
            named = {name.replace("__", "."): value for name, value in settings.items()}
            house = stack.enter_context(SmtpdHouse(tmp_path, request.param, tls=True, **named))
            if pairs is None:
                offered(house)
            return house

        yield made


def careless() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def smtp(house: SmtpdHouse) -> smtplib.SMTP:
    return smtplib.SMTP("127.0.0.1", house.port, local_hostname="client.test", timeout=10)


def offers(house: SmtpdHouse) -> bool:
    with smtp(house) as client:
        client.ehlo()
        return client.has_extn("starttls")


def refuses_tls(house: SmtpdHouse) -> bool:
    # Asked again and again, it would have all the places there are, were it to stay: and 421 is no 454.
    client = Raw(house)
    with client.socket:
        client.say(b"EHLO a")
        return client.say(b"STARTTLS").startswith(b"454 4.7.0")


def secures(house: SmtpdHouse) -> bool:
    """Does a conversation go on under TLS?"""
    with smtp(house) as client:
        client.ehlo()
        if not client.has_extn("starttls"):
            return False
        try:
            client.starttls(context=careless())
        except smtplib.SMTPResponseException:
            return False
        return client.noop()[0] == 250


def offered(house: SmtpdHouse) -> None:
    eventually(lambda: offers(house))


_CLIENTS: "list[Raw]" = []


@pytest.fixture(autouse=True)
def _hang_up():
    yield
    while _CLIENTS:
        _CLIENTS.pop().socket.close()


class Raw:
    """A socket, and lines; closed when the test ends."""

    def __init__(self, house: SmtpdHouse) -> None:
        _CLIENTS.append(self)
        self.socket = socket.create_connection(("127.0.0.1", house.port), timeout=8)
        assert self.line().startswith(b"220")

    def line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            octet = self.socket.recv(1)
            if not octet:
                break
            line += octet
        return self.line() if line[3:4] == b"-" else line

    def say(self, line: bytes) -> bytes:
        self.socket.sendall(line + b"\r\n")
        return self.line()

    def to_handshake(self) -> "Raw":
        assert self.say(b"EHLO client.test").startswith(b"250")
        assert self.say(b"STARTTLS").startswith(b"220")
        return self

    def secure(self, context: ssl.SSLContext | None = None, name: str | None = None, session=None) -> "Raw":
        self.socket = (context or careless()).wrap_socket(self.socket, server_hostname=name, session=session)
        return self

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def test_a_message_under_tls_is_taken_as_one(house):
    """With the protocol type of RFC 3848, and what protected it, for the Received field."""
    before = len(house.messages())
    with smtp(house) as client:
        client.starttls(context=careless())
        client.sendmail("a@client.test", ["joe@example.test"], b"Subject: hi\r\n\r\n" + b"x" * 200_000 + b"\r\n")
    envelope, content = house.messages()[before]
    assert (envelope["protocol"], envelope["tls"][:5]) == (b"ESMTPS", b"TLSv1")
    assert len(content) > 200_000
    eventually(lambda: [event for event in house.events() if event[:2] == ("tls", b"secured")])


def test_everything_said_in_the_clear_is_forgotten(house):
    """RFC 3207 4.2: EHLO must be said again; STARTTLS is neither offered nor taken a second time."""
    client = Raw(house).to_handshake().secure()
    assert client.say(b"MAIL FROM:<a@client.test>").startswith(b"503 5.5.1")
    client.socket.sendall(b"EHLO client.test\r\n")
    said = b""
    while b"250 " not in said:
        said += client.socket.recv(4096)
    assert b"STARTTLS" not in said
    assert client.say(b"STARTTLS").startswith(b"503 5.5.1")
    assert client.say(b"QUIT").startswith(b"221")


def test_nothing_injected_behind_starttls_is_ever_carried_out(house):
    """In the same segment as the command: the connection ends before TLS begins."""
    client = Raw(house)
    client.say(b"EHLO client.test")
    client.socket.sendall(b"STARTTLS\r\nMAIL FROM:<evil@evil.test>\r\nRCPT TO:<joe@example.test>\r\n")
    assert client.line().startswith(b"421 4.7.0")
    assert client.line() == b""


def test_injected_after_the_220_is_no_tls_either(house):
    """It is the first thing that tls reads, and no handshake."""
    client = Raw(house).to_handshake()
    client.socket.sendall(b"MAIL FROM:<evil@evil.test>\r\n")
    while client.socket.recv(4096):
        pass


@pytest.mark.parametrize(("name", "shown"), [("one.test", OTHER), ("mx.example.test", HOST), (None, HOST)])
def test_the_name_asked_for_chooses_the_certificate(house, name, shown):
    client = Raw(house).to_handshake().secure(name=name)
    certificate = ssl.DER_cert_to_PEM_cert(client.socket.getpeercert(binary_form=True))
    assert certificate.split() == shown.chain.decode().split()
    assert client.say(b"QUIT").startswith(b"221")
    assert client.socket.recv(1) == b""  # close_notify, not an end without a word: ssl would raise


def test_a_session_is_resumed_where_no_cell_would_learn_of_others(house):
    """The key of tickets opens what other conversations said, so a process for each has none."""
    context = careless()
    first = Raw(house).to_handshake().secure(context)
    assert first.say(b"NOOP").startswith(b"250")
    again = Raw(house).to_handshake().secure(context, session=first.socket.session)
    assert again.socket.session_reused is (house.shell == "smtpd")
    assert again.say(b"QUIT").startswith(b"221")


@pytest.mark.parametrize("arguments", [["-tls1"], ["-tls1_1"], ["-tls1_2"], ["-tls1_3"]])
def test_openssl_agrees_on_the_versions(house, arguments):
    """TLS 1.0 and 1.1 are refused (RFC 8996), with an alert and not with silence."""
    command = ["openssl", "s_client", "-starttls", "smtp", "-connect", f"127.0.0.1:{house.port}", "-brief"]
    result = subprocess.run(
        [*command, *arguments, "-cipher", "ALL:@SECLEVEL=0"], input=b"QUIT\r\n", capture_output=True, timeout=20, check=False
    )  # fmt: skip
    said = result.stdout + result.stderr
    if arguments[0] in ("-tls1", "-tls1_1"):
        assert re.search(rb"(?i)alert protocol version|no protocols available", said)
    else:
        assert b"CONNECTION ESTABLISHED" in said


def test_swaks_delivers_under_tls(house):
    before = len(house.messages())
    command = ["swaks", "--server", f"127.0.0.1:{house.port}", "--to", "joe@example.test", "--tls", "--silent", "2"]
    result = subprocess.run(command, capture_output=True, timeout=30, check=False)
    assert result.returncode == 0, result.stderr
    assert house.messages()[before][0]["protocol"] == b"ESMTPS"


@pytest.mark.parametrize(
    "step",
    [
        "before",
        "hello",
        "half a hello",
        "after the handshake",
        "in content",
        "end in the handshake",
        "http",
        "odd name",
    ],
)
def test_a_client_that_vanishes_at_any_step_leaves_nothing(house, step):
    """By a reset, mostly; the listener hears that the conversation is over, and nobody says a word on stderr."""
    before = len(house.finished())
    client = Raw(house).to_handshake()
    if step == "half a hello":
        client.socket.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    elif step == "hello":
        to_send = ssl.MemoryBIO()
        with pytest.raises(ssl.SSLWantReadError):
            careless().wrap_bio(ssl.MemoryBIO(), to_send).do_handshake()
        client.socket.sendall(to_send.read())
        client.socket.recv(10)
    elif step == "odd name":
        to_send = ssl.MemoryBIO()
        with pytest.raises(ssl.SSLWantReadError):
            careless().wrap_bio(ssl.MemoryBIO(), to_send, server_hostname="one.test").do_handshake()
        client.socket.sendall(to_send.read().replace(b"one.test", b"\xff\x80\r\n\x1b[2J"))  # no text in any encoding
        client.socket.recv(10)
    elif step == "http":
        client.socket.sendall(b"GET / HTTP/1.1\r\n\r\n")
    elif step == "end in the handshake":
        client.socket.shutdown(socket.SHUT_WR)
    elif step != "before":
        client.secure()
        if step == "in content":
            for line in (b"EHLO a", b"MAIL FROM:<a@client.test>", b"RCPT TO:<joe@example.test>", b"DATA"):
                client.say(line)
            client.socket.sendall(b"x" * 100_000)
    client.reset()
    eventually(lambda: len(house.finished()) > before)
    assert house.output("tls") == ""
    assert house.output(house.shell) == ""


def test_two_hundred_at_once(house):
    """Each interleaved with all others, each over once."""
    before = len(house.finished())
    clients = [Raw(house).to_handshake() for _ in range(200)]
    for client in clients:
        client.secure()
    for client in clients:
        client.socket.sendall(b"EHLO client.test\r\n")
    for client in clients:
        assert client.line().startswith(b"250")
    for client in clients:
        client.socket.sendall(b"QUIT\r\n")
    for client in clients:
        assert client.line().startswith(b"221")
        client.socket.close()
    eventually(lambda: len(house.finished()) >= before + 200, 15)


def test_a_client_that_says_no_more_still_hears_the_end(house):
    """Half-closed behind its final dot: the message is taken, and it is told so."""
    before = len(house.messages())
    client = Raw(house).to_handshake().secure()
    for line in (b"EHLO a", b"MAIL FROM:<a@client.test>", b"RCPT TO:<joe@example.test>", b"DATA"):
        client.say(line)
    client.socket.sendall(b"hi\r\n.\r\n")
    socket.socket.shutdown(client.socket, socket.SHUT_WR)
    assert client.line().startswith(b"250")
    assert len(house.messages()) == before + 1


def test_whoever_does_not_read_is_not_read_for(house):
    """A client that never takes its replies fills nobody's memory."""
    client = Raw(house).to_handshake().secure()
    assert client.say(b"EHLO a").startswith(b"250")
    assert client.say(b"MAIL FROM:<a@client.test>").startswith(b"250")
    client.socket.setblocking(False)
    lines, sent, deadline = b"RCPT TO:<late-unknown@example.test>\r\n" * 1000, 0, time.monotonic() + 1.5
    while time.monotonic() < deadline:
        try:
            sent += client.socket.send(lines)
        except (ssl.SSLWantWriteError, BlockingIOError):
            time.sleep(0.02)
    assert sent < 40 * 1024 * 1024
    assert resident(house.pids["tls"]) < 100 * 1024 * 1024


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def test_a_new_certificate_is_shown_while_the_old_ones_conversations_go_on(make, tmp_path):
    """Renewing costs nobody a connection."""
    house = make()
    before = Raw(house).to_handshake().secure()
    renewed = certificates.make("mx.example.test")
    certificates.publish(tmp_path, {"": renewed})
    after = Raw(house).to_handshake().secure()
    shown = ssl.DER_cert_to_PEM_cert(after.socket.getpeercert(binary_form=True))
    assert shown.split() == renewed.chain.decode().split()
    assert before.say(b"NOOP").startswith(b"250")
    assert after.say(b"NOOP").startswith(b"250")


def test_without_a_certificate_nothing_is_offered_until_there_is_one(make, tmp_path):
    house = make(pairs={})
    assert not offers(house)
    with smtp(house) as client:
        client.ehlo()
        assert client.docmd("STARTTLS")[0] == 502
    certificates.publish(tmp_path, {"": HOST})
    offered(house)


def test_tls_away_is_454_and_the_conversation_goes_on_in_the_clear(make):
    """And under TLS again when it is back; where it was on, the connection is lost with its process and nothing else."""
    house = make()
    gone = "tls" if house.shell == "smtpd" else "tlsspawn"
    plain, secured, waiting = Raw(house), Raw(house).to_handshake().secure(), Raw(house).to_handshake()
    plain.say(b"EHLO a")
    house.kill(gone)
    eventually(lambda: ends(waiting))
    eventually(lambda: refuses_tls(house))  # Who holds the conversations has noticed, or who holds the cells' ends.
    assert plain.say(b"STARTTLS").startswith(b"454 4.7.0")
    assert plain.say(b"MAIL FROM:<a@client.test>").startswith(b"250")
    eventually(lambda: ends(secured))
    eventually(lambda: len(house.finished()) >= 2, seconds=40)
    house.restart(gone)
    eventually(lambda: secures(house))


def ends(client: Raw) -> bool:
    """Was it hung up on?"""
    try:
        return not client.socket.recv(1)
    except OSError:
        return True


def test_without_the_keeper_cells_go_on_and_nothing_new_is_offered(make):
    """With a process for each conversation, whoever has its key needs nobody any more."""
    house = make()
    if house.shell == "smtpd":
        return  # There the keeper carries the octets: see above.
    secured = Raw(house).to_handshake().secure()
    house.kill("tls")
    eventually(lambda: not offers(house))
    assert secured.say(b"NOOP").startswith(b"250")
    house.restart("tls")
    offered(house)
    assert Raw(house).to_handshake().secure().say(b"NOOP").startswith(b"250")


def test_a_handshake_takes_no_longer_than_we_allow(tmp_path, monkeypatch):
    """Octet by octet it would last for ever; measured on the pump itself, with a clock of ours."""
    from mta.roles.tls.pump import HANDSHAKE_SECONDS, IDLE_SECONDS, Pump
    from mta.roles.tls.tunnel import Tunnel
    from mta.wire.loop import Loop

    told = []
    ours, theirs = socket.socketpair()
    loop = Loop()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pump = Pump(
        loop, ours, Tunnel(context), 1000.0, secured=lambda *_: told.append("secured"),
        failed=lambda _pump, why: told.append(why), over=lambda _pump: told.append("over"),
    )  # fmt: skip
    theirs.send(b"\x16")
    loop.run_until_idle()
    pump.expire(1000.0 + HANDSHAKE_SECONDS - 1)
    assert told == []
    pump.expire(1000.0 + HANDSHAKE_SECONDS + 1)
    assert told == ["too slow", "over"]
    assert theirs.recv(1) == b""
    assert IDLE_SECONDS > HANDSHAKE_SECONDS
    theirs.close()


def test_stop_lets_what_was_said_reach_the_clients(make):
    """smtpd says 421 and ends; tls, stopped after it, has still to bring that to the client."""
    house = make()
    client = Raw(house).to_handshake().secure()
    assert client.say(b"NOOP").startswith(b"250")
    assert house.stop(house.shell) == 0
    assert house.stop("tls") == 0
    assert client.line().startswith(b"421 4.3.2")
    assert client.socket.recv(1) == b""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give roles uids of their own")
def test_tls_has_a_uid_no_files_but_certificates_and_no_other_way_out(make):
    """The walls as the kernel tells them."""
    house = make()
    pid = house.pids["tls"]
    client = Raw(house).to_handshake().secure()
    if house.shell == "smtpdspawn":
        [pid] = children(house.pids["tlsspawn"])
    status = Path(f"/proc/{pid}/status").read_text()
    for line in ("CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"):
        assert line in status
    uid = int(status.partition("Uid:\t")[2].split()[0]) - 1_900_000_000
    if house.shell == "smtpd":
        assert uid == roster.TLS.number
    else:
        assert 0 <= uid - roster.TLS_CELL_UIDS_FROM < roster.CELL_UIDS
    assert client.say(b"NOOP").startswith(b"250")
