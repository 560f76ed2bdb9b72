"""The targets: each takes any octets whatever, and returns, or fails as a test does.

What a parser may raise for nonsense is caught by name; anything else is a finding. Where there is a way back (what was
read can be written), it is gone, for two readers of the same octets must not see two things.
"""

import base64
import contextlib
import datetime as dt
import functools
import ipaddress
import os
import re
import ssl
import sys
from collections.abc import Callable

import sansldap
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mta import schemes, scram
from mta.message import dsn, header
from mta.message.dkim.canonical import BodyHash, NotAHeader, split_fields
from mta.message.dkim.signature import NoSignature, read_signature
from mta.message.dkim.signing import ED25519, SigningKey, sign
from mta.message.dkim.tags import BadTags, read_tags
from mta.message.dkim.verifying import verify
from mta.message.mailboxes import NotMailboxes, mailboxes
from mta.message.trace import received_field
from mta.roles.authenticator import exchange
from mta.roles.directory import batv, srs
from mta.roles.directory.access import Scope
from mta.roles.directory.resolve import Resolver, split_path
from mta.roles.journal import lines
from mta.roles.listener import networks, proxy
from mta.roles.reporter.counts import Counts
from mta.roles.resolver.query import KINDS, Answer, Query
from mta.roles.signer import desk as signer
from mta.roles.source.hook import Hook
from mta.roles.source.ldap import Directory, Login, Search
from mta.roles.submitter.draft import NotSubmittable, examine, mend
from mta.roles.submitter.holding import Holding
from mta.roles.tls.certificates import Keeper
from mta.roles.tls.tunnel import Broken, Tunnel
from mta.security import dane, sts, tlsrpt
from mta.smtp import addresses, client, commands
from mta.smtp.replies import Refused, declined
from mta.snapshot import format as snapshot_format
from mta.snapshot.cdb import Cdb, CdbError
from mta.snapshot.reader import SnapshotMissing
from mta.snapshot.records import RecordError, pack_record, unpack_record
from mta.spool import envelope, progress
from mta.vocabulary import MAX_LOCAL_PART, AddressError, Word, fold_local_part, local_part_of_store, store_name
from mta.wire import language, messages, netstring
from mta.wire.netstring import WireError
from tests.fuzz import conversation, submission
from tests.fuzz.dice import Dice

_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_KINDS = sorted(language._MESSAGES.items())
_ALL = frozenset(kind for _, kind in _KINDS)


def wire_netstring(octets: bytes) -> None:
    """One spelling: what can be read is what would be written."""
    with contextlib.suppress(WireError):
        assert netstring.pack(netstring.unpack(octets)) == octets


def wire_message(octets: bytes) -> None:
    """Every class of message, with fields that a taken-over peer may put together."""
    dice = Dice(octets)
    verb, _ = dice.one_of(_KINDS)
    fields = octets[1:].split(b"\xff")
    for packet in (fields, [verb, *fields]):
        with contextlib.suppress(WireError):
            message = messages.read_message(packet, _ALL)
            again = netstring.unpack(message.encode())
            assert again == packet
            assert messages.read_message(again, _ALL) == message


def smtp_commands(octets: bytes) -> None:
    """Arguments of commands: read, or refused with a reply; never a control character in an address."""
    text = octets[:2000]
    for read in (
        lambda: commands.parse_mail(text, secured=False),
        lambda: commands.parse_mail(b"FROM:" + text, secured=True),
        lambda: commands.parse_rcpt(b"TO:" + text, b"mx.test", utf8=False),
        lambda: commands.parse_rcpt(b"TO:" + text, b"mx.test", utf8=True),
    ):
        with contextlib.suppress(Refused):
            found = read()
            assert not _CONTROL.search(found[0])
            declared = found[1] if isinstance(found[1], bytes) else b"%a" % (found[1],)
            assert not _CONTROL.search(declared)
    with contextlib.suppress(Refused):
        assert commands.parse_hello(text) == text
        assert not re.search(rb"[()\s\\]", text), "it could end the comment that it is written into"
    commands.parse_chunk(text)
    answer = declined(200 + len(octets), text[:8], text)
    assert re.fullmatch(rb"[45]\d\d [\x20-\x7e]*\r\n", answer.octets)


