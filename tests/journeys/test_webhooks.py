"""A change in the house -> a tenant's web server: real roles, a receiver that checks signatures, and whoever is between killed."""

import base64
import hashlib
import hmac
import json
import os
import urllib.request

import pytest

from tests.fakes.receiver import Receiver, answering
from tests.fakes.zone import Zone
from tests.fixtures.authorities import Authority
from tests.fixtures.house import House, wait_until

pytestmark = pytest.mark.journey

HOST = "billing.example"


class Api:
    """The REST API with the operator's key."""

    def __init__(self, house):
        self._base, self._secret = f"http://127.0.0.1:{house.port('panel')}/api/v1", house.api_key()

    def __call__(self, method, path, body=None):
        headers = {"Authorization": f"Bearer {self._secret}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data=data, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None


class World:
    """The house, the receivers, and what they heard."""

    def __init__(self, house, receiver, silent):
        self.house, self.receiver, self.silent = house, receiver, silent
        self.api = Api(house)

    def told(self, kind="mailbox.created"):
        """Subjects, in the order in which the receiver heard of them first."""
        bodies = [json.loads(heard.body) for heard in self.receiver.heard]
        return list(dict.fromkeys(body["data"]["subject"] for body in bodies if body["type"] == kind))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("webhooks")
    authority = Authority()
    receiver = Receiver(folder, authority.give(HOST), answering(503), answering(204))
    silent = Receiver(folder, authority.give("silent.example"), lambda client: client.recv(1))
    hosts = f'["{HOST}:{receiver.port}", "silent.example:{silent.port}"]'
    with Zone({name: {"A": ["127.0.0.1"]} for name in (HOST, "silent.example", "private.example")}) as zone:
        settings = {
            "dns.servers": f'["{zone.address}"]', "outbound.authorities": f'"{authority.save(folder)}"',
            "outbound.webhook_hosts": hosts, "outbound.routes": '{ "away.example" = "127.0.0.1:1" }',
        }  # fmt: skip
        with House(folder / "house", settings=settings, panel=True) as house:
            house.add_domain("example.test")
            yield World(house, receiver, silent)
    receiver.close()
    silent.close()


@pytest.mark.must_show
def test_what_happens_is_told_signed_in_order_and_nothing_is_lost_in_a_restart(world):
    """Refused first, then with fetcher and compiler killed in the midst; and a receiver that is silent holds nobody up."""
    api, house = world.api, world.house
    api("POST", "/webhooks", {"url": f"https://silent.example:{world.silent.port}/"})
    made = api("POST", "/webhooks", {"url": f"https://{HOST}:{world.receiver.port}/hook", "types": ["mailbox."]})
    names = [f"m{number}@example.test" for number in range(12)]
    # What a killed compiler had claimed comes a minute later; in small that is tried without processes alone.
    victims = {3: "fetcher", 7: "compiler"} if os.environ.get("POSTERN_FULL") == "1" else {3: "fetcher"}

    def statuses():
        return [one["status"] for one in api("GET", f"/webhooks/{made['id']}/deliveries")["items"]]

    for number, name in enumerate(names):
        api("POST", "/mailboxes", {"address": name})
        if number in victims:
            wait_until(lambda: 503 in statuses(), 20, house.said)
            house.kill(victims[number])
    wait_until(lambda: world.told() == names, 100, lambda: f"{world.told()} {house.said()}")
    assert wait_until(lambda: world.silent.heard, 30, house.said)
    secret = base64.b64decode(made["secret"].removeprefix("whsec_"))
    for heard in world.receiver.heard:
        told = f"{heard.fields['webhook-id']}.{heard.fields['webhook-timestamp']}.".encode() + heard.body
        mac = base64.b64encode(hmac.digest(secret, told, hashlib.sha256)).decode()
        assert heard.fields["webhook-signature"] == f"v1,{mac}"
    assert statuses()[0] == 204


@pytest.mark.must_show
def test_a_name_that_leads_to_this_machine_is_not_called(world):
    """The operator has not listed it; and its owner may say at any time that it is there."""
    made = world.api("POST", "/webhooks", {"url": "https://private.example/"})
    path = f"/webhooks/{made['id']}"
    number = world.api("POST", f"{path}/test")["id"]
    wait_until(
        lambda: world.api("GET", f"{path}/deliveries/{number}")["detail"].startswith("its name"), 20, world.house.said
    )
    row = world.api("GET", f"{path}/deliveries/{number}")
    assert (row["status"], row["detail"], row["waits"]) == (None, "its name leads to no public address", False)


def test_what_waits_is_shown_and_changed_by_the_api(world):
    """Over a channel to scheduler; the message is for a host that nobody can reach."""
    api, house = world.api, world.house
    api("POST", "/aliases", {"address": "away@example.test", "targets": ["ann@away.example"]})
    house.wait_until_known("away@example.test")
    house.send("away@example.test", b"Subject: x\r\n\r\nbody\r\n")

    def waits():
        found = api("GET", "/queue?domain=example.test")["items"]
        return found[0] if found and found[0]["status"] else None

    message = wait_until(waits, 30, house.said)
    assert (message["forward_path"], message["state"]) == ("away@example.test", "waiting")
    path = f"/queue/{message['queue_id']}"
    assert api("POST", f"{path}/hold") == {"messages": 1}
    shown = api("GET", path)
    assert (shown["state"], shown["of_recipients"][0]["final_recipient"]) == ("held", "ann@away.example")
    assert api("POST", "/queue/release", {"domain": "example.test"}) == {"messages": 1}
    api("DELETE", path)
    wait_until(lambda: api("GET", "/queue")["items"] == [], 30, house.said)
