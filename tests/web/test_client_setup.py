"""What mail programs are told: on the page, in the files they look for themselves, and in Apple's profile - everywhere the same."""

import dataclasses
import plistlib
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator

import pytest

from appliance.config import Clients, Endpoint, Listen
from appliance.database.session import unit_of_work
from appliance.services import domains, mailboxes
from appliance.services.actor import Actor
from appliance.services.relays import Route
from tests.fixtures.panel import HOST, SYSTEM, Browser, Office

ANNA = "anna@shop.test"
SETUP = f"/mailboxes/{ANNA}/setup"
CONFIG, PROFILE = "/mail/config-v1.1.xml", "/mail/profile.mobileconfig"
OUTLOOK = (
    '<?xml version="1.0"?><Autodiscover xmlns="x"><Request><EMailAddress>{}</EMailAddress></Request></Autodiscover>'
)


@pytest.fixture
def house(office: Office) -> Iterator[Office]:
    """People read their mail at imap.example.net."""
    with unit_of_work(office.engine) as session:
        domains.create(session, "shop.test", actor=SYSTEM)
        domains.create(session, "shop.example", actor=SYSTEM, alias_of="shop.test")
        domains.create(session, "relay.test", actor=SYSTEM, route=Route("mail.relay.test", "list"))
        mailboxes.create(session, ANNA, actor=SYSTEM, sealed_hash=office.sealer.seal_password("a calm long password"))
    wiring = office.app.state.wiring
    clients = Clients(imap=Endpoint("imap.example.net", 993))
    office.app.state.wiring = dataclasses.replace(
        wiring, settings=wiring.settings.model_copy(update={"clients": clients})
    )
    yield office
    office.app.state.wiring = wiring


def servers(xml: str) -> list[tuple[str, ...]]:
    root = ET.fromstring(xml)
    names = ("hostname", "port", "socketType", "username", "authentication")
    ways = [way for way in root[0] if way.tag.endswith("Server")]
    return [(way.tag, way.attrib["type"], *(way.findtext(name) or "" for name in names)) for way in ways]


def test_thunderbird_is_told_by_address_and_by_host(house: Office) -> None:
    client = house.client().client
    told = client.get(f"{CONFIG}?emailaddress={ANNA}")
    assert told.headers["content-type"].startswith("text/xml")
    assert servers(told.text) == [
        ("incomingServer", "imap", "imap.example.net", "993", "SSL", "%EMAILADDRESS%", "password-cleartext"),
        ("outgoingServer", "smtp", HOST, "465", "SSL", "%EMAILADDRESS%", "password-cleartext"),
        ("outgoingServer", "smtp", HOST, "587", "STARTTLS", "%EMAILADDRESS%", "password-cleartext"),
    ]
    host = {"host": "autoconfig.shop.test"}
    assert client.get("/.well-known/autoconfig/mail/config-v1.1.xml", headers=host).text == told.text


def test_whether_a_mailbox_is_there_is_told_to_nobody(house: Office) -> None:
    client = house.client().client
    for path in (CONFIG, PROFILE):
        here, away = (client.get(f"{path}?emailaddress={name}@shop.test") for name in ("anna", "nobody"))
        assert here.status_code == away.status_code == 200
        assert "Anna" not in here.text
    assert client.get(f"{CONFIG}?emailaddress=x@shop.example").status_code == 200


@pytest.mark.parametrize("name", ["x@elsewhere.test", "x@relay.test", "x@unproved.test", "nonsense", "%00@x", ""])
def test_other_domains_are_none_of_ours(house: Office, name: str) -> None:
    with unit_of_work(house.engine) as session:
        tenant = domains.get(session, "shop.test", actor=SYSTEM).tenant_id
        domains.create(session, "unproved.test", actor=Actor("customer", "jan", tenant), tenant_id=tenant)
    client = house.client().client
    told = (
        client.get(f"{CONFIG}?emailaddress={name}"),
        client.post("/autodiscover/autodiscover.xml", content=OUTLOOK.format(name)),
    )
    assert {answer.status_code for answer in told} <= {404, 422}


