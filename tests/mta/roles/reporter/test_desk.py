"""Reporter at its channels: who is told, when, and what (RFC 8460)."""

import email
import gzip
import json
import os

import pytest

from mta.message.dkim.canonical import BodyHash
from mta.roles.reporter import desk
from mta.roles.reporter.counts import DAY
from mta.wire import messages as m
from tests.mta.roles.reporter._rig import CONTACT, DOMAIN, NOW, SIGNATURE, TODAY, Rig, file_in


@pytest.fixture
def rig():
    with Rig() as rig:
        yield rig


def report_in(content: bytes):
    """The mail, and the JSON in it."""
    mail = email.message_from_bytes(content)
    _, part = mail.get_payload()
    return mail, json.loads(gzip.decompress(part.get_payload(decode=True)))


def test_a_day_is_told_of_as_rfc_8460_wants_it(rig):
    """Header, parts, names, and the counts: what went well in the summary, what did not by host and result."""
    rig.seen(sessions=5)
    rig.seen(result=b"certificate-expired", sessions=2)
    rig.seen(policy=b"no-policy-found", mx=b"mx2.remote.test", sessions=3)
    rig.serve()
    ((recipient, content),) = rig.offered
    assert recipient == b"tls@remote.test"
    assert content.startswith(SIGNATURE)
    mail, told = report_in(content)
    assert mail.get_content_type() == "multipart/report"
    assert mail.get_param("report-type") == "tlsrpt"
    assert (mail["TLS-Report-Domain"], mail["TLS-Report-Submitter"]) == ("remote.test", "example.net")
    assert (mail["From"], mail["To"], mail["TLS-Required"]) == ("<tls-reports@example.net>", "<tls@remote.test>", "No")
    words = " ".join(mail["Subject"].split())
    assert words == f"Report Domain: remote.test Submitter: example.net Report-ID: <{told['report-id']}@example.net>"
    people, machines = mail.get_payload()
    assert people.get_content_type() == "text/plain"
    assert machines.get_content_type() == "application/tlsrpt+gzip"
    begin = (TODAY - 1) * DAY
    name = f"example.net!remote.test!{begin}!{begin + DAY - 1}!{told['report-id']}.json.gz"
    assert machines.get_filename() == name
    sts, none = told["policies"]
    assert told["contact-info"] == CONTACT.decode()
    assert told["date-range"] == {"start-datetime": "2024-10-03T00:00:00Z", "end-datetime": "2024-10-03T23:59:59Z"}
    assert sts["summary"] == {"total-successful-session-count": 5, "total-failure-session-count": 2}
    assert sts["policy"] == {
        "policy-type": "sts", "policy-domain": "remote.test", "mx-host": ["mx.remote.test", "*.remote.test"],
        "policy-string": ["version: STSv1", "mode: enforce", "mx: mx.remote.test", "mx: *.remote.test"],
    }  # fmt: skip
    assert sts["failure-details"] == [
        {"result-type": "certificate-expired", "receiving-mx-hostname": "mx.remote.test", "failed-session-count": 2}
    ]
    assert none["policy"] == {"policy-type": "no-policy-found", "policy-domain": "remote.test"}
    assert "failure-details" not in none
    ((name, pairs),) = rig.told()
    assert (name, pairs[b"sessions"], pairs[b"failed"]) == (b"tls-reported", b"10", b"2")
    rig.now += 2 * 3600
    rig.serve()
    assert len(rig.offered) == 1, "once"


def test_the_records_that_dane_went_by_are_named(rig):
    """Where a validating resolver vouches for them."""
    rig.records[b"_25._tcp.mx.remote.test", b"TLSA"] = b"3 1 1 abcd"
    rig.seen(policy=b"tlsa")
    rig.serve()
    (entry,) = report_in(rig.offered[0][1])[1]["policies"]
    assert entry["policy"]["policy-string"] == ["3 1 1 abcd"]
    assert entry["policy"]["mx-host"] == ["mx.remote.test"]


def test_what_is_signed_is_what_is_sent(rig):
    """The header as it stands behind the signature, and the hash of the body as it comes."""
    rig.seen()
    rig.serve()
    header, _, body = rig.offered[0][1].removeprefix(SIGNATURE).partition(b"\r\n\r\n")
    hashed = BodyHash()
    hashed.update(body)
    assert (rig.signed.header, rig.signed.body_hash) == (header + b"\r\n", hashed.digest())


def test_nobody_is_told_of_today_nor_before_the_house_s_own_moment(rig):
    """Four hours are spread over all houses (RFC 8460 4.1); each keeps its own."""
    rig.seen()
    rig.seen(day=TODAY)
    rig.now = TODAY * DAY + desk.delay_of(b"mx.example.net") - 1.0
    rig.serve()
    assert rig.asked == []
    rig.now += 2.0
    rig.serve()
    assert len(rig.offered) == 1
    assert 0 <= desk.delay_of(b"mx.example.net") < desk.SPREAD_SECONDS


