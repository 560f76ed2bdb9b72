"""Has those written to at their recovery addresses who shall confirm them, or have forgotten their passwords.

A reader would otherwise get wrong: how often is bounded here, for all together and for one address; how often somebody may ask
for it is the panel's to say. What could not be sent in time is not sent at all: its link would be over.
"""

import time
from collections.abc import Callable

from appliance import recovery_links
from appliance.compile.consents import Desk
from appliance.compile.source import Query
from appliance.recovery_links import Mail
from mta.wire import messages as m
from mta.wire.channel import Channel, Packet
from mta.wire.tickets import NOTICE_SECONDS, consent_authority

FIRST_TAG = 1 << 40  # The tags of consents, which go to the same peer, are below.
MAX_A_DAY_TO_ONE = 6  # mails to one address, whoever wants it
MAX_AN_HOUR = 300  # mails in all
LOOK_SECONDS = 20.0
AT_ONCE = 20
FRESH_SECONDS = 1800  # after that there is too little left of the hour
KEPT_SECONDS = 2 * 24 * 3600

_DUE = (
    "SELECT r.id, r.kind, r.account_id, r.mailbox_id, r.target, r.asked_at, a.name, m.folded, d.name FROM recovery_mail r "
    "LEFT JOIN account a ON a.id = r.account_id LEFT JOIN mailbox m ON m.id = r.mailbox_id "
    "LEFT JOIN domain d ON d.id = m.domain_id "
    "WHERE r.sent_at IS NULL AND r.asked_at > ? "
    "AND (SELECT count(*) FROM recovery_mail o WHERE o.target = r.target AND o.sent_at > ?) < ? ORDER BY r.id LIMIT ?"
)


class Recoveries:
    """Works for the compiler *desk*. *key*: the consent key; *panel*: where the panel is, as people outside reach it."""

    def __init__(self, desk: Desk, key: bytes, panel: str, clock: Callable[[], float] = time.time) -> None:
        self._desk, self._key, self._panel, self._clock = desk, key, panel, clock
        self._asked: dict[int, tuple[int, str]] = {}  # by tag: the row, and whom it is about
        self._tag = FIRST_TAG

    def begin(self) -> None:
        """Look for whom to write to, now and ever after."""
        self.look()
        self._desk.later(LOOK_SECONDS, self.begin)

    def look(self) -> None:
        """There may be somebody."""
        if self._key and not self._asked:
            self._desk.read(self._ask)

    def _ask(self, query: Query) -> None:
        moment = int(self._clock())
        (sent,) = next(query.rows("SELECT count(*) FROM recovery_mail WHERE sent_at > ?", (moment - 3600,)))
        left = min(AT_ONCE, MAX_AN_HOUR - sent)
        if left <= 0:
            return
        (secret,) = next(query.rows("SELECT consent_key FROM instance ORDER BY id"))
        targets = set[str]()
        bounds = (moment - FRESH_SECONDS, moment - 24 * 3600, MAX_A_DAY_TO_ONE, left)
        for *row, account, folded, domain in query.rows(_DUE, bounds):
            mail = Mail(*row)
            # One of each in a round, or together they would be more than was counted.
            if mail.target not in targets:
                targets.add(mail.target)
                self._tell(mail, account or f"{folded}@{domain}", secret)

    def _tell(self, mail: Mail, whose: str, secret: str) -> None:
        self._tag += 1
        target, until = mail.target.encode(), int(self._clock()) + NOTICE_SECONDS
        link = f"{self._panel}/{recovery_links.PAGES[mail.kind]}/{recovery_links.token(secret, mail)}"
        holder = whose.encode() if "@" in whose else target  # whose domain says in which language
        message = m.AskConsent(
            self._tag, target, holder, link.encode(), until, consent_authority(self._key, target, until),
            mail.kind.encode(), whose.encode(),
        )  # fmt: skip
        if self._desk.peers.tell("bouncer", message):
            self._asked[self._tag] = (mail.number, whose)

    def answered(self, channel: Channel, packet: Packet) -> None:
        """The bouncer wrote to somebody, or could not now."""
        answer = packet[0]
        if not isinstance(answer, m.Noticed):
            channel.close()
            return
        number, whose = self._asked.pop(answer.tag, (0, ""))
        if number and answer.done:
            self._sent(number, whose)
        if answer.done:
            self.look()

    def _sent(self, number: int, whose: str) -> None:
        moment = int(self._clock())

        def act(query: Query) -> None:
            query.run("UPDATE recovery_mail SET sent_at = ? WHERE id = ?", (moment, number))
            query.run("DELETE FROM recovery_mail WHERE asked_at < ?", (moment - KEPT_SECONDS,))

        if self._desk.write(act):
            self._desk.peers.event("recovery-written", whose=whose)

    def lost(self) -> None:
        """The bouncer ended. What it was asked was perhaps done; it is asked again, for twice is better than never."""
        self._asked.clear()
