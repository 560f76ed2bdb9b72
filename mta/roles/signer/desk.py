"""The judgement of signer: whose ticket holds, who wrote the header, and with which keys it is signed.

A reader would otherwise get wrong: the From field is read here once more, though submitter has read it. A signature says who
wrote; so who holds the keys looks himself, and does not take it from a process that parses what strangers wrote.
"""

import time
from collections.abc import Callable, Sequence

from mta.message.dkim.canonical import NotAHeader, body_of, name_of, split_fields
from mta.message.dkim.signing import sign
from mta.message.mailboxes import NotMailboxes, mailboxes
from mta.roles.signer.keys import Keeper, Unusable
from mta.snapshot.reader import tell_state
from mta.vocabulary import fold_domain
from mta.wire import messages as m
from mta.wire.channel import Channel, Packet
from mta.wire.control import Peers
from mta.wire.tickets import answer_ticket_holds, sender_ticket_holds

# Longer than mail is tried (RFC 5321 4.5.4.1), shorter than anybody could make use of one that he collected.
GOOD_SECONDS = 14 * 86400
HASH_OCTETS = 32


class Desk:
    """Signs with the keys that *keeper* keeps, for whom *key* proves. `peers` must be set before the first request."""

    peers: Peers

    def __init__(
        self, keeper: Keeper, key: bytes, clock: Callable[[], float] = time.time, *, contact: bytes = b""
    ) -> None:
        """*contact*: the address that reports about TLS come from; empty: there are none."""
        self._keeper, self._key, self._clock, self._contact = keeper, key, clock, contact
        self._trouble = ""
        keeper.tell = self._unusable

    def asked(self, channel: Channel, packet: Packet) -> None:
        """One header to be signed."""
        request = packet[0]
        assert isinstance(request, m.Sign | m.SignReply)
        try:
            fields = split_fields(request.header)
        except NotAHeader:
            channel.close()  # Submitter and bouncer ask for nothing that is none: it was taken over.
            return
        if len(request.body_hash) != HASH_OCTETS:
            channel.close()
            return
        self.look()
        channel.send(self._answer(request, fields))

    def look(self) -> None:
        """Take what was published; two `stat` calls where nothing was."""
        trouble = self._keeper.refresh()
        if trouble != self._trouble:
            self._trouble = trouble
            tell_state(self.peers.event, trouble)

    def _unusable(self, domain: bytes, why: str) -> None:
        self.peers.event("signing-keys-unusable", domain=domain, why=why)

    def _holds(self, request: m.Sign | m.SignReply, now: int) -> bool:
        """Did somebody with our key say that this address writes this?"""
        if isinstance(request, m.SignReply):
            return answer_ticket_holds(
                self._key, request.ticket, request.queue_id, request.address, request.body_hash, request.until, now
            )
        return sender_ticket_holds(
            self._key, request.sender_ticket, request.session, request.identity, request.address, request.until, now
        )

    def _answer(self, request: m.Sign | m.SignReply, fields: Sequence[bytes]) -> m.Signed:
        now = int(self._clock())
        session = request.session if isinstance(request, m.Sign) else b""
        identity = request.identity if isinstance(request, m.Sign) else request.address
        holds = self._holds(request, now)
        if not holds or authors(fields) != [request.address]:
            what = b"author" if holds else b"sender ticket"
            self.peers.event("proof-refused", what=what, session=session)
            return m.Signed(request.tag, b"refused", b"")
        return self._signed(request.tag, fields, request.body_hash, request.address, session=session, identity=identity)

    def asked_report(self, channel: Channel, packet: Packet) -> None:
        """The header of a report about TLS: nobody's ticket is needed, for it has one author and no other."""
        request = packet[0]
        assert isinstance(request, m.SignReport)
        try:
            fields = split_fields(request.header)
        except NotAHeader:
            fields = []
        if authors(fields) != [self._contact] or len(request.body_hash) != HASH_OCTETS:
            channel.close()  # Reporter asks for nothing else: it was taken over.
            return
        self.look()
        signed = self._signed(
            request.tag, fields, request.body_hash, self._contact, session=b"", identity=self._contact
        )
        channel.send(signed)

    def _signed(
        self, tag: int, fields: Sequence[bytes], body_hash: bytes, address: bytes, *, session: bytes, identity: bytes
    ) -> m.Signed:
        """With the keys of the domain of *address*, whose it is by now known to be."""
        try:
            found = self._keeper.keys_of(_folded(address.rpartition(b"@")[2]))
        except Unusable:
            return m.Signed(tag, b"later", b"")
        if found is None:
            return m.Signed(tag, b"none", b"")
        now = int(self._clock())
        made = [sign(fields, body_hash, key, found.domain, now, GOOD_SECONDS) for key in found.keys]
        selectors = b" ".join(key.selector for key in found.keys)
        self.peers.event("signed", session=session, identity=identity, domain=found.domain, selectors=selectors)
        return m.Signed(tag, b"signed", b"".join(made))


def authors(fields: Sequence[bytes]) -> list[bytes]:
    """The addresses in the one From field; none where it cannot be said who wrote."""
    found = [field for field in fields if name_of(field) == b"from"]
    try:
        return mailboxes(body_of(found[0])) if len(found) == 1 else []
    except NotMailboxes:
        return []


def _folded(domain: bytes) -> bytes:
    """As it stands in the snapshot; and so as authenticator read it when it gave the ticket."""
    try:
        return fold_domain(domain.decode()).encode()
    except UnicodeDecodeError:
        return domain