def test_outlook_is_told_what_it_posts_for(house: Office) -> None:
    client = house.client().client
    path, capital = "/autodiscover/autodiscover.xml", "/Autodiscover/Autodiscover.xml"
    told = client.post(path, content=OUTLOOK.format(ANNA))
    assert client.post(capital, content=OUTLOOK.format(ANNA)).text == told.text
    space = "{http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a}"
    found = [
        tuple(way.findtext(space + name) for name in ("Type", "Server", "Port", "LoginName", "SSL"))
        for way in ET.fromstring(told.text).iter(f"{space}Protocol")
    ]
    assert found == [("IMAP", "imap.example.net", "993", ANNA, "on"), ("SMTP", HOST, "465", ANNA, "on")]
    assert client.post(path, content="x" * 20_000).status_code == 404
    assert client.post(path, content=b"\xff<EMailAddress>&amp;</EMailAddress>").status_code == 422


def test_apples_profile_is_whole_and_stays_the_same(house: Office) -> None:
    client = house.client().client
    told = client.get(f"{PROFILE}?emailaddress={ANNA}")
    assert told.headers["content-type"] == "application/x-apple-aspen-config"
    whole = plistlib.loads(told.content)
    (account,) = whole["PayloadContent"]
    assert (whole["PayloadType"], account["PayloadType"]) == ("Configuration", "com.apple.mail.managed")
    assert account["PayloadIdentifier"].startswith(whole["PayloadIdentifier"] + ".")
    assert account["PayloadUUID"] != whole["PayloadUUID"]
    assert {account[f"{way}MailServerUsername"] for way in ("Incoming", "Outgoing")} == {ANNA}
    assert (account["IncomingMailServerHostName"], account["IncomingMailServerPortNumber"]) == ("imap.example.net", 993)
    assert (account["OutgoingMailServerHostName"], account["OutgoingMailServerPortNumber"]) == (HOST, 465)
    assert not {"IncomingPassword", "OutgoingPassword"} & set(account)
    assert client.get(f"{PROFILE}?emailaddress=Anna@SHOP.test").text.count(whole["PayloadUUID"]) == 1
    assert whole["PayloadUUID"] not in client.get(f"{PROFILE}?emailaddress=ben@shop.test").text


def test_the_page_shows_the_same_values_and_the_way_to_the_profile(house: Office) -> None:
    page = house.client().log_in().get(SETUP).text
    values = (r"imap\.example\.net", "993</code> with SSL/TLS", "465</code> with SSL/TLS", "587</code> with STARTTLS")
    assert re.search(".*?".join(values), page, re.DOTALL)
    assert f'href="https://{HOST}{PROFILE}?emailaddress=anna%40shop.test"' in page
    assert "<svg" in page.partition('class="qr"')[2]
    assert "style=" not in page


def test_without_a_server_to_read_from_nothing_is_promised(office: Office) -> None:
    with unit_of_work(office.engine) as session:
        domains.create(session, "shop.test", actor=SYSTEM)
        mailboxes.create(session, ANNA, actor=SYSTEM)
    browser: Browser = office.client().log_in()
    page = browser.get(SETUP).text
    assert 'class="qr"' not in page
    assert "your provider tells you" in page
    for answer in (browser.get(f"{CONFIG}?emailaddress={ANNA}"), browser.get(f"{PROFILE}?emailaddress={ANNA}")):
        assert answer.status_code == 404


def test_a_port_that_is_closed_is_not_named(house: Office) -> None:
    wiring = house.app.state.wiring
    settings = wiring.settings.model_copy(update={"listen": Listen(submissions=[], submission=[])})
    house.app.state.wiring = dataclasses.replace(wiring, settings=settings)
    page = house.client().log_in().get(SETUP).text
    assert "takes no mail from mail programs" in page
    assert house.client().client.get(f"{PROFILE}?emailaddress={ANNA}").status_code == 404
    assert "outgoingServer" not in house.client().client.get(f"{CONFIG}?emailaddress={ANNA}").text
