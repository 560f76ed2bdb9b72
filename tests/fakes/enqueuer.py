"""An enqueuer without a spool: writes what it takes into a folder, and the reverse-path says how it behaves.

`disk-full@`: declines at the end. `declined-early@`: declines at once. `silent@`: no answer. `slow@`: takes it after a
while. `dies@`: ends instead of answering. `nonsense@`: declines with what is no reply. Everything else is taken.

For each message N: `N.content` (octets as received) and `N.envelope` (repr of what was offered). Withdrawn offers leave a
line in `withdrawn`.
"""

import os
import sys
from pathlib import Path

from mta import roster
from mta.wire import messages as m
from mta.wire import tickets
from mta.wire.channel import Channel, Packet
from mta.wire.control import Peers, Start, begin, now
from mta.wire.loop import Loop

SLOW_SECONDS = 0.5


class Message:
    """One that was offered."""

    def __init__(self, offer: m.Offer) -> None:
        self.offer = offer
        self.recipients = [offer.forward_path]
        self.recipient_options = [offer.recipient_options]
        self.blocks: list[bytes] = []


class Enqueuer:
    """Takes messages."""

    def __init__(self, start: Start, loop: Loop) -> None:
        self.loop = loop
        self.folder = Path(start.text("fake.folder"))
        self.discard = start.settings.get("fake.discard") == b"1"
        self.ticket_key, self.session_key = start.settings[roster.TICKET_KEY], start.settings[roster.SESSION_KEY]
        self.open: dict[tuple[Channel, int], Message] = {}
        self.number = 0

    def hear(self, channel: Channel, packet: Packet) -> None:
        """A packet from smtpd."""
        message = packet[0]
        if isinstance(message, m.Offer):
            self.offered(channel, message)
        elif isinstance(message, m.OfferRecipient):
            self.add_recipient(channel, message)
        elif isinstance(message, m.Content):
            self.add_content(channel, message)
        elif isinstance(message, m.Withdraw) and self.open.pop((channel, message.tag), None) is not None:
            with (self.folder / "withdrawn").open("a") as file:
                file.write(f"{message.tag}\n")

    def offered(self, channel: Channel, offer: m.Offer) -> None:
        if not tickets.session_token_holds(self.session_key, offer.token, offer.session, offer.client):
            channel.close()
            return
        if not self.believes(offer, offer):
            channel.send(m.Declined(offer.tag, 550, b"5.7.1", b"no ticket"))
            return
        if offer.reverse_path.startswith(b"declined-early@"):
            channel.send(m.Declined(offer.tag, 452, b"4.3.1", b"No room"))
            return
        self.open[channel, offer.tag] = Message(offer)

    def add_recipient(self, channel: Channel, recipient: m.OfferRecipient) -> None:
        message = self.open.get((channel, recipient.tag))
        if message is None:
            return
        if not self.believes(message.offer, recipient):
            del self.open[channel, recipient.tag]
            channel.send(m.Declined(recipient.tag, 550, b"5.7.1", b"no ticket"))
            return
        message.recipients.append(recipient.forward_path)
        message.recipient_options.append(recipient.options)

    def believes(self, offer: m.Offer, recipient: m.Offer | m.OfferRecipient) -> bool:
        return tickets.ticket_holds(
            self.ticket_key, recipient.ticket, offer.session, offer.reverse_path, recipient.forward_path,
            recipient.counted, recipient.expiry, now(),
        )  # fmt: skip

    def is_logged_in(self, offer: m.Offer) -> bool:
        return tickets.login_ticket_holds(
            self.ticket_key, offer.login, offer.session, offer.identity, offer.login_expiry, now()
        )

    def add_content(self, channel: Channel, content: m.Content) -> None:
        message = self.open.get((channel, content.tag))
        if message is None:
            return
        message.blocks.append(content.block)
        if content.last:
            del self.open[channel, content.tag]
            self.conclude(channel, content.tag, message)

    def conclude(self, channel: Channel, tag: int, message: Message) -> None:
        behaviour = message.offer.reverse_path.partition(b"@")[0]
        if behaviour == b"disk-full":
            channel.send(m.Declined(tag, 452, b"4.3.1", b"No room on the disk"))
        elif behaviour == b"nonsense":
            channel.send(m.Declined(tag, 200, b"2.0.0", b"Yes\r\n250 forged"))
        elif behaviour == b"dies":
            os._exit(1)
        elif behaviour == b"slow":
            self.loop.call_later(SLOW_SECONDS, lambda: self.take(channel, tag, message))
        elif behaviour != b"silent":
            self.take(channel, tag, message)

    def take(self, channel: Channel, tag: int, message: Message) -> None:
        self.number += 1
        if not self.discard:
            offer = message.offer
            (self.folder / f"{self.number}.content").write_bytes(b"".join(message.blocks))
            envelope = {
                "reverse_path": offer.reverse_path, "recipients": message.recipients, "helo": offer.helo,
                "protocol": offer.protocol, "options": offer.options, "client": offer.client,
                "recipient_options": message.recipient_options, "tls": offer.tls,
                "identity": offer.identity, "proved": self.is_logged_in(offer),
                "blocks": [len(block) for block in message.blocks],
            }  # fmt: skip
            (self.folder / f"{self.number}.envelope").write_text(repr(envelope))
        channel.send(m.Taken(tag, b"%016x%04x" % (self.number, 0)))


def main(role: roster.Role = roster.ENQUEUER, client: str = "smtpd") -> int:
    """Serve until told to stop."""
    start = begin(role)
    loop = Loop()
    peers = Peers(role, start, loop, {client: Enqueuer(start, loop).hear})
    peers.ready()
    loop.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
