"""Postfix, Exim and OpenSMTPD take our mail, and it lies in their mailboxes as it was.

The first two under TLS only, with a certificate that is looked at. The third offers TLS and breaks each handshake, whoever makes
it: what goes there goes as far as it can without, which is what other hosts with such a fault get too.
"""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from mta.roles.remote.connection import Manner
from mta.roles.remote.hosts import Host
from mta.roles.remote.security import Contexts, Level, RouteGuard
from tests.fixtures.house import wait_until
from tests.fixtures.servers import EXIM, OPENSMTPD, POSTFIX, Exim, OpenSmtpd, Postfix, make_pair
from tests.mta.roles.remote._rig import Rig, tidy

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="real servers change their uids")
HERE = {Postfix: POSTFIX is not None, Exim: EXIM.exists(), OpenSmtpd: OPENSMTPD.exists()}
RELAYED = b"relayed"
HEAD = b"From: me@client.test\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@client.test>\r\n"
PLAIN = HEAD + b"Subject: to a real one\r\n\r\n.dot\r\n..two\r\n.\r\nlast\r\n"
EIGHT_BIT = HEAD + b"Subject: eight bits\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xc3\xbc\r\n"
LONG = HEAD + b"Subject: long\r\n\r\n" + b"".join(b".line %d\r\n" % number for number in range(60_000))


@pytest.fixture(scope="module", params=[Postfix, Exim, OpenSmtpd], ids=lambda kind: kind.name)
def server(request):
    if not HERE[request.param]:
        pytest.skip(f"{request.param.name} is not there; tools/system-packages brings it")
    # Not pytest's folder, which is closed to other uids.
    folder = Path(tempfile.mkdtemp(prefix=f"postern-{request.param.name}-"))
    folder.chmod(0o711)
    try:
        with request.param(folder / "root", *make_pair(folder)) as started:
            yield started
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def rig(server):
    contexts = Contexts()
    contexts.verifying.load_verify_locations(server.root / "cert.pem")
    hosts = [Host(b"real.test", "127.0.0.1", server.port)]
    level = Level.MAY if server.name == "opensmtpd" else Level.VERIFY
    yield Rig(hosts, manner=Manner(b"client.test", may_be_us=True), guard=RouteGuard(level, contexts))
    tidy()


def test_what_is_sent_lies_there_as_it_was(rig, server):
    """Dots, octets beyond ASCII, half a megabyte; several at once; by DATA or by BDAT as the server likes it."""
    before = len(server.taken())
    sent = [PLAIN, EIGHT_BIT, LONG, PLAIN]
    jobs = [rig.send(b"joe@real.test", octets=octets) for octets in sent]
    for outcome in rig.outcomes(*jobs):
        assert [action for action, _ in outcome] == [RELAYED], server.said()
    secured = [job.said_by[0][1].startswith(b"TLSv1.") for job in jobs]
    assert secured == [server.name != "opensmtpd"] * len(jobs)
    wait_until(lambda: len(server.taken()) == before + len(sent), 20, server.said)
    taken = server.taken()[-len(sent) :]
    bodies = sorted(content.partition(b"From:")[2] for content in taken)
    assert bodies == sorted(octets.partition(b"From:")[2] for octets in sent)


def test_each_recipient_has_its_answer(rig, server):
    """Known and unknown in one transaction."""
    job = rig.send(b"joe@real.test", b"joe@elsewhere.test")
    (first, second) = rig.outcomes(job)
    assert first[0] == RELAYED, server.said()
    assert (second[0], second[1][:1]) == (b"failed", b"5"), server.said()


def test_an_international_recipient(rig, server):
    """Where the server takes it; elsewhere it fails here, and nothing is converted."""
    job = rig.send("jörg@real.test".encode(), octets=EIGHT_BIT, options=b"SMTPUTF8 BODY=8BITMIME")
    ((action, status),) = rig.outcomes(job)
    if server.name == "postfix":
        assert action == RELAYED, server.said()
    else:
        assert (action, status[:1]) == (b"failed", b"5")