@pytest.mark.parametrize("record", [None, b"v=spf1 -all", b"v=TLSRPTv1; rua=https://reports.test/"])
def test_who_does_not_ask_for_it_is_not_told(rig, record):
    rig.records[b"_smtp._tls." + DOMAIN, b"TXT"] = record
    rig.seen()
    rig.serve()
    rig.serve()
    assert [name for name, _ in rig.asked] == ["resolver"], "asked once, and forgotten"


def test_each_address_is_told_once_also_when_the_second_waits(rig):
    rig.records[b"_smtp._tls." + DOMAIN, b"TXT"] = b"v=TLSRPTv1; rua=mailto:a@x.test,mailto:b@x.test"
    rig.seen()
    replies = iter([None, m.Declined(0, 452, b"4.3.1", b"full"), None])
    answer = rig.answer

    def by_turns(name, channel, message):
        if isinstance(message, m.OfferReport):
            rig.reply = next(replies)
        answer(name, channel, message)

    rig.answer = by_turns
    rig.serve()
    rig.now += desk.RETRY_SECONDS + 1
    rig.serve()
    assert [recipient for recipient, _ in rig.offered] == [b"a@x.test", b"b@x.test", b"b@x.test"]
    assert [name for name, _ in rig.told()] == [b"tls-reported"] * 2


@pytest.mark.parametrize("trouble", ["resolver", "signer", "enqueuer", "gone"])
def test_what_cannot_be_told_now_is_told_a_quarter_of_an_hour_later(rig, trouble):
    """Whoever of its neighbours defers, or is away."""
    rig.seen()
    if trouble == "resolver":
        rig.records[b"_smtp._tls." + DOMAIN, b"TXT"] = b"failed"
    elif trouble == "signer":
        rig.word = b"later"
    elif trouble == "enqueuer":
        rig.reply = m.Declined(0, 452, b"4.3.1", b"full")
    else:
        rig.ends.pop("enqueuer").close()
        rig.settle()
    rig.serve()
    assert rig.told() == []
    rig.records[b"_smtp._tls." + DOMAIN, b"TXT"] = b"v=TLSRPTv1; rua=mailto:tls@remote.test"
    rig.word, rig.reply = b"signed", None
    rig.ends.setdefault("enqueuer", rig.server("enqueuer") if trouble == "gone" else None)
    rig.serve()
    assert rig.told() == [], "not before"
    rig.now += desk.RETRY_SECONDS + 1
    rig.serve()
    assert [name for name, _ in rig.told()] == [b"tls-reported"]


@pytest.mark.parametrize("trouble", ["a day later", "no key", "refused"])
def test_what_can_not_be_told_at_all_is_dropped_aloud(rig, trouble):
    """Nobody believes a report without a signature, nor one of the day before yesterday (RFC 8460 3, 5.5)."""
    rig.seen()
    if trouble == "a day later":
        rig.now = NOW + DAY
    elif trouble == "no key":
        rig.word = b"none"
    else:
        rig.reply = m.Declined(0, 550, b"5.7.1", b"no")
    rig.serve()
    ((name, pairs),) = rig.told()
    assert (name, pairs[b"domain"]) == (b"tls-report-dropped", DOMAIN)
    rig.now += desk.RETRY_SECONDS + 1
    rig.serve()
    assert rig.told() == []


def test_many_domains_are_told_one_after_the_other(rig):
    """One that waits keeps nobody waiting."""
    names = [b"d%d.test" % number for number in range(20)]
    for name in names:
        rig.records[b"_smtp._tls." + name, b"TXT"] = b"v=TLSRPTv1; rua=mailto:tls@" + name
        rig.seen(domain=name)
    rig.records[b"_smtp._tls.d3.test", b"TXT"] = b"failed"
    rig.serve(rounds=400)
    assert [recipient for recipient, _ in rig.offered] == [b"tls@" + name for name in names if name != b"d3.test"]


def test_what_was_counted_outlasts_a_restart(tmp_path):
    file = file_in(tmp_path)
    with Rig(file) as before:
        before.seen(sessions=4)
        before.desk.keep()
    with Rig(file) as after:
        after.seen(sessions=1)
        after.serve()
        (entry,) = report_in(after.offered[0][1])[1]["policies"]
    assert entry["summary"]["total-successful-session-count"] == 5
    os.close(file)


def test_a_disk_that_refuses_is_told_of(tmp_path):
    file = file_in(tmp_path)
    with Rig(os.open(tmp_path / "seen", os.O_RDONLY)) as rig:
        rig.seen()
        rig.desk.keep()
        ((name, _),) = rig.told()
    assert name == b"tls-counts-not-kept"
    os.close(file)
