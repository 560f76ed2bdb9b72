"""The compiler as a process: looks for changes, publishes them, and carries word between database, storekeeper and ledger.

A reader would otherwise get wrong: a database that cannot be read is not an error here. It is told to the journal once, and
looked at again every second, for as long as it takes.
"""

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from appliance.compile import collect, removals
from appliance.compile.check import NotPublished
from appliance.compile.consents import Consents
from appliance.compile.facts import apply, record
from appliance.compile.keymaker import KeyMaker
from appliance.compile.publish import Locked, Publisher
from appliance.compile.recoveries import FIRST_TAG, Recoveries
from appliance.compile.retention import Retention
from appliance.compile.source import DatabaseAway, Query, Source
from appliance.compile.trail import Trail
from appliance.compile.webhooks import Webhooks
from mta.seal import Opener
from mta.snapshot.cdb import CdbError
from mta.snapshot.writer import NotContinued
from mta.vocabulary import store_name
from mta.wire import messages as m
from mta.wire.channel import Channel, Packet
from mta.wire.loop import Loop

LOOK_SECONDS = 0.05  # a change is to be in force within a second
REST_SECONDS = 0.04  # after a look that was asked for: what others commit meanwhile is published together
AWAY_SECONDS = 1.0
COMPACT_SECONDS = 0.02  # of work between two looks
TASKS_AT_ONCE = 200
TASK_RETRY_SECONDS = 5.0
BATCH_SECONDS = 0.05  # of tasks that are done: their rows are removed together
OUTBOX_SECONDS = 1.0
PRUNE_SECONDS = 3600.0
EXPIRY_SECONDS = 5.0  # how late an access rule may end that was made to end
KEPT_CHANGES = (
    100_000  # below the published one: so much older may a snapshot be that was put back, without a full compilation
)


class Ways(Protocol):
    """What is needed of `mta.wire.control.Peers`."""

    def tell(self, name: str, message: m.Message) -> bool:
        """Send what needs no answer; False when the peer is away."""

    def event(self, name: str, **pairs: bytes | str | int) -> None:
        """Tell the journal."""


