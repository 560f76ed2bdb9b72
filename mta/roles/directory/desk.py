"""What is said to whom: questions of smtpd, expansions for scheduler. Messages in, messages out.

A reader would otherwise get wrong: nothing here waits. A decision that needs another role's word is a generator that yields
what to ask and is resumed with the answer, or with None when there is none in time; it ends in exactly one `Verdict`. The
usual one, about a mailbox that needs nobody's word, is made without any of that.

The order of the checks at RCPT, from what costs nothing and tells nothing to what costs most:

    1  the session token, and that its session is not over           try-later
    2  who guessed too often is told nothing more                    slow-down
    3  the domain is ours; a bounce has a signed return path         foreign, unsigned
    4  access rules: mailbox, domain, host                           denied
    5  more recipients in a minute than one client may               too-fast
    6  the recipient exists, is not suspended, is open to him        unknown, suspended, denied, try-later
    7  the client's name, the DNS lists (not after an `allow`)       no-reverse-name, listed
    8  the next hop, LDAP or a hook knows it (relayed domains)       unknown, try-later
    9  the mailbox has room                                          full
   10  greylisting (not after an `allow`)                            greylisted

What is known already of 7 goes before 6: whom a list names learns nothing about recipients.
"""

import functools
import hashlib
import itertools
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple

from mta.record import dataclass, replace
from mta.roles.directory import access, srs
from mta.roles.directory.access import Scope
from mta.roles.directory.clients import NOTHING_KNOWN, Clients, Standing
from mta.roles.directory.doors import OURS, STAYS_IN, Origin
from mta.roles.directory.letters import HeaderWanted, Letter
from mta.roles.directory.outward import Beyond
from mta.roles.directory.replies import Replies, nothing
from mta.roles.directory.resolve import Final, Judgement, Obstacle, Resolver
from mta.roles.directory.senders import NO_LIMITS, HostLimits, Sender, Senders
from mta.roles.directory.unknowns import Unknowns
from mta.snapshot.reader import Snapshot, SnapshotMissing, tell_state
from mta.snapshot.records import RecordError
from mta.vocabulary import Word, arrival_of, is_queue_id
from mta.windows import Window, client_key, grey_network
from mta.wire import messages as m
from mta.wire import tickets
from mta.wire.asking import Asking, Ways, later
from mta.wire.channel import Channel, ChannelClosed, Packet
from mta.wire.loop import Loop
from mta.wire.netstring import pack

LEDGER_SECONDS = 1.0  # a client waits for this answer
SOURCE_SECONDS = 2.0  # and for this one
HEADER_SECONDS = 10.0  # for this one a message waits that is ours already
PATIENCE_SECONDS = (
    3600.0  # so long a message whose header nobody can judge is tried again; then it stays in its mailbox
)
LATE_SECONDS = 0.03  # from a question to its answer where it is told late: asking the ledger or not does not show
LOOK_SECONDS = 0.02  # how old what we know of the snapshot's files may be when a question comes
FEW_PACKETS = 500  # unread by the scheduler, above which further answers wait
SOME_PACKETS = 100  # sent before looking at that again
PAUSE_SECONDS = 0.02
MAX_DETAIL = 200  # octets of words for the client
TRIPLET_OCTETS = 16
MAX_WAITING = 10_000  # questions that wait for another role's word; a client that asks then is told try-later

_UNRESOLVED = {
    # (permanent, status of RFC 3463, words)
    Obstacle.TOO_MANY: (False, b"4.5.3", b"The address leads to too many mailboxes; its owner has to change that"),
    Obstacle.RELAYED: (False, b"4.4.0", b"There is no way out to other hosts yet"),
    Obstacle.SUSPENDED: (False, b"4.2.1", b"The mailbox is suspended"),
    Obstacle.CLOSED: (True, b"5.7.1", b"The address takes no mail from this sender; ask its owner by another way"),
    Obstacle.UNKNOWN: (True, b"5.1.1", b"No such mailbox here"),
    Obstacle.RING: (True, b"5.4.6", b"The address leads back to itself"),
    Obstacle.FOREIGN: (True, b"5.4.4", b"This host does not send mail to that domain"),
}
_NOT_NOW = (False, b"4.3.0", b"Recipients cannot be looked up now")
_CAME_BACK = (True, b"5.4.6", b"It was here before and was sent on to another host, which sent it back")
_PARKED = (False, b"4.7.0", b"Its sender is suspended or braked; it waits until somebody looked at it")


