"""Mail that is forwarded to other hosts, what comes back of it, and what nobody may send there."""

import email
import email.policy
import json
import re
import smtplib
import urllib.request
from http.cookiejar import CookieJar
from urllib.parse import urlencode, urlsplit

import pytest

from tests.fakes.mx import Manners
from tests.fakes.zone import Zone
from tests.fixtures.house import HOST_NAME, House, wait_until
from tests.fixtures.served import PATIENT
from tests.journeys.test_out import World

pytestmark = pytest.mark.journey

BOB, SUE, TEAM = "bob@house.example", "sue@signed.example", "team@house.example"
AWAY = "away@house.example"
ANN = "Ann@else.example"  # a stranger
CUSTOMER, STRANGER = "127.0.0.7", "127.0.0.9"  # an address that may relay, and one that may not
CONTENT = (
    b"DKIM-Signature: v=1; a=rsa-sha256; d=else.example; s=x; h=From; bh=;\r\n\tb=\r\n"
    b"From: Ann@else.example\r\nSubject: forwarded\r\n\r\nbody  \r\n\r\n.. with dots\r\n"
)
BOUNCE = b"From: postmaster@away.example\r\nTo: Ann@else.example\r\nSubject: failed\r\n\r\nsorry\r\n"


@pytest.fixture(scope="module")
def world():
    with Zone() as zone:
        world = World(zone)
        yield world
        world.close()


@pytest.fixture(scope="module")
def stubs(world):
    """The sender's host, and the one that is forwarded to."""
    return world.host("else.example"), world.host("away.example")


@pytest.fixture(scope="module")
def running(world, stubs, tmp_path_factory):
    settings = PATIENT | {
        "dns.servers": f'["{world.zone.address}"]', "outbound.port": str(world.port), "outbound.allow_loopback": "true",
        "smtpd.relay_clients": f'["{CUSTOMER}/32"]', "smtpd.allow_clients": '["127.0.0.0/8"]',
    }  # fmt: skip
    with House(tmp_path_factory.mktemp("forwarding") / "house", settings=settings, panel=True) as house:
        for domain in ("house.example", "signed.example"):
            house.add_domain(domain)
        house.postern("domain", "set", "signed.example", "--batv", "--language", "de")
        for address in (BOB, SUE):
            house.add_mailbox(address)
        house.postern("forward", "set", BOB, "Bob@away.example")
        house.add_alias(TEAM, BOB, "x@away.example")
        house.add_alias(AWAY, "x@away.example")
        house.wait_until_known(AWAY)
        yield house


@pytest.fixture
def house(running):
    running.turn_page()
    return running


def send(house, to, content, reverse_path=ANN, client=STRANGER):
    with smtplib.SMTP("127.0.0.1", house.port("smtp"), "client.test", 30, (client, 0)) as smtp:
        smtp.sendmail(reverse_path, [to], content)


def answer(house, to, reverse_path=""):
    """What a stranger hears."""
    with smtplib.SMTP("127.0.0.1", house.port("smtp"), "client.test", 30, (STRANGER, 0)) as smtp:
        smtp.ehlo()
        smtp.mail(reverse_path)
        code, said = smtp.rcpt(to)
    return code, said.decode()


def failing(house):
    """Bob's dead targets, as he is shown them."""
    return json.loads(house.postern("--json", "forward", "show", BOB).stdout).get("failing")


def taken(stub, house, count):
    """The return path and the content of the *count*th message that *stub* took."""

    def found():
        all_taken = [
            (command, content)
            for heard in stub.heard
            for command, content in zip(
                [line for line in heard.commands if line.startswith(b"MAIL")], heard.contents, strict=False
            )
        ]
        return all_taken[count - 1] if len(all_taken) >= count else None

    command, content = wait_until(found, 20, lambda: f"{[heard.commands for heard in stub.heard]} {house.said()}")
    return re.search(rb"<(.*?)>", command)[1].decode(), content


