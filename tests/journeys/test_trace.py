"""What happened to a message, as the operator hears it: one that came back to its sender, and one that was never taken.

And what would happen to one: the explanation and the port say the same, while the house runs and when it does not.
"""

import contextlib
import json
import signal
import smtplib
import urllib.request

import pytest

from tests.fixtures.house import House, wait_until
from tests.fixtures.served import DOMAIN, PATIENT

pytestmark = pytest.mark.journey

SENDER, RECIPIENT, NOBODY = f"ann@{DOMAIN}", "joe@gone.test", "nobody@gone.test"
CONTENT = b"From: <ann@example.test>\r\nSubject: a word of nobody else's business\r\n\r\nsecret body\r\n"


def api(house: House, key: str, path: str) -> dict[str, object]:
    """What web reads of the store that another uid writes."""
    asked = urllib.request.Request(
        f"http://127.0.0.1:{house.port('panel')}/api/v1{path}", headers={"Authorization": f"Bearer {key}"}
    )
    with urllib.request.urlopen(asked, timeout=10) as answer:
        return json.load(answer)


def test_a_message_is_followed_until_its_sender_was_told(tmp_path) -> None:
    """Through client, queue, failure and notification, by address and by the id that the client was told."""
    with House(tmp_path / "house", settings=PATIENT, panel=True) as house:
        house.add_domain(DOMAIN)
        house.add_mailbox(SENDER)
        house.add_domain("gone.test")
        house.add_mailbox(RECIPIENT)
        for address in (SENDER, RECIPIENT):
            house.wait_until_known(address)
        with contextlib.suppress(smtplib.SMTPRecipientsRefused):
            house.send(NOBODY, CONTENT, SENDER)
        house.kill("scheduler", number=signal.SIGSTOP)
        house.send(RECIPIENT, CONTENT, SENDER)
        house.postern("mailbox", "remove", RECIPIENT)
        wait_until(lambda: house.rcpt(RECIPIENT)[0] == 550, 30, house.said)
        house.kill("scheduler", number=signal.SIGCONT)
        house.wait_for_messages(SENDER)
        wait_until(lambda: len(house.events("delivered")) == 1, 30, house.said)

        told = house.postern("trace", "--from", SENDER, "--to", RECIPIENT).stdout
        steps = ["connected from 127.0.0.1", "accepted as ", "failed for good (5.1.1", "notification ", "delivered to"]
        places = [told.find(step) for step in steps]
        assert places == sorted(places), told
        assert -1 not in places, told
        assert "secret" not in told
        assert "business" not in told

        [story] = json.loads(house.postern("trace", "--to", RECIPIENT, "--from", SENDER, "--json").stdout)
        original, notification = story["queue_ids"]
        by_id = house.postern("trace", "--id", original).stdout
        assert notification in by_id
        assert f"refused: 550 5.1.1 from <{SENDER}> to <{NOBODY}>" in house.postern("trace", "--to", NOBODY).stdout
        for address in (SENDER, NOBODY, "stranger@nowhere.test"):
            told = json.loads(house.postern("explain", "--from", "a@b.test", "--to", address, "--json").stdout)
            rcpt = next(each for each in told["dialog"] if each["command"].startswith("RCPT"))
            code, text = house.rcpt(address)
            assert rcpt["replies"] == [f"{code} {text}"]
        key = house.api_key()
        failed = "/messages?recipient=joe@gone.test&state=failed"
        # tracer reads the log now and then.
        listed = wait_until(lambda: api(house, key, failed)["items"], 30, house.said)
        assert [(each["id"], each["state"]) for each in listed] == [(original, "failed")]

        def events() -> list[str]:
            return [each["event"] for each in api(house, key, f"/messages/{original}")["events"]]

        wait_until(lambda: "bounced" in events(), 30, house.said)
        assert events() == ["connected", "accepted", "failed", "bounced"]
        nothing = house.postern("trace", "--to", "never@nowhere.test", check=False)
        assert (nothing.returncode, nothing.stdout) == (1, "")
        assert house.stop() == 0
        assert "550 5.1.1" in house.postern("explain", "--from", "a@b.test", "--to", NOBODY).stdout