class Compiler:
    """Runs *publisher* over *source*. `peers` must be set before `begin`.

    *signer* is the public key of the role signer; without it domains get no keys to sign with. *consent_key*: without it nobody
    is asked whether mail may go on to him; *panel* is where he answers. *opener*: without it no webhook is told anything.
    """

    peers: Ways

    def __init__(
        self,
        loop: Loop,
        source: Source,
        publisher: Publisher,
        signer: bytes = b"",
        consent_key: bytes = b"",
        panel: str = "",
        opener: Opener | None = None,
    ) -> None:
        self._loop, self._source, self._publisher = loop, source, publisher
        self._stamp: object = None
        self._trouble = ""
        self._is_compacting = False
        self._rests_until = 0.0
        self._is_asked = False  # and the look is to come
        self.stores = Stores(self)
        self.outbox = Outbox(self)
        self.keys = KeyMaker(loop, self, signer)
        self.consents = Consents(self, consent_key, panel)
        self.recoveries = Recoveries(self, consent_key, panel)
        self.webhooks = Webhooks(self, opener)
        self.trail = Trail(publisher.folder, self)
        self.retention = Retention(self)

    def begin(self) -> None:
        """Publish what there is, and look for changes from now on."""
        self._look()
        self.outbox.ask()
        self._expire()
        self.keys.begin()
        self.consents.begin()
        self.recoveries.begin()
        self.retention.begin()
        self.webhooks.begin()
        self._loop.call_later(PRUNE_SECONDS, self._prune)

    def noticed(self, channel: Channel, packet: Packet) -> None:
        """The bouncer wrote to somebody, or could not now."""
        is_recovery = isinstance(packet[0], m.Noticed) and packet[0].tag >= FIRST_TAG
        (self.recoveries if is_recovery else self.consents).answered(channel, packet)

    def look_again(self) -> None:
        """We wrote a change ourselves; the stamp tells of others' alone."""
        self._stamp = None

    def reroute(self, fixed: Mapping[str, str]) -> None:
        """The settings file names these next hops now."""
        self._publisher.fixed, self._stamp = fixed, None
        self._work()

    def poked(self, channel: Channel, packet: Packet) -> None:
        """Somebody committed a change just now."""
        if not isinstance(packet[0], m.Poke):
            channel.close()
            return
        if self._is_asked:
            return
        # A look costs as much for a hundred changes as for one, and takes the time of those who make them.
        wait = self._rests_until - time.monotonic()
        if wait > 0:
            self._is_asked = True
            self._loop.call_later(wait, self._look_for_others)
        else:
            self._look_for_others()

    def _look_for_others(self) -> None:
        self._is_asked = False
        # Who pokes has committed. PostgreSQL's word of it may still be on its way, and the stamp would say that nothing is new.
        self._stamp = None
        self._work()
        self._rests_until = time.monotonic() + REST_SECONDS

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call *callback* in *seconds*."""
        self._loop.call_later(seconds, callback)

    def write(self, act: Callable[[Query], None]) -> bool:
        """*act* in a transaction of its own; False when the database is away: try again later."""
        try:
            with self._source.writing() as query:
                act(query)
        except DatabaseAway as error:
            self._complain(str(error))
            return False
        return True

    def change(self, act: Callable[[Query], None]) -> bool:
        """As `write`, for what is to be published."""
        is_written = self.write(act)
        if is_written:
            self._stamp = None  # It tells what others wrote, and this we did ourselves.
        return is_written

    def read(self, act: Callable[[Query], None]) -> bool:
        """*act* on one state of the database; False when it is away."""
        try:
            with self._source.reading() as query:
                act(query)
        except DatabaseAway as error:
            self._complain(str(error))
            return False
        return True

    def _look(self) -> None:
        is_well = self._work()
        if is_well and self._is_compacting:
            self._compact()
        self._loop.call_later(LOOK_SECONDS if is_well else AWAY_SECONDS, self._look)

    def _work(self) -> bool:
        """Do what there is to do, if anything changed since we last did; False when the database is away."""
        try:
            stamp = self._source.stamp()
            if stamp == self._stamp:
                return True
            self._publish()
            self._serve_requests()
            self.keys.look()
            self.consents.look()
            self.recoveries.look()
            self.webhooks.look()
            with self._source.reading() as query:
                self.stores.take(query)
                self.trail.look(query)
            # The stamp from *before* the work: what changed meanwhile is looked at next time.
            self._stamp = stamp
        except Locked:
            return True  # `postern publish` is at it; the stamp stays old, so we look again
        except NotPublished as error:
            self._complain(str(error))
            self._refuse_requests(str(error))
            return False
        except (DatabaseAway, NotContinued, CdbError, OSError) as error:
            self._complain(str(error))
            return False
        self._complain("")
        return True

    def _publish(self, *, full: bool = False) -> None:
        began = time.monotonic()
        published = self._publisher.step(full=full)
        if published is not None:
            spent = int(1000 * (time.monotonic() - began))
            kind = "full" if published.full else "changes"
            self.peers.event(
                "published", change=published.change, records=published.records, kind=kind, milliseconds=spent
            )
            self._is_compacting = True

    def _serve_requests(self) -> None:
        """`postern publish` waits for these; what cannot be published is said there too."""
        with self._source.reading() as query:
            statement = (
                'SELECT id, "full" FROM publish_request WHERE done_change IS NULL AND failure IS NULL ORDER BY id'
            )
            waiting = [(number, bool(full)) for number, full in query.rows(statement)]
        if not waiting:
            return
        if any(full for _, full in waiting):
            self._publish(full=True)
        with self._source.writing() as query:
            done = self._publisher.change()
            for number, _ in waiting:
                query.run("UPDATE publish_request SET done_change = ? WHERE id = ?", (done, number))

    def _refuse_requests(self, why: str) -> None:
        # Not by `write`, which would complain of the database once more.
        try:
            with self._source.writing() as query:
                statement = "UPDATE publish_request SET failure = ? WHERE done_change IS NULL AND failure IS NULL"
                query.run(statement, (why,))
        except DatabaseAway as error:
            self.peers.event("request-unanswered", why=str(error))

    def _compact(self) -> None:
        try:
            self._is_compacting = self._publisher.compact_a_little(COMPACT_SECONDS)
        except Locked:
            return
        except (OSError, CdbError) as error:
            self._is_compacting = False
            self.peers.event("compaction-failed", why=str(error))

    def _expire(self) -> None:
        """Remove access rules and aliases whose time is over, and announce it: nobody else does anything at that moment."""
        rules: list[tuple[int, str]] = []
        aliases: list[tuple[int, str, int, int]] = []

        def look(query: Query) -> None:
            moment = int(time.time())
            rules.extend(collect.expired(query, moment))
            aliases.extend(collect.expired_aliases(query, moment))

        if not self._trouble and self.read(look) and (rules or aliases):
            self.change(lambda query: _remove_expired(query, rules, aliases))
        self._end_removals()
        self._loop.call_later(EXPIRY_SECONDS, self._expire)

    def _end_removals(self) -> None:
        """Forget what cannot be undone any more, a few at a time, and have its mail put away."""
        due: list[removals.Due] = []
        if not self._trouble and self.read(lambda query: due.extend(removals.due(query, int(time.time())))) and due:
            self.change(lambda query: removals.end(query, due))

    def _prune(self) -> None:
        """Forget changes that no snapshot needs any more; never the newest, which is the database's age."""
        try:
            limit = self._publisher.change() - KEPT_CHANGES
        except (NotPublished, OSError) as error:
            self._complain(str(error))
        else:
            if limit > 0 and not self._trouble:
                self.write(lambda query: _forget_changes(query, limit))
        self._loop.call_later(PRUNE_SECONDS, self._prune)

    def _complain(self, trouble: str) -> None:
        """Tell the journal what is wrong, or that it is mended, once and not each second."""
        if trouble != self._trouble:
            self._trouble = trouble
            self._stamp = None
            self.peers.event("not-publishing" if trouble else "publishing-again", why=trouble)