@dataclass(frozen=True, slots=True)
class Decision:
    """What to say about a recipient."""

    word: Word
    detail: bytes = b""


Waiting = Callable[[Callable[[object], None]], bool]  # begins to find something out; False: nobody can tell
Steps = Generator[Waiting, object, Decision]

ACCEPT = Decision(Word.ACCEPT)
MAY_NOT_SEND = Decision(Word.DENIED, b"Your mailbox is suspended and may not send")
_WORDS_OF_SOURCE = {word.value: word for word in (Word.ACCEPT, Word.UNKNOWN, Word.FULL)}


@dataclass(frozen=True, slots=True)
class Protections:
    """What looks at the client rather than at the recipient."""

    unknowns: Unknowns
    clients: Clients
    recipients: Window
    recipients_per_minute: int  # of one client; 0: no limit
    trusted: Scope  # who has none
    relayers: Scope  # who may send to others' domains without a login
    sending: HostLimits = NO_LIMITS


class _LedgerAway(Exception):
    """What has to be kept cannot be."""


class _Case(NamedTuple):
    channel: Channel
    question: m.Question
    judgement: Judgement
    until: float = 0.0  # of `time.monotonic`: not answered before


class Desk:
    """Answers from *snapshot*."""

    def __init__(
        self, loop: Loop, snapshot: Snapshot, resolver: Resolver, protections: Protections, asking: Asking,
        ticket_key: bytes, session_key: bytes, clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        """*clock* gives seconds since 1970, for the tickets' expiry. *asking* has its peers before the first message."""
        self._loop, self._snapshot, self._resolver, self._asking = loop, snapshot, resolver, asking
        self._senders = Senders(snapshot.get, protections.sending)
        self.protect(protections)
        self._ticket_key, self._session_key, self._clock = ticket_key, session_key, clock
        self._replies = Replies(snapshot.get, resolver, self._senders, asking, ticket_key, clock)
        self._looked = 0.0
        self._changed = clock()  # seconds since 1970: since when the snapshot says what it says
        self._trouble = ""  # as last told to the journal
        self._complained = -1  # the state of the snapshot of which a wrong record was told
        self._waiting = 0
        self._expansions: deque[tuple[Channel, Iterator[m.Message]]] = deque()

    def protect(self, protections: Protections) -> None:
        """From now on by *protections*; what was counted before is forgotten."""
        self._unknowns, self._clients = protections.unknowns, protections.clients
        self._trusted, self._relayers = protections.trusted, protections.relayers
        self._senders.limits = protections.sending
        self._recipients, self._most_recipients = protections.recipients, protections.recipients_per_minute

    @property
    def peers(self) -> Ways:
        """Who hears of it."""
        return self._asking.peers

    # --- smtpd --------------------------------------------------------------------------------------------------------

    def asked(self, channel: Channel, packet: Packet) -> None:
        """A `Question` of an smtpd."""
        question = packet[0]
        if not isinstance(question, m.Question):
            channel.close()
            return
        if not self._is_true(question):
            # Answered, but by nothing that could be used: a supervisor replaces only what ended, so hanging up would
            # leave the honest conversations of that process without us, and stop no dishonest one.
            self.peers.event("token-refused", session=question.session, client=question.client)
            self._answer(_Case(channel, question, Judgement(Word.TRY_LATER)), Decision(Word.TRY_LATER))
            return
        if self._unknowns.silences(question.session, question.client):
            self._answer(_Case(channel, question, Judgement(Word.SLOW_DOWN)), Decision(Word.SLOW_DOWN))
            return
        is_login = self._is_logged_in(question)
        origin = Origin(
            question.identity if is_login else b"", question.reverse_path, self._is_relayer(question.client)
        )
        judgement = self._judge(question, origin)
        judgement = judgement.with_reverse_path(question.reverse_path)
        case = _Case(channel, question, judgement, time.monotonic() + LATE_SECONDS if judgement.late else 0.0)
        decision = self._decide_now(question, judgement)
        if is_login:
            self._ask_for(case, decision)
        elif decision is not None:
            self._answer(case, decision)
        elif self._waiting < MAX_WAITING:
            self._waiting += 1
            self._go(case, self._decide(question, judgement), None)
        else:
            self._answer(case, Decision(Word.TRY_LATER))

    def _is_true(self, question: m.Question) -> bool:
        """Is the session its client's, and not one that ended long ago?"""
        return tickets.session_token_holds(
            self._session_key, question.token, question.session, question.client
        ) and not tickets.is_session_over(question.session, self._clock())

    def _is_logged_in(self, question: m.Question) -> bool:
        """Does the authenticator's word hold that it is one of ours who asks?"""
        return bool(question.identity) and tickets.login_ticket_holds(
            self._ticket_key, question.login, question.session, question.identity, question.login_expiry,
            int(self._clock()),
        )  # fmt: skip

    def _ask_for(self, case: "_Case", decision: Decision | None) -> None:
        """Answer a mailbox that logged in: what holds for all, and then whether it may send as much."""
        try:
            sender = self._senders.find(case.question.identity)
        except (SnapshotMissing, RecordError) as error:
            self._complain(error)
            self._answer(case, Decision(Word.TRY_LATER))
            return
        if sender is None or sender.braked:
            self._answer(case, MAY_NOT_SEND if sender is None else Decision(Word.BRAKED))
        elif decision is not None and decision.word is not Word.ACCEPT:
            self._miss(sender, decision)
            self._answer(case, decision)
        elif self._waiting < MAX_WAITING:
            self._waiting += 1
            self._go(case, self._decide_for(case, sender, decision), None)
        else:
            self._answer(case, Decision(Word.TRY_LATER))

    def _decide_for(self, case: "_Case", sender: Sender, decision: Decision | None) -> Steps:
        if decision is None:
            decision = yield from self._decide(case.question, case.judgement)
        if decision.word is not Word.ACCEPT:
            self._miss(sender, decision)
            return decision
        answer = yield later(
            self._asking, "ledger", lambda tag: sender.spend(tag, case.question.forward_path), LEDGER_SECONDS
        )
        word = self._senders.heed(sender, answer)
        if not isinstance(answer, m.Spent):
            self.peers.event("limits-unknown", login=sender.identity, why="the ledger is away or slow")
        if word is Word.OVER_LIMIT and isinstance(answer, m.Spent):
            return Decision(word, b"Sending limit reached (%b); send the rest later" % answer.scope[:100])
        return Decision(word)

    def _miss(self, sender: Sender, decision: Decision) -> None:
        if decision.word is Word.UNKNOWN and sender.brake:
            self.peers.tell("ledger", m.Missed(sender.identity))

    def _is_relayer(self, client: bytes) -> bool:
        return bool(self._relayers and self._relayers.decide(client, b""))

    def _for_customer(self, question: m.Question, origin: Origin, judgement: Judgement) -> Judgement:
        """What is said to one of ours: others' domains too, and no doubt of the client; but whom we know not is unknown."""
        word, detail = judgement.word, judgement.detail
        if not self._resolver.lets_out(origin, question.forward_path):
            word, detail = Word.DENIED, STAYS_IN
        elif word is Word.FOREIGN and not isinstance(self._resolver.outside(question.forward_path), Obstacle):
            word = Word.ACCEPT
        return replace(
            judgement,
            word=word,
            detail=detail,
            scopes=(),
            checks_client=False,
            dnsbl=False,
            greylist=False,
            late=False,
            wants_tag=False,
        )

    def _judge(self, question: m.Question, origin: Origin) -> Judgement:
        self._look()
        try:
            judgement = self._resolver.judge(question.forward_path, origin)
            is_customer = origin.identity or origin.is_relayer
            return self._for_customer(question, origin, judgement) if is_customer else judgement
        except (SnapshotMissing, RecordError) as error:
            self._complain(error)
            return Judgement(Word.TRY_LATER)

    def _decide_now(self, question: m.Question, judgement: Judgement) -> Decision | None:
        """The decision, where nobody else's word is needed for it; else None."""
        if not judgement.key:
            return Decision(judgement.word, judgement.detail)
        allowed = None
        if judgement.scopes:
            allowed = access.decide(judgement.scopes, question.client, question.reverse_path)
            if allowed is False:
                return Decision(Word.DENIED)
        if self._is_too_fast(question.client):
            return Decision(
                Word.TOO_FAST, b"More than %d recipients in a minute; go on in a minute" % self._most_recipients
            )
        standing = self._clients.known(question.client) if self._looks_at_client(judgement, allowed) else NOTHING_KNOWN
        refusal = _refusal(standing, judgement, question.client)
        if refusal is not None:
            return refusal
        if judgement.word is not Word.ACCEPT and (standing is not None or not judgement.late):
            return Decision(judgement.word, judgement.detail)
        is_done = standing is not None and not judgement.asks_source and not judgement.quota_bytes
        return ACCEPT if is_done and not (judgement.greylist and not allowed) else None

    def _looks_at_client(self, judgement: Judgement, allowed: bool | None) -> bool:
        return judgement.checks_client and not allowed and (judgement.dnsbl or self._clients.wants_names)

    def _is_too_fast(self, client: bytes) -> bool:
        most = self._most_recipients
        return bool(
            most
            and self._recipients.count(client_key(client)) >= most
            and not (self._trusted.decide(client, b"") or self._is_relayer(client))
        )

    def _decide(self, question: m.Question, judgement: Judgement) -> Steps:
        """The decision for which somebody has to be asked, as a rule about a recipient whom nothing speaks against so far.

        Where it is told late, the client is looked at whoever the recipient is: the waiting for DNS would tell otherwise.
        """
        allowed = access.decide(judgement.scopes, question.client, question.reverse_path)
        if self._looks_at_client(judgement, allowed) and self._clients.known(question.client) is None:
            standing = yield functools.partial(self._clients.check, question.client)
            refusal = _refusal(standing, judgement, question.client) if isinstance(standing, Standing) else None
            if refusal is not None:
                return refusal
        if judgement.word is not Word.ACCEPT:
            return Decision(judgement.word, judgement.detail)
        if judgement.asks_source:
            answer = yield later(self._asking, "source", lambda tag: m.Exists(tag, judgement.key), SOURCE_SECONDS)
            word = (
                _WORDS_OF_SOURCE.get(answer.word, Word.TRY_LATER) if isinstance(answer, m.Existence) else Word.TRY_LATER
            )
            if word is not Word.ACCEPT:
                return Decision(word)
        if judgement.quota_bytes:
            answer = yield later(self._asking, "ledger", lambda tag: m.UsageOf(tag, judgement.counted), LEDGER_SECONDS)
            if not isinstance(answer, m.Usage):
                # Not full as far as we know: an overrun is delivered, a false refusal is lost.
                self.peers.event("usage-unknown", mailbox=judgement.counted, why="the ledger is away or slow")
            elif judgement.with_usage(answer.stored, answer.reserved, question.size) is Word.FULL:
                return Decision(Word.FULL)
        if judgement.greylist and not allowed:
            network, triplet = _triplet(question, judgement.key)
            answer = yield later(self._asking, "ledger", lambda tag: m.Grey(tag, network, triplet), LEDGER_SECONDS)
            if isinstance(answer, m.Greyed) and answer.wait_seconds:
                return Decision(Word.GREYLISTED, b"Not seen before; try again in %d seconds" % answer.wait_seconds)
        return ACCEPT

    def _go(self, case: "_Case", steps: Steps, heard: object) -> None:
        """On with *steps* after *heard*, as far as nobody has to be waited for."""
        while True:
            try:
                begin = steps.send(heard)
            except StopIteration as end:
                self._waiting -= 1
                self._answer(case, end.value)
                return
            if begin(functools.partial(self._go, case, steps)):
                return
            heard = None

    def _answer(self, case: "_Case", decision: Decision) -> None:
        channel, question, judgement, until = case
        word, counted, expiry, ticket = decision.word, b"", 0, b""
        if word is Word.UNKNOWN and self._unknowns.count(question.session, question.client):
            decision = Decision(word := Word.SLOW_DOWN)
            self.peers.event("unknown-too-often", client=question.client, session=question.session)
        if word is Word.ACCEPT:
            if self._most_recipients:
                self._recipients.add(client_key(question.client))
            counted = judgement.counted
            expiry = int(self._clock()) + tickets.TICKET_SECONDS
            ticket = tickets.ticket(
                self._ticket_key, question.session, question.reverse_path, question.forward_path, counted, expiry
            )
        verdict = m.Verdict(question.tag, word.value, counted, expiry, ticket, judgement.late, decision.detail)
        if until:
            self._loop.call_at(until, functools.partial(_answer_later, channel, verdict))
        else:
            _send(channel, verdict)

    def lost(self, channel: Channel) -> None:
        """A peer's channel closed. What was asked of one that ended is answered now, without it."""
        self._asking.lost(channel.peer)

    # --- scheduler ----------------------------------------------------------------------------------------------------

    def expand(self, channel: Channel, packet: Packet) -> None:
        """An `Expand` of the scheduler."""
        question = packet[0]
        if not isinstance(question, m.Expand):
            channel.close()
            return
        self._look()
        try:
            home = self._resolver.home_of(question.recipient)
        except (SnapshotMissing, RecordError):
            home = None  # Told with the answer.
        if isinstance(home, srs.Kept):
            self._ask_whose(channel, question, home.token)
        else:
            self._begin(channel, self._answers(channel, _for(question, home), _letter_of(question)))

    def _ask_whose(self, channel: Channel, question: m.Expand, token: bytes) -> None:
        """Expand a bounce whose sender the ledger knows."""

        def hear(answer: m.Message | None) -> None:
            if not isinstance(answer, m.KeptPath):
                self._begin(channel, iter([m.Unresolved(question.tag, *_NOT_NOW)]))
            else:
                self._begin(channel, self._answers(channel, _for(question, answer.path), _letter_of(question)))

        if not self._asking.ask("ledger", lambda tag: m.PathOf(tag, token), LEDGER_SECONDS, hear):
            hear(None)

    def _begin(self, channel: Channel, answers: Iterator[m.Message]) -> None:
        self._expansions.append((channel, answers))
        if len(self._expansions) == 1:
            self._go_on()

    def _go_on(self) -> None:
        """Send answers as far as the scheduler reads: all at once, a large one would overflow the channel and close it."""
        while self._expansions:
            channel, answers = self._expansions[0]
            if channel.backlog > FEW_PACKETS:
                self._loop.call_later(PAUSE_SECONDS, self._go_on)
                return
            some = list(itertools.islice(answers, SOME_PACKETS))
            is_there = all(_send(channel, answer) for answer in some)
            if not is_there or len(some) < SOME_PACKETS:
                self._expansions.popleft()

    def _ask_header(self, channel: Channel, question: m.Expand, letter: Letter, wanted: HeaderWanted) -> None:
        """Expand once it is known what the header of the message says of *wanted*."""
        asked = wanted.conditions

        def hear(answer: m.Message | None) -> None:
            is_told = isinstance(answer, m.Judged) and answer.word in (b"yes", b"no")
            if not is_told and self._is_young(question.queue_id):
                self._begin(channel, iter([m.Unresolved(question.tag, *_NOT_NOW)]))
                return
            if not is_told:
                self.peers.event("conditions-unjudged", queue_id=question.queue_id, final_recipient=wanted.key)
            letter.judged[asked] = isinstance(answer, m.Judged) and answer.word == b"yes"
            self._begin(channel, self._answers(channel, question, letter))

        def make(tag: int) -> m.Judge:
            return m.Judge(tag, question.queue_id, question.authority, asked.spam, asked.subjects)

        if not self._asking.ask("bouncer", make, HEADER_SECONDS, hear):
            hear(None)

    def _is_young(self, queue_id: bytes) -> bool:
        return is_queue_id(queue_id) and self._clock() - arrival_of(queue_id) < PATIENCE_SECONDS

    def _answers(self, channel: Channel, question: m.Expand, letter: Letter) -> Iterator[m.Message]:
        self._look()
        try:
            identity = question.identity
            if identity and (self._resolver.may_not_send(identity) or self._senders.is_braked(identity)):
                yield m.Unresolved(question.tag, *_PARKED, parked=True)
                return
            origin = self._origin_of(question)
            found = self._resolver.expand(question.recipient, origin, letter)
            if not self._resolver.lets_out(origin, question.recipient):
                found = Obstacle.CLOSED
            elif found is Obstacle.FOREIGN and self._may_leave(question):
                found = self._resolver.outside(question.recipient)
            if question.passed and _sends_on(found):
                yield m.Unresolved(question.tag, *_CAME_BACK)
                return
            ends = found if isinstance(found, Obstacle) else [self._answer_of(question, end) for end in found]
        except HeaderWanted as wanted:
            self._ask_header(channel, question, letter, wanted)
            return
        except (SnapshotMissing, RecordError, _LedgerAway) as error:
            self._complain(error)
            yield m.Unresolved(question.tag, *_NOT_NOW)
            return
        if isinstance(ends, Obstacle):
            permanent, status, words = _UNRESOLVED[ends]
            yield m.Unresolved(question.tag, permanent, status, words, permanent and self._could_have_refused(question))
            return
        yield from ends[:-1]
        yield ends[-1].but(last=True)

    def _answer_of(self, question: m.Expand, end: Final | Beyond) -> m.Expansion | m.Outward:
        if isinstance(end, Final):
            replies, proof = self._replies.of(question, end)
            return m.Expansion(
                question.tag,
                end.recipient,
                end.domain,
                end.store,
                end.counted,
                last=False,
                replies=replies,
                proof=proof,
            )
        route = self._resolver.route_of(end, question.sender)
        is_own = self._may_leave(question)
        reverse_path, kept = self._resolver.reverse_path_of(end, question.sender, is_own=is_own)
        if kept is not None and not self.peers.tell("ledger", m.KeepPath(kept.token, question.sender)):
            raise _LedgerAway  # Its bounce could not come home.
        return m.Outward(question.tag, end.recipient, end.domain, route, reverse_path, last=False)

    def _origin_of(self, question: m.Expand) -> Origin:
        if not question.identity and not question.client:
            return OURS
        return Origin(question.identity, question.sender, self._is_relayer(question.client))

    def _may_leave(self, question: m.Expand) -> bool:
        """May this message go to others' domains? Those of strangers are for us; a domain of ours may be gone since."""
        return not question.client or bool(question.identity) or self._is_relayer(question.client)

    def _could_have_refused(self, question: m.Expand) -> bool:
        """Would we have said so when the message came, so that its client and no innocent outsider would have heard of it?

        What changed since may have been another record; then we cannot tell, unless the domain lets everything in.
        """
        if not question.reverse_path or not is_queue_id(question.queue_id):
            return False
        is_old_news = self._changed < arrival_of(question.queue_id)
        try:
            return not self._resolver.is_ours(question.reverse_path) and (
                is_old_news or self._resolver.lets_in(question.recipient)
            )
        except (SnapshotMissing, RecordError):
            return False

    # --- bouncer ------------------------------------------------------------------------------------------------------

    def met_bouncer(self, channel: Channel, packet: Packet) -> None:
        """A question of the bouncer, or its answer."""
        message = packet[0]
        if isinstance(message, m.LanguageOf):
            self._tell_language(channel, message)
        elif isinstance(message, m.ReplyOf):
            self._tell_reply(channel, message)
        else:
            self._asking.answered(channel, packet)

    def _tell_reply(self, channel: Channel, question: m.ReplyOf) -> None:
        self._look()
        try:
            self._replies.asked(channel, question)
        except (SnapshotMissing, RecordError) as error:
            self._complain(error)
            _send(channel, nothing(question))

    def _tell_language(self, channel: Channel, question: m.LanguageOf) -> None:
        self._look()
        try:
            language = self._resolver.language_of(question.reverse_path, question.recipient)
        except (SnapshotMissing, RecordError) as error:
            self._complain(error)
            language = b""
        _send(channel, m.Language(question.tag, language))

    # --- snapshot -----------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Take what was published now, and tell the journal when it cannot be used."""
        self._looked = 0.0
        self._look()

    def _look(self) -> None:
        """Take what was published, unless we looked a moment ago."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        if self._snapshot.refresh():
            self._changed = self._clock()
            self._resolver.forget()
        if self._snapshot.trouble != self._trouble:
            self._trouble = self._snapshot.trouble
            tell_state(self.peers.event, self._trouble)

    def _complain(self, error: Exception) -> None:
        """Tell the journal that a question could not be answered; once for each state of the snapshot, not each time."""
        if self._snapshot.serial != self._complained and isinstance(error, RecordError):
            self._complained = self._snapshot.serial
            self.peers.event("snapshot-record-wrong", why=str(error))


def _sends_on(found: list[Final | Beyond] | Obstacle) -> bool:
    """Does an alias or a forwarding of ours lead to another host?"""
    return not isinstance(found, Obstacle) and any(isinstance(end, Beyond) and end.is_forwarded for end in found)


def _for(question: m.Expand, home: bytes | None) -> m.Expand:
    """*question*, with *home* in place of a return path that we made: leading it on is our own promise, whoever brought it."""
    return question if not home else question.but(recipient=home, client=b"")


def _letter_of(question: m.Expand) -> Letter:
    return Letter(question.sender, question.size)


def _send(channel: Channel, message: m.Message) -> bool:
    """Answer; who asked may be gone by now, and then nobody waits."""
    try:
        channel.send(message)
    except ChannelClosed:
        return False
    return True


def _answer_later(channel: Channel, verdict: m.Verdict) -> None:
    _send(channel, verdict)


def _refusal(standing: Standing | None, judgement: Judgement, client: bytes) -> Decision | None:
    """Why the client itself is a reason to refuse, if it is."""
    if standing is None:
        return None
    if standing.listed_in and judgement.dnsbl:
        words = b"%b is on the list %b; have it taken off there, or write to postmaster" % (client, standing.listed_in)
        return Decision(Word.LISTED, words[:MAX_DETAIL])
    return Decision(Word.NO_REVERSE_NAME) if standing.is_nameless else None


def _triplet(question: m.Question, key: bytes) -> tuple[bytes, bytes]:
    """The network that the client is in, and a digest of network, reverse-path and recipient."""
    network = grey_network(question.client)
    fields = pack([network, question.reverse_path.lower(), key])
    return network, hashlib.blake2b(fields, digest_size=TRIPLET_OCTETS).digest()
