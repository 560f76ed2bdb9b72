"""The way remote -> mailbox as other people's clients go it, in the clear and under TLS, and with internationalised mailboxes."""

import asyncio
import gc
import os
import shutil
import smtplib
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib
import pytest

from tests.fixtures import clients
from tests.fixtures.house import House, wait_until
from tests.fixtures.served import DOMAIN, PATIENT, content_of

pytestmark = [pytest.mark.journey, pytest.mark.must_show]

# Dots at the beginnings of lines, also alone; a line end at the end.
LF_CONTENT = b"From: <a@client.test>\nSubject: by others\n\n.\n..\n.dot\nend\n"
CONTENT = LF_CONTENT.replace(b"\n", b"\r\n")
SENDER = "a@client.test"
ISOLATIONS = ["worker", "connection"] if os.environ.get("POSTERN_FULL") else ["worker"]


@pytest.fixture(scope="module", params=ISOLATIONS)
def served(request, tmp_path_factory) -> Iterator[House]:
    """In full size with both isolations; else the default one, because dialogs and test_cells.py have the other."""
    settings = {**PATIENT, "smtpd.isolation": f'"{request.param}"'}
    with House(tmp_path_factory.mktemp("clients") / "house", settings=settings) as house:
        house.add_domain(DOMAIN)
        yield house


@pytest.fixture(params=["clear", "tls"])
def tls(request, served) -> bool:
    """Is it under TLS? If so, wait until it is offered."""
    if request.param == "tls":
        wait_until(lambda: _offers_tls(served), 20, served.said)
    return request.param == "tls"


def _offers_tls(served) -> bool:
    with served.smtp() as client:
        client.ehlo()
        return client.has_extn("starttls")