class Stores:
    """Stores to make or put aside: rows that the storekeeper works off.

    Many are made at once, but within a domain nothing happens beside putting aside: tried again after its address was
    given anew, that would take the wrong store.
    """

    def __init__(self, compiler: Compiler) -> None:
        self._compiler = compiler
        self._asked: dict[int, str] = {}  # number of the task, its domain
        self._held: set[str] = set()  # domains with a task that could not be done and waits
        self._done: set[int] = set()

    def take(self, query: Query) -> None:
        """Ask for what may be done now."""
        closed, making = set(self._held), set[str]()
        statement = "SELECT id, op, domain, local_part, removal_id, until FROM store_task ORDER BY id LIMIT ?"
        for number, operation, domain, *rest in query.rows(statement, (TASKS_AT_ONCE + len(self._done),)):
            if number in self._done or domain in closed:
                continue
            if operation != "make":
                closed.add(domain)
                if domain in making:
                    continue
            making.add(domain)
            if number in self._asked:
                continue
            if not self._compiler.peers.tell("storekeeper", _order(number, operation, domain, *rest)):
                return  # Away; when it is found again we look again.
            self._asked[number] = domain

    def answered(self, channel: Channel, packet: Packet) -> None:
        """The storekeeper did a task, or could not."""
        answer = packet[0]
        if not isinstance(answer, m.StoreDone):
            channel.close()
            return
        domain = self._asked.pop(answer.tag, None)
        if domain is None:
            return
        if answer.done:
            if not self._done:
                self._compiler.later(BATCH_SECONDS, self._forget_done)
            self._done.add(answer.tag)
            return
        self._held.add(domain)
        self._compiler.peers.event("store-task-held", domain=domain, task=answer.tag, why=answer.text)
        self._compiler.later(TASK_RETRY_SECONDS, lambda: self._try_again(domain))

    def lost(self) -> None:
        """The storekeeper ended: what it was asked is asked again of the next."""
        self._asked.clear()

    def look(self) -> None:
        """Is there something to do?"""
        self._compiler.read(self.take)

    def _forget_done(self) -> None:
        """Remove the rows of what is done, many in one transaction, and take the next."""

        def act(query: Query) -> None:
            for number in self._done:
                query.run("DELETE FROM store_task WHERE id = ?", (number,))

        if self._compiler.write(act):
            self._done.clear()
            self.look()
        else:
            self._compiler.later(AWAY_SECONDS, self._forget_done)

    def _try_again(self, domain: str) -> None:
        self._held.discard(domain)
        self.look()