def smtp_addresses(octets: bytes) -> None:
    """A path that is taken has one simplest form, which is taken again and is the same."""
    for parse in (addresses.parse_reverse_path, lambda text: addresses.parse_forward_path(text, b"mx.test")):
        for text in (octets, b"<" + octets + b">"):
            with contextlib.suppress(addresses.BadPath):
                address, end = parse(text)
                assert len(address) <= 254
                assert 0 < end <= len(text)
                assert not _CONTROL.search(address)
                address.decode()
                if address:
                    assert parse(b"<" + address + b">")[0] == address
    split_path(octets)


def smtp_conversation(octets: bytes) -> None:
    """See `conversation`."""
    conversation.run(octets)


def smtp_lockstep(octets: bytes) -> None:
    """One reply for one command."""
    conversation.lockstep(octets)


def smtp_chunks(octets: bytes) -> None:
    """The cuts of TCP mean nothing."""
    conversation.chunked(octets)


def smtp_submission(octets: bytes) -> None:
    """See `submission`."""
    submission.run(octets)


def password_scheme(octets: bytes) -> None:
    """A hash is recognised or refused with words; what lies in a seal comes apart or has no keys."""
    with contextlib.suppress(schemes.SchemeError):
        known = schemes.recognise(octets)
        assert known.text or known.digest or known.family is schemes.Family.PLAIN
        assert len(known.salt) <= schemes.MAX_SALT
    stored, keys = scram.split(octets)
    assert octets.startswith(stored)
    assert keys is None or scram.split(scram.join(stored, keys)) == (stored, keys)


def scram_exchange(octets: bytes) -> None:
    """A first message begins an exchange or is refused; no final message proves what nobody has."""
    first, _, final = octets.partition(b"\0")
    nobody = scram.Keys(b"k" * 32, b"s" * 32)
    begun = exchange.Begun(b"joe", b"n,,", b"n=joe,r=x", b"xy", b"r=xy,s=c2FsdA==,i=10000")
    with contextlib.suppress(exchange.ExchangeError):
        begun = exchange.begin(first, b"random", b"salt")
        assert exchange.read_name(first) == begun.name
        assert begun.server_first.startswith(b"r=" + begun.nonce)
    assert exchange.finish(begun, final, [nobody]) is None


def smtp_log_in(octets: bytes) -> None:
    """One reply for one line, and nobody in who was not let in."""
    submission.lockstep(octets)


def message_header(octets: bytes) -> None:
    """Slices of what was given."""
    section = header.header_section(octets)
    assert octets.startswith(section)
    assert b"\n\n" not in section
    kept = header.whole_lines(section, 50)
    assert len(kept) <= 50
    assert section.startswith(kept)


