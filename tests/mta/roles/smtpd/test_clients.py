"""Clients that others wrote, against a live smtpd."""

import asyncio
import shutil
import smtplib
import subprocess
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib
import pytest

from tests.fakes.smtpd_house import SmtpdHouse

TEXT = "Grüße\n.dot\n..dots\n\nend\n"


def message() -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "a@client.test", "joe@example.test", "hi"
    made.set_content(TEXT, cte="8bit")
    return made


def last(house: SmtpdHouse) -> tuple[dict[str, object], bytes]:
    return house.messages()[-1]


def test_smtplib(shared_smtpd: SmtpdHouse) -> None:
    """Python's own, with 8-bit content and dots."""
    with smtplib.SMTP("127.0.0.1", shared_smtpd.port, timeout=5) as client:
        client.send_message(message(), mail_options=["BODY=8BITMIME"])
        with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
            client.sendmail("a@client.test", ["unknown@example.test"], b"x")
        assert caught.value.recipients["unknown@example.test"][0] == 550
    envelope, content = last(shared_smtpd)
    assert TEXT.replace("\n", "\r\n").encode() in content
    assert envelope["options"] == b"BODY=8BITMIME"


def test_aiosmtplib(shared_smtpd: SmtpdHouse) -> None:
    """Two messages over one connection, one of them of several blocks."""
    before = len(shared_smtpd.messages())

    async def send() -> None:
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=shared_smtpd.port, timeout=5) as client:
            await client.send_message(message())
            await client.sendmail("a@client.test", ["joe@example.test"], b"y\r\n" * 100_000)

    asyncio.run(send())
    assert len(shared_smtpd.messages()) == before + 2
    assert last(shared_smtpd)[1] == b"y\r\n" * 100_000


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(shared_smtpd: SmtpdHouse, tmp_path: Path) -> None:
    """The line that `make run` prints."""
    (tmp_path / "mail").write_bytes(b"Subject: hi\r\n\r\n.hello\r\n")
    command = [
        "curl", "-sS", f"smtp://127.0.0.1:{shared_smtpd.port}/client.test", "--mail-from", "a@client.test",
        "--mail-rcpt", "joe@example.test", "--upload-file", str(tmp_path / "mail"),
    ]  # fmt: skip
    subprocess.run(command, check=True, timeout=20)
    assert last(shared_smtpd)[1] == b"Subject: hi\r\n\r\n.hello\r\n"


@pytest.mark.skipif(shutil.which("swaks") is None, reason="swaks is not installed")
def test_swaks(shared_smtpd: SmtpdHouse) -> None:
    """With a pipelined group, as swaks does it."""
    command = [
        "swaks", "--server", "127.0.0.1", "--port", str(shared_smtpd.port), "--from", "a@client.test", "--pipeline",
        "--to", "joe@example.test,ann@example.test", "--body", "hello",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stdout
    assert last(shared_smtpd)[0]["recipients"] == [b"joe@example.test", b"ann@example.test"]
