"""Has those written to whose consent is needed before mail is sent on to them, and says how many may be written to.

A reader would otherwise get wrong: this is the one place that bounds it. The panel writes down whom somebody wants asked, as many
as he likes; what is over the bounds waits here for its turn, and is forgotten with its link.
"""

import time
from collections.abc import Callable
from typing import Protocol

from appliance import consent_links
from appliance.compile.source import Query
from appliance.consent_links import Question
from mta.wire import messages as m
from mta.wire.channel import Channel, Packet
from mta.wire.tickets import NOTICE_SECONDS, consent_authority

DAY_SECONDS = 24 * 3600
MAX_A_DAY_TO_ONE = 3  # mails to one address, whoever wants it
MAX_A_DAY_FOR_ONE = 200  # mails because of one tenant
MAX_AN_HOUR = 500  # mails in all
LOOK_SECONDS = 20.0
AT_ONCE = 20

_HOLDERS = {"mailbox": ("forwarding_target", "forwarding_id"), "alias": ("alias_target", "alias_id")}
_DUE = " UNION ALL ".join(
    f"SELECT r.id, r.kind, r.holder_id, r.target, r.asked_at, r.tenant_id, h.folded, d.name FROM consent_request r "  # noqa: S608 - our own words
    f"JOIN {kind} h ON h.id = r.holder_id JOIN domain d ON d.id = h.domain_id "
    f"JOIN {table} t ON t.{column} = h.id AND t.address = r.target "
    f"WHERE r.kind = '{kind}' AND r.sent_at IS NULL AND r.asked_at > ? AND t.confirmed_at IS NULL AND d.proved_at IS NOT NULL "
    "AND (SELECT count(*) FROM consent_request o WHERE o.target = r.target AND o.sent_at > ?) < ? "
    "AND (SELECT count(*) FROM consent_request o WHERE o.tenant_id = r.tenant_id AND o.sent_at > ?) < ?"
    for kind, (table, column) in _HOLDERS.items()
)


class Ways(Protocol):
    """What is needed of `mta.wire.control.Peers`."""

    def tell(self, name: str, message: m.Message) -> bool:
        """Send what needs no answer; False when the peer is away."""

    def event(self, name: str, **pairs: bytes | str | int) -> None:
        """Tell the journal."""


class Desk(Protocol):
    """What is needed of the compiler."""

    @property
    def peers(self) -> Ways:
        """Our peers."""

    def read(self, act: Callable[[Query], None]) -> bool:
        """*act* on one state of the database; False when it is away."""

    def write(self, act: Callable[[Query], None]) -> bool:
        """*act* in a transaction of its own; False when the database is away."""

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call *callback* in *seconds*."""


class Consents:
    """Works for the compiler *desk*. *key*: the consent key; *panel*: where the panel is, as people outside reach it."""

    def __init__(self, desk: Desk, key: bytes, panel: str, clock: Callable[[], float] = time.time) -> None:
        self._desk, self._key, self._panel, self._clock = desk, key, panel, clock
        self._asked: dict[int, tuple[int, str, str]] = {}  # by tag: the request, its target, whose mail it is
        self._tag = 0

    def begin(self) -> None:
        """Look for whom to ask, now and ever after."""
        self.look()
        self._desk.later(LOOK_SECONDS, self.begin)

    def look(self) -> None:
        """There may be somebody."""
        if self._key and not self._asked:
            self._desk.read(self._ask)

    def _ask(self, query: Query) -> None:
        moment = int(self._clock())
        (sent,) = next(query.rows("SELECT count(*) FROM consent_request WHERE sent_at > ?", (moment - 3600,)))
        left = min(AT_ONCE, MAX_AN_HOUR - sent)
        if left <= 0:
            return
        (secret,) = next(query.rows("SELECT consent_key FROM instance ORDER BY id"))
        since = moment - DAY_SECONDS
        one = (moment - consent_links.GOOD_SECONDS, since, MAX_A_DAY_TO_ONE, since, MAX_A_DAY_FOR_ONE)
        targets, tenants = set[str](), set[int]()
        for *asked, tenant_id, folded, name in query.rows(f"{_DUE} ORDER BY 1 LIMIT ?", (*one, *one, left)):
            question = Question(*asked)
            # One of each in a round, or together they would be more than was counted.
            if question.target not in targets and tenant_id not in tenants:
                targets.add(question.target)
                tenants.add(tenant_id)
                self._tell(question, f"{folded}@{name}", secret)

    def _tell(self, question: Question, holder: str, secret: str) -> None:
        self._tag += 1
        target, until = question.target.encode(), int(self._clock()) + NOTICE_SECONDS
        link = f"{self._panel}/consent/{consent_links.token(secret, question)}"
        message = m.AskConsent(
            self._tag, target, holder.encode(), link.encode(), until, consent_authority(self._key, target, until)
        )
        if self._desk.peers.tell("bouncer", message):
            self._asked[self._tag] = (question.number, question.target, holder)

    def answered(self, channel: Channel, packet: Packet) -> None:
        """The bouncer wrote to somebody, or could not now."""
        answer = packet[0]
        if not isinstance(answer, m.Noticed):
            channel.close()
            return
        number, target, holder = self._asked.get(answer.tag, (0, "", ""))
        if number and answer.done:
            self._sent(number, target, holder)
        self._asked.pop(answer.tag, None)
        if answer.done:
            self.look()

    def _sent(self, number: int, target: str, holder: str) -> None:
        moment = int(self._clock())

        def act(query: Query) -> None:
            query.run("UPDATE consent_request SET sent_at = ? WHERE id = ?", (moment, number))
            query.run("DELETE FROM consent_request WHERE asked_at < ?", (moment - 2 * consent_links.GOOD_SECONDS,))

        # Not written down, it would be sent again; the database is away then, and so nothing more is read from it either.
        if self._desk.write(act):
            self._desk.peers.event("consent-asked", target=target, holder=holder)

    def lost(self) -> None:
        """The bouncer ended. What it was asked was perhaps done; it is asked again, for twice is better than never."""
        self._asked.clear()