def test_a_forwarded_message_goes_out_as_it_came_and_its_bounce_comes_home(house, stubs):
    """Byte for byte, so that its signature holds; under our name; with a copy here. Then the other host gives up on it."""
    home, away = stubs
    send(house, BOB, CONTENT)
    return_path, content = taken(away, house, 1)
    assert re.fullmatch(r"SRS0=[a-z2-7]{8}=[a-z2-7]{2}=else\.example=Ann@.*", return_path)
    assert content.endswith(CONTENT)
    assert content.removesuffix(CONTENT).count(b"\r\nReceived:") + content.startswith(b"Received:") == 1
    house.wait_for_messages(BOB)
    assert answer(house, return_path, "somebody@away.example") == (550, "5.1.1 No such mailbox here")
    assert answer(house, return_path.replace("Ann@", "Eve@"))[0] == 550
    send(house, return_path, BOUNCE, reverse_path="")
    null, content = taken(home, house, 1)
    assert null == ""
    assert content.endswith(BOUNCE)
    assert b"RCPT TO:<Ann@else.example>" in [line.partition(b" NOTIFY")[0] for line in home.heard[0].commands]


def test_what_the_other_host_sends_back_ends_at_the_second_pass(house, stubs):
    """Under whatever return path; who wrote it hears why, and the other host has it once."""
    home, away = stubs
    counts = [sum(len(heard.contents) for heard in stub.heard) for stub in stubs]
    send(house, BOB, CONTENT)
    return_path, content = taken(away, house, counts[1] + 1)
    send(house, BOB, b"Received: by away.example; Fri, 15 Jan 2027 08:00:00 +0000\r\n" + content, return_path)
    _, bounce = taken(home, house, counts[0] + 1)
    assert b"5.4.6" in bounce
    assert sum(len(heard.contents) for heard in away.heard) == counts[1] + 1


def test_an_alias_leads_in_and_out(house, stubs):
    """Each target once, and a bounce that is forwarded stays one."""
    away = stubs[1]
    before = sum(len(heard.contents) for heard in away.heard)
    send(house, TEAM, CONTENT, reverse_path="")
    assert taken(away, house, before + 1)[0] == ""


def test_what_is_too_long_for_a_return_path_comes_home_by_a_token(house, stubs):
    """RFC 5321 4.5.3.1.1: 64 octets."""
    home, away = stubs
    count = [sum(len(heard.contents) for heard in stub.heard) for stub in stubs]
    sender = "x" * 60 + "@else.example"
    send(house, BOB, CONTENT, reverse_path=sender)
    return_path, _ = taken(away, house, count[1] + 1)
    assert len(return_path.partition("@")[0]) <= 64
    send(house, return_path, BOUNCE, reverse_path="")
    taken(home, house, count[0] + 1)
    commands = [line for heard in home.heard for line in heard.commands]
    assert any(line.startswith(b"RCPT TO:<" + sender.encode()) for line in commands)


def test_a_target_that_refuses_is_told_to_the_sender_and_a_sender_who_refuses_to_the_postmaster(house, stubs):
    """The notification goes to the sender, not to our own return path; when nobody takes that, it ends with us.

    Whoever forwards sees which target is dead, until he chooses anew.
    """
    home, away = stubs
    count = sum(len(heard.contents) for heard in home.heard)
    away.manners.answers = {b"RCPT": b"550 5.1.1 no such user"}
    try:
        send(house, BOB, CONTENT)
        null, told = taken(home, house, count + 1)
        assert null == ""
        assert b"Status: 5.1.1" in told
        assert b"Diagnostic-Code: smtp; 550 5.1.1 no such user" in told
        shown = wait_until(lambda: failing(house), 30, house.said)
        assert shown == {"Bob@away.example": "5.1.1 550 5.1.1 no such user"}
        home.manners.answers = {b"RCPT": b"550 5.7.1 no bounces here"}
        send(house, BOB, CONTENT)
        (path,) = house.wait_for_messages(f"postmaster@{HOST_NAME}")
        assert b"no bounces here" in path.read_bytes()
    finally:
        home.manners, away.manners = Manners(), Manners()

    def chosen_anew():
        house.postern("forward", "set", BOB, "Bob@away.example")
        return failing(house) is None  # The word of the second message's failure may come between the two.

    wait_until(chosen_anew, 30, house.said)


