"""Every event that a role may tell the journal: its name, who says it, what it carries. Whoever reads the log reads this.

A reader would otherwise get wrong: an event is a decision, not a trace of the program. A name here is a promise to scripts,
so it is changed as carefully as a setting. Never content, never a secret: pairs are envelope, ids, counts and reasons.

Besides its pairs each line bears `time`, `role` (of the channel it came over; nobody can claim another) and `event`. A role
that says what only another may say is written down all the same, and counted and believed by nobody (`is_credible`).
tests/architecture/test_events.py holds the sources to this list.
"""

from typing import Final

from mta.record import dataclass

ANYBODY: Final = "*"


@dataclass(frozen=True, slots=True)
class Kind:
    """What is fixed about all events of one name."""

    meaning: str
    roles: tuple[str, ...]
    pairs: tuple[str, ...] = ()
    quiet: bool = False  # the operator is not told as it happens: somebody else tells it, or it is how things should be
    figure: str = ""  # not a line of the log at all but a number that stands until the next: what it counts


_CLIENT = ("session", "client")
_RECIPIENT = (
    "queue_id",
    "original_recipient",
    "final_recipient",
    "status",
    "diagnostic_code",
    "remote_mta",
    "tls",
    "stage",
)

EVENTS: Final[dict[str, Kind]] = {
    # --- a client and its conversation
    "connected": Kind("a client's socket went to an smtpd", ("listener",), (*_CLIENT, "service"), quiet=True),
    "turned-away": Kind(
        "clients were told 421 or 554 at the door, for one reason within a second; the last of them is named",
        ("listener",), ("reason", "connections", "client", "why"),
    ),
    "refused": Kind(
        "a command, a recipient or a message was answered with 4yz or 5yz",
        ("smtpd", "submissiond", "qmtpd"), (*_CLIENT, "reply", "reverse_path", "forward_path", "identity"),
    ),
    "broken-off": Kind("a client of QMTP or QMQP was hung up on", ("qmtpd",), (*_CLIENT, "why")),
    "fault": Kind(
        "an error of ours ended a conversation", ("smtpd", "submissiond"), (*_CLIENT, "fault", "error", "where")
    ),
    "token-refused": Kind("an smtpd asked for a session that is not its own", ("directory", "authenticator"), _CLIENT),
    "unknown-too-often": Kind("a client guesses addresses; answers slow down", ("directory",), _CLIENT),
    "usage-unknown": Kind("a quota was not looked at: the ledger is away or slow", ("directory",), ("mailbox", "why")),
    "source-trouble": Kind("who knows a relayed domain's recipients cannot be asked", ("source",), ("domain", "why")),
    "proof-refused": Kind("a session token or ticket did not hold", ("enqueuer", "signer"), (*_CLIENT, "what")),
    "cell-not-started": Kind("no process for a conversation", ("smtpdspawn", "submissionspawn"), (*_CLIENT, "why")),
    "cell-ended": Kind(
        "a conversation's process ended with a status", ("smtpdspawn", "submissionspawn"), (*_CLIENT, "status")
    ),
    # --- a message
    "accepted": Kind(
        "a client's message is ours now; it heard 250",
        ("enqueuer",), (*_CLIENT, "queue_id", "reverse_path", "forward_path", "recipients", "size"),
    ),
    "queued": Kind(
        "a notification of our own is in the queue",
        ("enqueuer",), ("queue_id", "original_queue_id", "forward_path", "size"),
    ),
    "submitted": Kind(
        "what a user sent was looked at, signed so many times, and is ours now",
        ("submitter",), (*_CLIENT, "identity", "queue_id", "signatures"),
    ),
    "author-refused": Kind(
        "a user wrote as somebody whom he may not write as", ("submitter",), (*_CLIENT, "identity", "author", "rule")
    ),
    "signed": Kind(
        "a user's message got DKIM signatures", ("signer",), ("session", "identity", "domain", "selectors"), quiet=True
    ),
    "signing-keys-unusable": Kind("a domain's keys to sign with make no sense", ("signer",), ("domain", "why")),
    "client-unanswered": Kind("a message was taken, and nobody was there to hear it", ("enqueuer",), ("queue_id",)),
    "delivered": Kind("a copy lies in a mailbox", ("scheduler",), _RECIPIENT),
    "relayed": Kind("another host answers for a copy", ("scheduler",), _RECIPIENT),
    "expanded": Kind("a recipient turned out to be others", ("scheduler",), _RECIPIENT),
    "deferred": Kind("a copy is tried again later", ("scheduler",), _RECIPIENT),
    "failed": Kind("a copy will never arrive", ("scheduler",), _RECIPIENT),
    "bounced": Kind("the failure was told to the reverse-path", ("scheduler",), ("queue_id", "reverse_path")),
    "notified": Kind(
        "success or delay was told to the reverse-path, who asked for that", ("scheduler",), ("queue_id", "reverse_path")
    ),
    "replied": Kind("a mailbox answered a message by itself", ("bouncer",), ("queue_id", "final_recipient", "reverse_path")),
    "reply-withheld": Kind(
        "a mailbox that answers by itself did not answer this message", ("bouncer", "scheduler"),
        ("queue_id", "final_recipient", "reverse_path", "why"), quiet=True,
    ),
    "conditions-unjudged": Kind(
        "nobody could say for an hour whether a message is to be forwarded; it stays in the mailbox", ("directory",),
        ("queue_id", "final_recipient"),
    ),
    "double-bounce-dropped": Kind("a notification's notification failed", ("scheduler",), ("queue_id", "failed")),
    "backscatter": Kind(
        "an outsider was told of a failure that could have been refused", ("scheduler",),
        ("queue_id", "reverse_path", "forward_path"),
    ),
    "destination-down": Kind(
        "a domain's hosts, or a route's, are left alone for a while; what goes there waits",
        ("scheduler",), ("domain", "route", "status", "diagnostic_code"),
    ),
    "destination-up": Kind("they work again", ("scheduler",), ("domain", "route")),
    "held": Kind("a message is not tried until it is released", ("scheduler",), ("queue_id",)),
    "parked": Kind("the same, because its sender is suspended", ("scheduler",), ("queue_id", "identity")),
    "released": Kind("a held message is tried again", ("scheduler",), ("queue_id",)),
    "removed": Kind("an operator took a message out; nobody is told", ("scheduler",), ("queue_id",)),
    "queue-size": Kind("messages that are owed", ("scheduler",), ("messages",), figure="messages"),
    # --- the spool
    "disk-refused": Kind("a file could not be written", ("enqueuer", "scheduler", "localspawn"), ("queue_id", "error")),
    "spool-recovered": Kind("what lay in the spool at the start", ("enqueuer",), ("owed", "removed"), quiet=True),
    "spool-unreadable": Kind("an envelope could not be read", ("scheduler",), ("queue_id", "error")),
    "spool-version-unknown": Kind(
        "an envelope of a later version waits for a later program", ("enqueuer", "scheduler"), ("queue_id", "error")
    ),
    # --- mail stores
    "local-ended": Kind("a local ended with a status", ("localspawn",), ("domain", "status"), quiet=True),
    "local-lost": Kind("a local ended with deliveries in hand", ("localspawn",), ("domain", "deliveries")),
    "local-misbehaved": Kind("a local answered nonsense", ("localspawn",), ("domain",)),
    "local-not-started": Kind("no process for a delivery", ("localspawn",), ("domain", "reason")),
    "local-stuck": Kind("a local did not answer and was ended", ("localspawn",), ("domain",)),
    "remote-ended": Kind("a remote ended with a status, or was never made", ("remotespawn",), ("domain", "status")),
    "remote-hurried": Kind(
        "hosts of a destination were silent while others waited for its place", ("remotespawn",), ("domain", "messages"),
        quiet=True,
    ),
    "remote-lost": Kind("a remote ended with messages in hand", ("remotespawn",), ("domain", "messages")),
    "remote-misbehaved": Kind("a remote answered nonsense", ("remotespawn",), ("domain",)),
    "remote-stuck": Kind("a remote did not answer and was ended", ("remotespawn",), ("domain",)),
    "in-doubt": Kind(
        "a host may have a whole message, and nobody heard its answer; it is sent again, perhaps a second time",
        ("remotespawn", "scheduler"), ("queue_id", "domain", "remote_mta"),
    ),
    "store-refused": Kind("a store is not what it should be", ("localspawn",), ("domain", "uid", "reason")),
    "store-failed": Kind("a store could not be made or put aside", ("storekeeper",), ("domain", "reason")),
    "store-of-another": Kind("a store belongs to an unexpected uid", ("storekeeper",), ("domain", "uid")),
    "purge-failed": Kind("put-aside mail could not be removed", ("storekeeper",), ("domain", "reason")),
    "store-task-held": Kind("a store waits for the storekeeper", ("compiler",), ("domain", "task", "why")),
    # --- snapshot, control plane, ledger
    "snapshot-in-use": Kind(
        "a snapshot can be read again", ("directory", "authenticator", "tls", "signer"), ("why",), quiet=True
    ),
    "snapshot-awaited": Kind(
        "nothing was published yet", ("directory", "authenticator", "tls", "signer"), ("why",), quiet=True
    ),
    "snapshot-trouble": Kind(
        "the newest snapshot cannot be used", ("directory", "authenticator", "tls", "signer"), ("why",)
    ),
    "snapshot-record-wrong": Kind("a record makes no sense", ("directory",), ("why",)),
    "published": Kind(
        "changes are in force", ("compiler",), ("change", "records", "kind", "milliseconds"), quiet=True
    ),
    "trace-days": Kind(
        "for so many days it is remembered what became of a domain's messages; 0: as long as the host says; `*`: told anew",
        ("compiler",), ("domain", "days"), quiet=True,
    ),
    "not-publishing": Kind("the database does not continue the snapshot", ("compiler",), ("why",)),
    "publishing-again": Kind("it does again", ("compiler",), ("why",)),
    "compaction-failed": Kind("a new generation could not be written", ("compiler",), ("why",)),
    "audit-broken": Kind("entries of the audit log were changed or removed behind everybody's back", ("compiler",), ("entry",)),
    "request-unanswered": Kind("somebody asked to publish, and left", ("compiler",), ("why",)),
    "ledger-trouble": Kind("the ledger's store refuses", ("ledger",), ("why",)),
    "ledger-begun-anew": Kind("the ledger's store was damaged and put aside", ("ledger",), ("why",)),
    "reservations-expired": Kind("forgotten reservations were removed", ("ledger",), ("count",)),
    # --- passwords
    "logged-in": Kind("a mailbox logged in to send", ("authenticator",), (*_CLIENT, "login", "how")),
    "login-refused": Kind("a password or key was wrong", ("authenticator",), ("scope", "login", *_CLIENT)),
    "login-ticket-refused": Kind("somebody pretended a log-in", ("authenticator",), ("session", "login")),
    "limits-unknown": Kind("a sending limit was not looked at: the ledger is away or slow", ("directory",), ("login", "why")),
    "over-limit": Kind("a mailbox, its domain or a tenant sent as much as it may", ("ledger",), ("login", "scope")),
    "braked": Kind("a mailbox did what it never did, and may not send until somebody looked", ("ledger",), ("login", "why")),
    "noticed": Kind("whose mailbox was braked, and who looks after its domain, were written to", ("ledger",), ("login",)),
    "recovery-written": Kind("somebody was written to at his recovery address", ("compiler",), ("whose",)),
    "consent-asked": Kind("somebody elsewhere was asked whether mail may go on to him", ("compiler",), ("target", "holder")),
    "webhook-disabled": Kind(
        "nobody took what a webhook was told, for days, or its server wants no more", ("compiler",), ("webhook", "tenant", "why")
    ),
    "webhook-unopened": Kind("a webhook's secret was sealed to another key", ("compiler",), ("webhook", "why")),
    "credential-wrong": Kind("a stored hash makes no sense", ("authenticator",), ("why",)),
    "no-key": Kind("the key to what is sealed for a role cannot be read", ("authenticator", "tls", "signer"), ("why",)),
    # --- TLS
    "secured": Kind("a conversation goes on under TLS", ("tls",), ("session", "tls", "server_name"), quiet=True),
    "handshake-failed": Kind("a client did not get through its TLS handshake", ("tls", "tlsspawn"), ("session", "why")),
    "certificate-unusable": Kind("a certificate or its key makes no sense", ("tls",), ("name", "why")),
    "tls-results": Kind(
        "so many sessions for a domain with one of its hosts ended so (the words of RFC 8460)", ("remotespawn",),
        ("domain", "policy", "mx", "result", "sessions"), quiet=True,
    ),
    "tls-reported": Kind(
        "a domain was mailed how TLS with its hosts went (RFC 8460)", ("reporter",),
        ("domain", "recipient", "queue_id", "sessions", "failed"),
    ),
    "tls-report-dropped": Kind("such a report could not be made, or not within a day", ("reporter",), ("domain", "why")),
    "tls-counts-not-kept": Kind("what reports are made of cannot be written down", ("reporter",), ("why",)),
    "policies-not-kept": Kind("MTA-STS policies cannot be written down: a start would forget them", ("fetcher",), ("why",)),
    "policy-trouble": Kind(
        "a domain announces an MTA-STS policy that cannot be had; the one known before holds on", ("fetcher",),
        ("domain", "result", "why"),
    ),
    # --- the journal's own, and who reads it
    "trace-trouble": Kind("the trace store cannot be written; what is missing is read later", ("tracer",), ("why",)),
    "trace-begun-anew": Kind("the trace store was damaged and put aside", ("tracer",), ("why",)),
    "events-lost": Kind("so many events were not told: the journal was away or slow", (ANYBODY,), ("count",)),
    "complaint": Kind("a line that a role wrote to its standard error", ("stderr", "journal"), ("text",)),
}  # fmt: skip


def is_credible(role: str, name: str) -> bool:
    """May *role* say *name*?"""
    kind = EVENTS.get(name)
    return kind is not None and (role in kind.roles or kind.roles == (ANYBODY,))
