"""A queue over hands that keep everything in memory and peers that answer what they are told to."""

from mta.roles.scheduler.queue import Queue
from mta.roles.scheduler.retry import Lifetimes
from mta.spool.envelope import Envelope, Generation, Recipient, render, with_identity
from mta.wire import messages as m

DAY = 86400.0
ARRIVAL = 1_800_000_000


def queue_id_of(number, arrival=ARRIVAL):
    return b"%016x%04x" % (arrival * 1_000_000 + number, number & 0xFFFF)


def envelope_of(
    *forward_paths, generation=Generation.ORDINARY, reverse_path=b"a@client.test", arrival=ARRIVAL, options=b"",
    of_recipients=b"", session=b"S1", identity=b"",
):  # fmt: skip
    return Envelope(
        arrival, 100, reverse_path, with_identity(options, identity) if identity else options, session, b"192.0.2.7", generation,
        tuple(Recipient(path, b"", of_recipients) for path in forward_paths or (b"joe@example.test",)),
    )  # fmt: skip


class Hands:
    """Files in dictionaries, words to peers in a list."""

    def __init__(self):
        self.envelopes, self.progresses = {}, {}
        self.away, self.said, self.events = set(), [], []
        self.full = False
        self.answers = []  # to operators
        self.settled = []  # what was recorded by then, each time
        self.settles = True

    def there(self, peer):
        return peer not in self.away

    def tell(self, peer, message):
        if peer in self.away:
            return False
        self.said.append((peer, message))
        return True

    def answer(self, message):
        self.answers.append(message)

    def envelope(self, queue_id):
        return self.envelopes.get(queue_id)

    def progress(self, queue_id):
        return self.progresses.get(queue_id, b"")

    def record(self, queue_id, lines):
        if self.full:
            return False
        self.progresses[queue_id] = self.progresses.get(queue_id, b"") + lines
        return True

    def settle(self):
        self.settled.append(dict(self.progresses))
        return self.settles

    def authority(self, queue_id, *, full):
        return (b"full" if full else b"header") + b" authority of " + queue_id

    def glance(self, queue_id):
        return b"glance at " + queue_id

    def event(self, name, **pairs):
        self.events.append((name, pairs))