def test_a_forged_bounce_is_refused_and_a_real_one_comes_home(house, stubs):
    """The domain signs its return paths; ordinary mail needs no tag."""
    away = stubs[1]
    count = sum(len(heard.contents) for heard in away.heard)
    send(house, "x@away.example", CONTENT, reverse_path=SUE, client=CUSTOMER)
    return_path, _ = taken(away, house, count + 1)
    assert re.fullmatch(r"prvs=\d{4}[0-9a-f]{6}=sue@signed\.example", return_path)
    code, said = answer(house, SUE)
    assert (code, said[:5]) == (550, "5.7.1")
    assert answer(house, return_path.replace("=sue@", "=bob@"))[0] == 550
    assert answer(house, SUE, ANN)[0] == 250
    send(house, return_path, BOUNCE, reverse_path="")
    (path,) = house.wait_for_messages(SUE)
    assert b"sorry" in path.read_bytes()


def test_a_notification_to_one_of_ours_is_in_the_language_of_her_domain(house, stubs):
    """Signed or not: what is ours needs no tag to come home."""
    away = stubs[1]
    before = len(house.messages(SUE))
    away.manners.answers = {b"RCPT": b"550 5.1.1 no such user"}
    try:
        send(house, "gone@away.example", CONTENT, reverse_path=SUE, client=CUSTOMER)
        path = house.wait_for_messages(SUE, before + 1)[-1]
        assert b"Subject: Ihre Nachricht konnte nicht zugestellt werden" in path.read_bytes()
    finally:
        away.manners = Manners()