def message_dkim(octets: bytes) -> None:
    """A header and a body from anybody: read or refused; what we sign of it holds, and with one octet more it does not."""
    for read in (
        lambda: read_tags(octets),
        lambda: read_signature(b"DKIM-Signature: " + octets[:2000] + b"\r\n", 1_800_000_000),
        lambda: mailboxes(octets[:2000]),
    ):
        with contextlib.suppress(BadTags, NoSignature, NotMailboxes):
            read()
    section, _, body = octets.partition(b"\r\n\r\n")
    try:
        fields = split_fields(section + b"\r\n")
    except NotAHeader:
        return
    assert b"".join(fields) == section + b"\r\n"
    digests = []
    for cut in (0, len(body) // 2, len(body) // 3):
        hashed = BodyHash()
        hashed.update(body[:cut])
        hashed.update(body[cut:])
        digests.append(hashed.digest())
    assert len({*digests}) == 1, "where it was cut means something"
    key, record = _signing_key()
    field = sign(fields, digests[0], key, b"example.org", 1_800_000_000)
    message = field + b"".join(fields) + b"\r\n" + body

    def word(changed: bytes) -> str:
        return next(iter(verify(changed, lambda _name: [record], 1_800_000_000))).word

    assert word(message) == "pass"
    assert word(message + b"x\r\n") == "fail"
    assert word(field + b"".join(fields) + b"Subject: one more\r\n\r\n" + body) == "fail"


@functools.cache
def _signing_key() -> tuple[SigningKey, bytes]:
    private = Ed25519PrivateKey.from_private_bytes(bytes(32))
    public = base64.b64encode(private.public_key().public_bytes_raw())
    return SigningKey(b"s", ED25519, private), b"v=DKIM1; k=ed25519; p=" + public


def submitted(octets: bytes) -> None:
    """What a user submits, cut anywhere: refused with a reply, or one author at least, nothing hidden, and well formed."""
    holding = Holding(1 << 20)
    try:
        for start in range(0, len(octets), 7):
            holding.take(octets[start : start + 7])
        holding.finish()
        draft = mend(examine(holding.header), host=b"mx.test", moment=0, identity=b"a@b.test", random=b"12345678")
    except NotSubmittable as error:
        if error.refusal[0] not in {550, 552}:
            raise AssertionError(error.refusal) from error
        return
    content = b"".join(holding.blocks(b"".join(draft.fields)))
    assert content.endswith(b"\r\n")
    assert content.count(b"\r\n") == content.count(b"\r") == content.count(b"\n")
    names = [
        line.partition(b":")[0].strip().lower()
        for line in content.partition(b"\r\n\r\n")[0].split(b"\r\n")
        if line[:1] not in b" \t"
    ]
    assert names.count(b"from") == 1
    assert b"bcc" not in names
    assert draft.authors
    assert signer.authors(split_fields(draft.signable)) == [*draft.authors], "signer sees another author"


def message_dsn(octets: bytes) -> None:
    """A notification is lines of at most 998 octets, whatever the envelope held; and so is our own Received field."""
    dice = Dice(octets)
    parts = [dice.line() for _ in range(9)]
    dsn.decode_xtext(parts[0])
    dsn.printable(parts[1])
    for utf_8 in (False, True):
        assert not _CONTROL.search(dsn.original_recipient(parts[2], utf_8=utf_8))
        assert not _CONTROL.search(dsn.typed_address(parts[3], utf_8=utf_8))
    with contextlib.suppress(Refused):
        helo = commands.parse_hello(parts[4])
        field = received_field(
            helo=helo, client=b"2001:db8::1", host=b"mx.test", protocol=b"ESMTP", queue_id=b"0" * 20, forward_path=b"",
            moment=0,
        )  # fmt: skip
        assert field.count(b"\n") == field.count(b"\r\n") == len(re.findall(rb"\r\n(?=[\t ]|\Z)", field))


def snapshot_record(octets: bytes) -> None:
    """A record, or RecordError."""
    with contextlib.suppress(RecordError):
        record = unpack_record(octets)
        assert unpack_record(pack_record(record)) == record


def snapshot_files(octets: bytes) -> None:
    """`current`, header, batches and frames: read, or FormatError."""
    for read in (snapshot_format.unpack_current, snapshot_format.unpack_header):
        with contextlib.suppress(snapshot_format.FormatError):
            read(octets)
    with contextlib.suppress(snapshot_format.FormatError):
        batch = snapshot_format.unpack_batch(octets)
        assert snapshot_format.pack_batch(batch) == octets
    list(snapshot_format.whole_frames(octets, 1, 0))
    whole = snapshot_format.pack_frame(octets[:50], 1, 7)
    assert next(snapshot_format.whole_frames(whole + octets[50:], 1, 7)) == (octets[:50], 7 + len(whole))


def snapshot_cdb(octets: bytes) -> None:
    """Any file whatever under the name of a constant database."""
    descriptor = os.memfd_create("cdb")
    try:
        dice = Dice(octets)
        key = dice.line()
        # A table of contents is 2 KiB that chance would take long to fill.
        head = b"".join(
            (dice.octet() + 2048).to_bytes(4, "little") + dice.octet().to_bytes(4, "little") for _ in range(256)
        )
        os.write(descriptor, head + dice.rest() + bytes(8))
        with contextlib.suppress(CdbError):
            found = Cdb(descriptor, os.fstat(descriptor).st_size)
            try:
                value = found.get(key)
                assert value is None or len(value) <= len(octets) + 2048
            finally:
                found.close()
    finally:
        os.close(descriptor)


def snapshot_judgement(octets: bytes) -> None:
    """Records that only an enemy would write, looked up by whoever: an answer, or RecordError; never for ever."""
    dice = Dice(octets)
    path = dice.line()
    table: dict[bytes, bytes] = {b"h:": pack_record(_HOST)}
    while dice and len(table) < 40:
        table[dice.line()] = dice.line().replace(b"\xfe", b"\xff")
    resolver = Resolver(table.get)
    for ask in (resolver.judge, resolver.expand):
        with contextlib.suppress(RecordError, SnapshotMissing):
            ask(path)


def return_paths(octets: bytes) -> None:
    """What we made for a sender leads back to him, in 64 octets; and nobody else's octets lead anywhere."""
    dice = Dice(octets)
    path, key, day = dice.line(), b"k" * 32, dice.octet() * 9
    for begin in (b"", b"SRS0=", b"srs1="):
        assert srs.restore(begin + path, [key], day) is None
    assert batv.read(b"prvs=0014" + path, b"a.test", [key], day) is None
    made, kept = srs.rewrite(path, b"mx.test", key, day)
    local_part = made.rpartition(b"@")[0]
    assert len(local_part) <= MAX_LOCAL_PART
    found = srs.restore(local_part.swapcase(), [key], day)
    if kept is not None:
        assert found == kept
    elif path[:3].lower() != b"srs":
        assert isinstance(found, bytes)
        assert found.lower() == path.lower()
    tagged = batv.sign(path, b"a.test", key, day)
    assert tagged == path or batv.read(tagged, b"a.test", [key], day) == path


def spool_envelope(octets: bytes) -> None:
    """Torn, unknown, or an envelope; and one that we write is read as it was."""
    dice = Dice(octets)
    for text in (octets, _sealed([b"postern-envelope %d" % (dice.octet() % 4), *octets[1:].split(b"\xff")])):
        with contextlib.suppress(envelope.NotWholeError, envelope.UnknownVersionError):
            found = envelope.parse(text)
            assert envelope.parse(envelope.render(found)) == found


def spool_progress(octets: bytes) -> None:
    """Whatever a crash left, it says something."""
    found = progress.parse(octets)
    for outcome in found.outcomes:
        with contextlib.suppress(WireError):
            again = progress.parse(progress.line_of(outcome)).outcomes
            assert len(again) == 1


def journal_lines(octets: bytes) -> None:
    """One event is one line for programs and at most one for people, and both are text."""
    words = lines.said(octets.split(b"\xff"))
    line = lines.record(1.5, "smtpd", "refused", words)
    assert line.count(b"\n") == 1
    assert lines.sentence(1.5, "smtpd", "refused", words).decode()[:-1].isprintable()


def store_names(octets: bytes) -> None:
    """A name of a store is a file name, and leads back to the one local-part it came from."""
    with contextlib.suppress(UnicodeDecodeError):
        text = octets.decode()
        folded = fold_local_part(text)
        assert fold_local_part(folded) == folded
        name = store_name(folded)
        assert "/" not in name
        assert name not in (".", "..", "")
        assert local_part_of_store(name) == folded
        with contextlib.suppress(AddressError):
            assert store_name(local_part_of_store(text)) == text


def proxy_header(octets: bytes) -> None:
    """A header ends where it ends, however it was cut, and names an address in the one way it is written."""
    cut = Dice(octets).octet() % (len(octets) + 1)
    whole, halves = proxy.HeaderReader(), proxy.HeaderReader()
    with contextlib.suppress(proxy.ProxyError):
        used = whole.feed(octets)
        assert used <= len(octets)
        first = halves.feed(octets[:cut])
        second = halves.feed(octets[first:]) if halves.done is None else 0
        assert first + second == used
        assert halves.done == whole.done
        if whole.done is not None and whole.done.address:
            assert str(ipaddress.ip_address(whole.done.address)) == whole.done.address


def dns_answer(octets: bytes) -> None:
    """Behind the right id: an answer that fits into a packet, or none."""
    for kind in KINDS:
        query = Query(b"example.test", kind, mix=False)
        found = query.read(query.octets[:2] + octets)
        if isinstance(found, Answer):
            packet = messages.Found(1, found.outcome, found.secure, found.records).encode()
            assert messages.read_message(netstring.unpack(packet), _ALL)


def sts_policy(octets: bytes) -> None:
    """What a web server sent: a policy within its bounds, or none; and what fits into a packet for who asked."""
    sts.record_id([octets, b"v=STSv1;" + octets])
    for text in (octets, _POLICY + octets, octets + _POLICY):
        with contextlib.suppress(sts.PolicyError):
            policy = sts.read_policy(text)
            assert policy.mode in sts.MODES
            assert 0 <= policy.max_age <= sts.MAX_AGE_SECONDS
            assert not policy.allows("")
            patterns = tuple(pattern.encode() for pattern in policy.patterns)
            messages.Fetched(1, policy.mode.encode(), policy.max_age, b"", patterns).encode()


def tlsa_records(octets: bytes) -> None:
    """What a zone and a server said: never proof by an empty chain, and of a spoilt certificate nothing but no."""
    texts = octets.split(b"\n")
    records = dane.read_records([*texts, *(b"3 1 1 " + text.hex().encode() for text in texts)])
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    assert dane.holds(records, [], ("mx.test",), now)
    dane.holds(records, [octets, *texts], ("mx.test",), now)
    if octets:
        whole = dane.read_records([b"3 0 0 " + octets.hex().encode(), b"2 1 0 " + octets.hex().encode()])
        dane.holds(whole, [octets], ("mx.test",), now)


_POLICY = b"version: STSv1\nmode: enforce\nmx: mx.test\nmax_age: 600\n"


def tls_reports(octets: bytes) -> None:
    """Who wants reports, as a zone says: few, and each fits into a header field; a file of counts is read, or a part of it."""
    texts = octets.split(b"\xff")
    for found in (texts, [b"v=TLSRPTv1;rua=" + octets], [b"v=TLSRPTv1; rua=mailto:" + octets]):
        addresses = tlsrpt.addresses_of(found)
        assert len(addresses) <= tlsrpt.MAX_ADDRESSES
        for address in addresses:
            assert address.count(b"@") == 1
            assert not re.search(rb"[^!-~]|[<>(),;:\"\[\]\\\\]", address), (
                "it could end the field that it is written into"
            )
    counts, again = Counts(), Counts()
    for text in (octets, netstring.pack([b"20000", b"a.test", b"sts", *texts])):
        counts.restore(text, 20_000)
    again.restore(counts.packed(1 << 20), 20_000)
    assert again.packed(1 << 20) == counts.packed(1 << 20)


def smtp_client(octets: bytes) -> None:
    """Whatever a server says: nothing is sent before its 220, each command is answered once, and a break is the end."""
    dice = Dice(octets)
    ours = client.Client(b"mx.test")
    asked = [client.Command(kind, kind.name.encode()) for kind in client.Kind if kind is not client.Kind.QUIT]
    ours.ask(*asked)
    answered: list[client.Command] = []
    is_over, said = False, b""
    while dice and not is_over:
        line = dice.one_of(_WORDS_OF_SERVERS) or dice.line()
        said += line
        for event in ours.receive(line):
            assert not is_over
            if isinstance(event, client.Answered):
                answered.append(event.command)
                assert len(event.reply.text) <= client.MAX_TEXT
            is_over = isinstance(event, client.Broken)
        assert said.startswith(b"220") or not ours.take()
        assert len(ours._reader._rest) <= client.MAX_LINE
    assert answered == asked[: len(answered)]


def client_addresses(octets: bytes) -> None:
    """Access rules, and who is asked about: a pattern that is none fits nobody, and nothing raises."""
    dice = Dice(octets)
    address, reverse_path = dice.line(), dice.line()
    scope = Scope(tuple(part for _ in range(4) for part in (dice.one_of((b"allow", b"deny")), dice.line())))
    for who in (address, b"192.0.2.1", b"2001:db8::1"):
        assert scope.decide(who, reverse_path) in (True, False, None)
    with contextlib.suppress(OSError, ValueError):
        who_is = networks.who_is(address.decode())
        assert len(who_is.packed) in (4, 16)


def source_ldap(octets: bytes) -> None:
    """What an LDAP server, or somebody in its place, answers: each question is answered once, yes only after an entry."""
    heard: list[Word] = []
    directory = Directory(_Idle(), lambda _found: None, Login(), Search("dc=test", "(mail=%s)"))
    directory.ask(b"joe@a.test", heard.append)
    dice, said = Dice(octets), b""
    for _ in range(3):
        if directory._stream is None:  # as when it is located: a fresh connection, and our name
            directory._is_locating = False
            directory._session, directory._stream = sansldap.LDAPClient(), _Idle()
            directory._session.bind_simple("", "")
            directory._session.data_to_send()
        piece = (
            b"".join(dice.one_of((b"", _LDAP_BOUND, _LDAP_REFUSED, _LDAP_ENTRY, _LDAP_DONE)) for _ in range(3))
            + dice.line()
        )
        said += piece
        directory.received(piece)
        directory.ask(b"ann@a.test", heard.append)
    directory.closed("at the end")
    assert len(heard) <= 4
    assert Word.ACCEPT not in heard or b"\x64" in said


def source_hook(octets: bytes) -> None:
    """However an operator's program cuts its replies, they mean the same; each question is answered once."""
    found = []
    for step in (len(octets) or 1, 1):
        heard: list[Word] = []
        hook = Hook(_Idle(), lambda _found: None)
        for address in (b"joe@a.test", b"ann@a.test", b"bob@a.test"):
            hook.ask(address, heard.append)
        hook._stream = _Idle()
        for position in range(0, len(octets), step):
            if hook._stream is not None:
                hook.received(octets[position : position + step])
        hook.closed("at the end")
        assert len(heard) == 3
        found.append(heard)
    assert found[0] == found[1]


def tls_hello(octets: bytes) -> None:
    """A client's first words, with any server name and other harm: the handshake goes on or fails, and never we."""
    dice = Dice(octets)
    name = dice.octets(len(_ASKED)).ljust(len(_ASKED), b"x")
    hello = bytearray(_HELLO.replace(_ASKED, name))
    for _ in range(dice.octet() % 4):
        hello[(dice.octet() << 8 | dice.octet()) % len(hello)] = dice.octet()
    former, sys.unraisablehook = sys.unraisablehook, lambda _unraisable: None  # as the role does
    try:
        tunnel = Tunnel(_KEEPER.context)
        with contextlib.suppress(Broken):
            tunnel.receive(bytes(hello))
            tunnel.receive(dice.rest())
        assert not tunnel.secured
        assert len(tunnel.server_name) <= 253
        tunnel.close()
        tunnel.take()
    finally:
        sys.unraisablehook = former


def _first_words() -> bytes:
    """A real client's, asking for _ASKED."""
    read, written = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(read, written, server_hostname=_ASKED.decode()).do_handshake()
    return written.read()


class _Idle:
    """A loop in which no time passes, and a stream to nobody."""

    def call_later(self, _seconds: float, _callback: Callable[[], None]) -> None:
        """Not now."""

    def send(self, _octets: bytes) -> None:
        """To nobody."""

    def close(self) -> None:
        """It is."""


_LDAP_BOUND = bytes.fromhex("300c02010161070a010004000400")  # RFC 4511 4.2.2, success
_LDAP_REFUSED = bytes.fromhex("300c02010161070a013104000400")  # the same, invalidCredentials
_LDAP_ENTRY = bytes.fromhex("300e0201026409040564633d61613000")  # 4.5.2
_LDAP_DONE = bytes.fromhex("300c02010265070a010004000400")


class _NoCertificates:
    def get(self, _key: bytes) -> None:
        """There is none."""


_WORDS_OF_SERVERS = (
    b"220 a\r\n", b"250-a\r\n250 PIPELINING\r\n", b"250 2.1.0 ok\r\n", b"550 5.1.1 no\r\n", b"421 x\r\n", b"",
)  # fmt: skip
_ASKED = b"aaaaaaaaaaaa.test"
_HELLO = _first_words()
_KEEPER = Keeper(_NoCertificates(), None, lambda _name, _why: None)


def _sealed(fields: list[bytes]) -> bytes:
    try:
        return envelope.seal(fields)
    except WireError:
        return b""


_HOST = unpack_record(netstring.pack([b"host", b"mx.test", b"postmaster@mx.test"]))

TARGETS: dict[str, Callable[[bytes], None]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        wire_netstring, wire_message, smtp_commands, smtp_addresses, smtp_conversation, smtp_lockstep, smtp_chunks,
        smtp_submission, smtp_log_in, password_scheme, scram_exchange,
        message_header, message_dkim, submitted, message_dsn,
        snapshot_record, snapshot_files, snapshot_cdb, snapshot_judgement, return_paths, spool_envelope,
        spool_progress, journal_lines, store_names, proxy_header, dns_answer,
        smtp_client, sts_policy, tls_reports, tlsa_records, client_addresses, tls_hello, source_ldap, source_hook,
    )
}  # fmt: skip