def careless() -> ssl.SSLContext:
    """The house's first certificate is its own."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def arrived(served, address: str, tls: bool, protocol: str = "ESMTP") -> bytes:
    """The one message, whose Received field says truly how it came; answers what the client sent."""
    (path,) = served.wait_for_messages(address)
    octets = path.read_bytes()
    received = octets.partition(b"\nReceived: ")[2].partition(b"; ")[0]
    with_what = b" with %b " % (protocol + ("S (TLSv1." if tls else " id")).encode()
    assert with_what.rstrip() in b" ".join(received.split()), received
    return content_of(octets)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """For servers under uids of their own; pytest's folders are closed to those, and closed again by each pytest that starts."""
    with tempfile.TemporaryDirectory(prefix="postern-client-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def run(*command: str, stdin: bytes = b"") -> None:
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def needs(program: str) -> None:
    if shutil.which(program, path="/usr/sbin:/usr/bin") is None:
        pytest.skip(f"{program} is not installed")


def test_swaks(served, mailbox, tls):
    """Pipelined, too."""
    needs("swaks")
    address = mailbox(f"swaks-{tls:d}")
    command = ["swaks", "--server", f"127.0.0.1:{served.port('smtp')}", "--to", address, "--from", SENDER, "--pipeline"]
    run(*command, "--body", ".leading dot", "--hide-all", *(["--tls"] if tls else []))
    assert b"\n.leading dot\n" in arrived(served, address, tls)


def test_curl(served, mailbox, tls, tmp_path):
    """As the appliance's own line to try does it."""
    needs("curl")
    address = mailbox(f"curl-{tls:d}")
    (tmp_path / "message").write_bytes(CONTENT)
    command = ["curl", "--silent", "--show-error", f"smtp://127.0.0.1:{served.port('smtp')}/client.test"]
    command += ["--mail-from", SENDER, "--mail-rcpt", address, "--upload-file", str(tmp_path / "message")]
    run(*command, *(["--ssl-reqd", "--insecure"] if tls else []))
    assert arrived(served, address, tls) == LF_CONTENT


def test_msmtp(served, mailbox, tls):
    """What stands in for sendmail on many a small machine."""
    needs("msmtp")
    address = mailbox(f"msmtp-{tls:d}")
    command = ["msmtp", "--host=127.0.0.1", f"--port={served.port('smtp')}", f"--from={SENDER}", "--domain=client.test"]
    command += ["--tls=on", "--tls-certcheck=off"] if tls else ["--tls=off"]
    run(*command, "--set-from-header=off", "--set-date-header=off", address, stdin=LF_CONTENT)
    assert arrived(served, address, tls).endswith(LF_CONTENT)


def test_smtplib(served, mailbox, tls):
    """Python's own."""
    address = mailbox(f"smtplib-{tls:d}")
    with served.smtp() as client:
        if tls:
            client.starttls(context=careless())
        client.sendmail(SENDER, [address], CONTENT)
        assert client.noop()[0] == 250
    assert arrived(served, address, tls) == LF_CONTENT


# Its TLS transport is sometimes not quite closed when its loop is; that is collected here, and not in the next test.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_aiosmtplib(served, mailbox, tls):
    """The one for asyncio, which upgrades by itself."""
    address = mailbox(f"aiosmtplib-{tls:d}")
    send = aiosmtplib.send(
        CONTENT, sender=SENDER, recipients=[address], hostname="127.0.0.1", port=served.port("smtp"),
        local_hostname="client.test", start_tls=tls, tls_context=careless() if tls else None,
    )  # fmt: skip
    asyncio.run(send)
    gc.collect()
    assert arrived(served, address, tls) == LF_CONTENT


def test_smtp_source(served, mailbox):
    """Postfix's load generator: several connections, several messages in each, all there."""
    needs("smtp-source")
    address = mailbox("smtp-source")
    run("smtp-source", "-s", "4", "-m", "40", "-l", "4096", "-d", "-f", SENDER, "-t", address,
        f"inet:127.0.0.1:{served.port('smtp')}")  # fmt: skip
    served.wait_for_messages(address, 40)


def test_postfix_relays_to_us(served, mailbox, tls, open_folder):
    """A message for several, of whom one does not exist: the others get it, and Postfix has heard 550 for that one."""
    if clients.POSTFIX is None or os.geteuid() != 0:
        pytest.skip("Postfix is not installed, or we cannot start one")
    addresses = [mailbox(f"postfix{n}-{tls:d}") for n in range(2)]
    nobody = "nobody-here@example.test"
    with clients.Postfix(open_folder / "postfix", served.port("smtp"), tls=tls) as postfix:
        postfix.send(SENDER, [*addresses, nobody], CONTENT)
        for address in addresses:
            assert arrived(served, address, tls).endswith(b"\n\n.\n..\n.dot\nend\n")
        wait_until(lambda: f"to=<{nobody}>" in postfix.said(), 20, postfix.said)
        (line,) = [line for line in postfix.said().splitlines() if f"to=<{nobody}>" in line]
        assert "dsn=5.1.1, status=bounced" in line
        assert "Untrusted TLS connection established" in postfix.said() or not tls


def test_exim_relays_to_us(served, mailbox, tls, open_folder):
    """It speaks BDAT with whoever offers it, pipelined behind RCPT."""
    if not clients.EXIM.exists() or os.geteuid() != 0:
        pytest.skip("Exim is not unpacked (tools/system-packages does it), or we cannot give it an /etc of its own")
    addresses = [mailbox(f"exim{n}-{tls:d}") for n in range(2)]
    exim = clients.Exim(open_folder / "exim", served.port("smtp"), tls=tls)
    log = exim.send(SENDER, [*addresses, "nobody-here@example.test"], LF_CONTENT)
    for address in addresses:
        assert arrived(served, address, tls).endswith(b"\n\n.\n..\n.dot\nend\n"), log
    assert log.count(" K ") == 2, f"its log marks what went by BDAT: {log}"
    assert "550 5.1.1" in log
    assert log.count(" X=TLS") >= 2 or not tls


@pytest.fixture(scope="module")
def international(served) -> str:
    """A mailbox with a Greek name in a domain with an umlaut, made as a person would type it."""
    served.add_domain("bücher.test")
    served.add_mailbox("δοκιμή@bücher.test")
    wait_until(lambda: _takes(served, "δοκιμή@bücher.test"), 30, served.said)
    return "δοκιμή@bücher.test"


def _takes(served, address: str) -> bool:
    with served.smtp() as client:
        client.ehlo()
        client.command_encoding = "utf-8"
        return client.mail(SENDER, ["SMTPUTF8"])[0] == 250 and client.rcpt(address)[0] == 250


def international_message(to: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "jürgen@bücher.example", to, "Grüße"
    message.set_content("Καλημέρα\n")
    return message


def stored(served, number: int, said=lambda: "") -> bytes:
    """The newest of *number* messages in δοκιμή's mailbox, whose folder cannot have that name."""
    domain = served.state / "mail" / "xn--bcher-kva.test"
    return wait_until(
        lambda: (found := sorted(domain.glob("%*/Maildir/new/*"), key=lambda path: path.stat().st_mtime_ns))
        and len(found) >= number and found[-1].read_bytes(),
        20, lambda: served.said() + said(),
    )  # fmt: skip


def test_an_internationalised_mailbox_end_to_end(served, international, open_folder):
    """RFC 6531: by U-label and by A-label, composed or not, through two independent clients; kept as it was said."""
    message = international_message(international)
    with served.smtp() as client:
        client.send_message(message, "jürgen@bücher.example", [international])
    octets = stored(served, 1)
    assert octets.startswith("Return-Path: <jürgen@bücher.example>\nDelivered-To: δοκιμή@".encode())
    assert b" with UTF8SMTP id " in b" ".join(octets.split())
    assert "\nSubject: Grüße\n".encode() in octets
    # The same mailbox: the domain's other name, and letters that a keyboard may send as two.
    decomposed = "δοκιμη\N{COMBINING ACUTE ACCENT}@xn--bcher-kva.test".upper().replace("XN--", "xn--")
    with served.smtp() as client:
        client.ehlo()
        client.sendmail("a@client.test", [decomposed], CONTENT, ["SMTPUTF8"])
    assert stored(served, 2).startswith(b"Return-Path: <a@client.test>\n")
    with served.smtp() as client:
        client.ehlo()
        client.mail("a@client.test", ["SMTPUTF8"])
        client.command_encoding = "utf-8"
        assert client.rcpt("κανείς@bücher.test")[0] == 550
    if clients.POSTFIX is not None and os.geteuid() == 0:
        with clients.Postfix(open_folder / "postfix", served.port("smtp"), tls=False) as postfix:
            postfix.send("jürgen@bücher.example", [international], bytes(message))
            octets = stored(served, 3, postfix.said)
            assert octets.startswith("Return-Path: <jürgen@".encode())


def test_an_address_beyond_ascii_needs_the_extension(served, international):
    """Who does not say SMTPUTF8 is told so, and smtplib refuses before it sends."""
    with served.smtp() as client:
        client.ehlo()
        client.mail(SENDER)
        client.command_encoding = "utf-8"
        code, words = client.rcpt(international)
        assert (code, words[:5]) == (553, b"5.6.7")
    with served.smtp() as client:
        client.helo()
        with pytest.raises(smtplib.SMTPNotSupportedError):
            client.send_message(international_message(international))


@pytest.mark.parametrize("path", ["postmaster", "PostMaster", "postmaster@example.test", "POSTMASTER@mx.house.test"])
def test_the_postmaster_is_always_reached(served, path):
    """RFC 5321 4.5.1: without a domain, and at every domain that we have, in any case, though nobody made such a mailbox."""
    before = len(served.messages("postmaster@mx.house.test"))
    served.send(path, CONTENT, reverse_path="")
    served.wait_for_messages("postmaster@mx.house.test", before + 1)