def call(house, key, method, path, body):
    """The API, as a customer's program uses it."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    url = f"http://127.0.0.1:{house.port('panel')}/api/v1{path}"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method=method)
    with urllib.request.urlopen(request, timeout=20) as response:
        return json.load(response)


def agree(house, link):
    """Somebody without an account follows the link, reads, and presses the button."""
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    page = f"http://127.0.0.1:{house.port('panel')}{urlsplit(link).path}"
    with browser.open(page, timeout=20) as response:
        shown = response.read().decode()
    token = re.search(r'name="csrf" value="([0-9a-f]{40})"', shown)[1]
    with browser.open(page, urlencode({"csrf": token}).encode(), timeout=20) as response:
        return shown, response.read().decode()


def test_nobody_elsewhere_gets_anything_before_he_agreed(house, stubs):
    """A customer forwards to another host: it is asked by mail, and nothing else goes there until the link was followed."""
    away = stubs[1]
    count = sum(len(heard.contents) for heard in away.heard)
    tenant = json.loads(house.postern("--json", "tenant", "add", "Customer").stdout)["id"]
    house.postern("domain", "add", "customer.example", "--tenant", str(tenant))
    key = house.api_key("--tenant", str(tenant))
    carl, target = "carl@customer.example", "Carl@away.example"
    call(house, key, "POST", "/mailboxes", {"address": carl})
    house.wait_until_known(carl)
    told = call(house, key, "PUT", f"/mailboxes/{carl}/forwarding", {"targets": [target], "keep_copy": False})
    assert told["waiting"] == [target]
    null, content = taken(away, house, count + 1)
    assert null == ""
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert (message["To"], message["Auto-Submitted"]) == (target, "auto-generated")
    link = re.search(r"https://\S+", message.get_content())[0]
    assert link.startswith(f"https://{HOST_NAME}/consent/")
    send(house, carl, CONTENT)
    house.wait_for_messages(carl)
    published = len(house.events("published"))
    shown, agreed = agree(house, link)
    assert carl in shown
    assert "Yes, send it on to me" in shown
    assert "You agreed" in agreed
    wait_until(lambda: len(house.events("published")) > published, 30, house.said)
    send(house, carl, CONTENT)
    assert taken(away, house, count + 2)[1].endswith(CONTENT)
    assert sum(len(heard.contents) for heard in away.heard) == count + 2


def test_a_right_that_is_taken_away_ends_forwarding_at_once(house, stubs):
    """What was forwarded before stays at home, and an alias that leads nowhere else is unknown."""
    away = stubs[1]
    count = sum(len(heard.contents) for heard in away.heard)
    house.postern("tenant", "set", "operator", "--no-forwards-outside")
    try:
        wait_until(lambda: answer(house, AWAY)[0] == 550, 30, house.said)
        before = len(house.messages(BOB))
        send(house, BOB, CONTENT)
        house.wait_for_messages(BOB, before + 1)
        assert sum(len(heard.contents) for heard in away.heard) == count
    finally:
        house.postern("tenant", "set", "operator", "--forwards-outside")


def wait_until_all_is_in_force(house, address):
    """What was changed before *address* was made is, when that is known."""
    house.add_mailbox(address)
    house.wait_until_known(address)


SUBJECT = b"Subject: =?utf-8?q?Your_Inv?= =?utf-8?q?oice?=\r\n"
INVOICE = b"From: Ann@else.example\r\nTo: sorted@house.example\r\n" + SUBJECT + b"\r\nbody  \r\n.\r\n"


def test_only_what_meets_the_conditions_goes_on_and_all_else_stays(house, stubs):
    """The header is judged by who holds nothing, and the content goes on byte for byte."""
    _, away = stubs
    sorted_ = "sorted@house.example"
    house.add_mailbox(sorted_)
    house.postern("forward", "set", sorted_, "Bob@away.example", "--no-keep-copy", "--subject", "INVOICE", "--no-spam")
    wait_until_all_is_in_force(house, "later@house.example")
    before = sum(len(heard.contents) for heard in away.heard)
    send(house, sorted_, INVOICE)
    return_path, content = taken(away, house, before + 1)
    assert return_path.startswith("SRS0=")
    assert content.endswith(INVOICE)
    for other in (INVOICE.replace(b"oice", b"ention"), b"X-Spam-Flag: YES\r\n" + INVOICE):
        send(house, sorted_, other)
    kept = house.wait_for_messages(sorted_, 2)
    assert all(b"Subject: =?utf-8?q?Your_Inv?=" in path.read_bytes() for path in kept)
    assert sum(len(heard.contents) for heard in away.heard) == before + 1


def test_a_mailbox_answers_a_stranger_once_and_only_what_he_wrote_to_it(house, stubs):
    """To the reverse-path, with the null one; not a list, not a second time, and the message lies in the mailbox each time."""
    home, _ = stubs
    gone = "gone@house.example"
    house.add_mailbox(gone)
    house.postern("autoreply", "set", gone, "Back on Monday.")
    wait_until_all_is_in_force(house, "last@house.example")
    before = sum(len(heard.contents) for heard in home.heard)
    written = (
        b"From: Ann@else.example\r\nTo: Gone <GONE@house.example>\r\nSubject: hi\r\nMessage-ID: <1@else.example>\r\n"
    )
    for field in (b"List-Id: <x>\r\n", b"", b""):
        send(house, gone, field + written + b"\r\nhello\r\n")
    return_path, content = taken(home, house, before + 1)
    answered = email.message_from_bytes(content)
    assert (return_path, answered["From"], answered["Auto-Submitted"]) == ("", "<gone@house.example>", "auto-replied")
    assert (answered["Subject"], answered["In-Reply-To"]) == ("Auto: hi", "<1@else.example>")
    assert answered.get_payload() == "Back on Monday.\r\n"
    house.wait_for_messages(gone, 3)
    withheld = wait_until(lambda: len(found := house.events("reply-withheld")) == 2 and found, 20, house.said)
    assert sorted(each["why"] for each in withheld) == ["answered-before", "list"]
    assert sum(len(heard.contents) for heard in home.heard) == before + 1