class Outbox:
    """What the ledger learned, written where the panel shows it. Applying a fact twice does no harm.

    Most of it no snapshot record shows; what one does is announced as a change, and published as any other.
    """

    def __init__(self, compiler: Compiler) -> None:
        self._compiler = compiler
        self._after = 0
        self._tag = 0
        self._facts: list[m.Fact] = []

    def ask(self) -> None:
        """Ask for what is new, now and every second."""
        self._compiler.later(OUTBOX_SECONDS, self.ask)
        self._ask()

    def answered(self, channel: Channel, packet: Packet) -> None:
        """One fact, or the end of what there is."""
        fact = packet[0]
        if not isinstance(fact, m.Fact):
            channel.close()
        elif fact.tag == self._tag and fact.number:
            self._facts.append(fact)
        elif fact.tag == self._tag:
            self._apply()

    def lost(self) -> None:
        """The ledger ended. The next may have a new store, whose facts are counted from one again."""
        self._after = 0

    def _ask(self) -> None:
        self._tag += 1
        self._facts = []
        self._compiler.peers.tell("ledger", m.Outbox(self._tag, self._after))

    def _apply(self) -> None:
        facts, self._facts = self._facts, []
        news: list[bool] = []
        if facts and self._compiler.write(lambda query: news.append(apply(query, facts))):
            self._after = facts[-1].number
            if any(news):
                self._compiler.look_again()
            self._ask()


def _order(
    number: int, operation: str, domain: str, local_part: str, removal_id: int | None, until: int | None
) -> m.Message:
    """What storekeeper is told of a task."""
    name, store = domain.encode(), store_name(local_part).encode() if local_part else b""
    match operation:
        case "make":
            return m.MakeStore(number, name, store)
        case "keep":
            return m.KeepStore(number, name, store, removal_id or 0, until or 0)
        case "restore":
            return m.RestoreStore(number, name, removal_id or 0)
        case "drop":
            return m.DropStore(number, name, removal_id or 0)
    return m.TrashStore(number, name, store)


def _remove_expired(query: Query, rules: list[tuple[int, str]], aliases: list[tuple[int, str, int, int]]) -> None:
    _remove_rules(query, rules)
    moment = int(time.time())
    for number, key, domain_id, tenant_id in aliases:
        # Somebody may have given it more time meanwhile.
        if not any(query.rows("SELECT 1 FROM alias WHERE id = ? AND expires_at <= ?", (number, moment))):
            continue
        query.run("DELETE FROM alias_target WHERE alias_id = ?", (number,))
        query.run("DELETE FROM alias WHERE id = ?", (number,))
        for kind in ("address", "senders"):
            query.run("INSERT INTO change (kind, key) VALUES (?, ?)", (kind, key))
        record(query, "alias.expired", key, tenant_id, domain_id, {})


def _remove_rules(query: Query, rules: list[tuple[int, str]]) -> None:
    for number, _ in rules:
        query.run("DELETE FROM access_rule WHERE id = ?", (number,))
    for scope in dict.fromkeys(scope for _, scope in rules):
        query.run("INSERT INTO change (kind, key) VALUES ('rules', ?)", (scope,))


def _forget_changes(query: Query, limit: int) -> None:
    query.run("DELETE FROM change WHERE id < ?", (limit,))
