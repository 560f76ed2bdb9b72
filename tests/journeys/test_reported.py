"""A domain is told how TLS with its hosts went: what was counted yesterday is mailed to whom its record names, and signed."""

import email
import gzip
import json
import os
import time

import pytest

from mta.message.dkim.verifying import verify
from mta.places import Places
from mta.roles.reporter.__main__ import FILE, MAGIC, PLACE_OCTETS
from mta.roles.reporter.counts import DAY, Counts
from mta.roles.reporter.desk import delay_of
from mta.wire import messages as m
from tests.fakes.zone import Zone
from tests.fixtures.house import HOST_NAME, House, wait_until
from tests.fixtures.served import DOMAIN, PATIENT

pytestmark = [pytest.mark.journey]

ANN = f"ann@{DOMAIN}"
REPORTED = "remote.example"


@pytest.fixture(scope="module")
def zone():
    with Zone() as zone:
        zone.records[f"_smtp._tls.{REPORTED}"] = {"TXT": [f'"v=TLSRPTv1; rua=mailto:{ANN}"']}
        yield zone


@pytest.fixture(scope="module")
def house(zone, tmp_path_factory):
    settings = PATIENT | {"dns.servers": f'["{zone.address}"]', "outbound.tls_reports": f'"tls-reports@{DOMAIN}"'}
    with House(tmp_path_factory.mktemp("reported") / "house", settings=settings, submission=True) as house:
        house.add_domain(DOMAIN)
        house.add_mailbox(ANN)
        house.wait_until_known(ANN)
        wait_until(lambda: len(keys(house)) == 2, 20, house.said)
        yield house


def keys(house):
    """Records of the keys that sign, by name."""
    found = json.loads(house.postern("dkim", "show", DOMAIN, "--json").stdout)["keys"]
    return {key["record_name"].encode(): key["record"].encode() for key in found if key["state"] == "signing"}


def last_due():
    """The day that a house of this name tells of at this moment."""
    return (int(time.time()) - delay_of(HOST_NAME.encode())) // DAY - 1


def count(house, day):
    """Let the day have been; reporter reads it when it begins anew."""
    counts = Counts()
    for result, sessions in ((b"success", 7), (b"certificate-expired", 2)):
        counts.add(m.TlsSeen(day, REPORTED.encode(), b"no-policy-found", b"mx.remote.example", result, sessions), day)
    descriptor = os.open(house.state / FILE, os.O_RDWR)
    places = Places(descriptor, MAGIC, PLACE_OCTETS)
    places.load()
    places.store(counts.packed(places.room))
    os.close(descriptor)
    house.kill("reporter")


def test_who_asks_for_it_is_mailed_a_signed_report(house):
    """Over reporter, signer, enqueuer and a delivery like any other."""
    day = last_due()
    count(house, day)
    (path,) = house.wait_for_messages(ANN, seconds=30)
    content = path.read_bytes().replace(b"\n", b"\r\n")
    published = keys(house)
    words = [each.word for each in verify(content, lambda name: [published[name]], int(time.time()))]
    assert words == ["pass", "pass"]
    mail = email.message_from_bytes(content)
    assert (mail["Return-Path"], mail["TLS-Report-Domain"]) == ("<>", REPORTED)
    _, part = mail.get_payload()
    told = json.loads(gzip.decompress(part.get_payload(decode=True)))
    (entry,) = told["policies"]
    assert entry["summary"] == {"total-successful-session-count": 7, "total-failure-session-count": 2}
    assert told["date-range"]["start-datetime"] == time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime(day * DAY))
    (event,) = house.events("tls-reported")
    assert (event["domain"], event["recipient"], event["sessions"]) == (REPORTED, ANN, "9")