class Rig:
    """A queue and everybody it speaks to. What the world answers can be set."""

    def __init__(self, hands=None, now=ARRIVAL + 1.0):
        self.hands = hands or Hands()
        self.queue = Queue(self.hands, Lifetimes(5 * DAY, DAY), lambda: 0.5)
        self.now = now
        self.expansions = {}  # forward-path: final recipients, or Unresolved's (permanent, status)
        self.outcomes = {}  # final recipient: (action, status)
        self.diagnostic_code = b"said so"  # of every delivery
        self.delivered = []  # (queue id, final recipient), each time
        self.notified = []  # (queue id, reported recipients)
        self.bounces = []  # the same as (Bounce, [ReportedRecipient])
        self.cleans = True
        self.refusable = False  # what the directory says of a recipient that is gone
        self.bounces_done = True
        self.silent = set()  # peers that do not answer
        self.outward = {}  # forward-path: Hop's domain and route, for what goes to another host
        self.hosts = {}  # domain: (action, status, host_trouble, retry_after) of each recipient there
        self.sent = []  # (queue id, domain, recipients), each time
        self.asked_of_hosts = []  # the options of each recipient of them
        self.notifying = set()  # domains whose hosts know DSN
        self.mute = set()  # domains whose hosts take their time
        self.hanging = []  # what they have: Send and recipients
        self.relayed = []  # the same, of those that were taken
        self.answering = {}  # final recipient: what the directory says of a mailbox that answers by itself
        self.replies = []  # what the bouncer was asked for
        self._sending = {}
        self._collecting = {}

    def accept(self, number=1, envelope=None, *, tell=True, inline=True):
        queue_id = queue_id_of(number)
        octets = self.hands.envelopes[queue_id] = render(envelope or envelope_of())
        if tell:
            self.queue.queued(queue_id, octets if inline else b"")
        return queue_id

    def list(self):
        self.queue.listed(list(self.hands.envelopes), list(self.hands.progresses), self.now)

    def run(self):
        """Until nobody has anything to say."""
        self.queue.tick(self.now)
        self.queue.pump(self.now)
        while self.hands.said:
            peer, message = self.hands.said.pop(0)
            if peer not in self.silent:
                getattr(self, "_" + type(message).__name__.lower())(message)
            if not self.hands.said:
                self.queue.give_old_turns()
                self.queue.pump(self.now)

    def later(self, seconds):
        """Time passes, and then everything runs."""
        self.now += seconds
        self.run()

    def _expand(self, question):
        finals = self.expansions.get(question.recipient, [question.recipient])
        if isinstance(finals, tuple):
            answer = m.Unresolved(question.tag, *finals, b"because", self.refusable and question.reverse_path != b"")
            self.queue.unresolved(answer, self.now)
            return
        for final in finals:
            if final in self.outward or final.endswith(b".out.test"):
                domain, route = self.outward.get(final, (final.rpartition(b"@")[2], b""))
                answer = m.Outward(question.tag, final, domain, route, question.sender, final == finals[-1])
                self.queue.outward_end(answer, self.now)
                continue
            store, _, domain = final.partition(b"@")
            replies, proof = self.answering.get(final, (b"", b""))
            answer = m.Expansion(question.tag, final, domain, store, b"", final == finals[-1], replies, proof)
            self.queue.expansion(answer, self.now)

    def _deliver(self, request):
        action, status = self.outcomes.get(request.recipient, (b"delivered", b"2.0.0"))
        if action == b"delivered":
            self.delivered.append((request.queue_id, request.recipient))
        self.queue.attempted(m.Attempted(request.tag, action, status, self.diagnostic_code, 10), self.now)

    def _send(self, request):
        self._sending[request.tag] = (request, [])

    def _sendrecipient(self, request):
        send, recipients = self._sending[request.tag]
        recipients.append(request.recipient)
        self.asked_of_hosts.append((request.recipient, request.options))
        if len(recipients) == send.recipients:
            self.sent.append((send.queue_id, send.domain, tuple(recipients)))
            if send.domain in self.mute:
                self.hanging.append((send, recipients))
            else:
                self.answer_send(send, recipients)

    def answer_send(self, send, recipients):
        action, status, *trouble = self.hosts.get(send.domain, (b"relayed", b"2.0.0"))
        is_host, retry_after = trouble or (False, 0)
        for index, final in enumerate(recipients):
            one, why = self.outcomes.get(final, (action, status)) if action == b"relayed" else (action, status)
            if one == b"relayed":
                self.relayed.append((send.queue_id, send.domain, (final,)))
            notifies = one == b"relayed" and send.domain in self.notifying
            answer = m.Sent(send.tag, index, one, why, b"it said", b"mx.out.test (192.0.2.9)", notifies=notifies)
            self.queue.outward.sent(answer, self.now)
        self.queue.outward.done(m.SendDone(send.tag, is_host, retry_after), self.now)

    def _bounce(self, request):
        self._collecting[request.tag] = (request, [])

    def _reportedrecipient(self, request):
        bounce, recipients = self._collecting[request.tag]
        recipients.append(request)
        if len(recipients) == bounce.recipients:
            if self.bounces_done:
                self.notified.append((bounce.queue_id, sorted(r.final_recipient for r in recipients)))
                self.bounces.append((bounce, recipients))
            self.queue.bounced(m.Bounced(request.tag, self.bounces_done), self.now)

    def _reply(self, request):
        self.replies.append(request)
        self.queue.replied(m.Replied(request.tag), self.now)

    def _clean(self, request):
        if self.cleans:
            for queue_id in request.queue_ids:
                self.hands.envelopes.pop(queue_id, None)
                self.hands.progresses.pop(queue_id, None)
        self.queue.cleaned(m.Cleaned(self.cleans, request.queue_ids))
