"""The whole language between roles: one class for each request and each reply; `language` says how they are made.

`tag` is chosen by the asker and comes back in the answer: channels carry many conversations at once.

A reader would otherwise get wrong: what stands here is understood by nobody yet. Who may say it to whom is in `permits`.
"""

from typing import Annotated, ClassVar

from mta.vocabulary import MAX_CHAIN, MAX_PRIVATE_KEY
from mta.wire.language import Max
from mta.wire.language import Message as Message  # noqa: PLC0414 - whoever speaks of messages means these two, too
from mta.wire.language import read_message as read_message  # noqa: PLC0414

Name = Annotated[bytes, Max(64)]
Text = Annotated[bytes, Max(1000)]
Path = Annotated[bytes, Max(1000)]  # A mailbox path: RFC 5321 wants 256; SMTPUTF8 and ORCPT want more.
Mac = Annotated[bytes, Max(64)]
Block = Annotated[bytes, Max(60 * 1024)]  # Leaves room for the fields beside it in a packet.
MAX_INT = 1 << 63
MAX_SEND_RECIPIENTS = 100  # of one Send: what a server must take in one transaction (RFC 5321 4.5.3.1.8)

# --- supervisor and every role -------------------------------------------------------------------------------------


class Begin(Message, verb="begin"):
    """supervisor -> role, once. Settings and secrets of this role: name, value, name, value …"""

    pairs: tuple[Annotated[bytes, Max(8000)], ...]


class Peer(Message, verb="peer", descriptors=1):
    """supervisor -> role. A channel to *role*; it replaces the one before. `serving`: the other end asks, we answer."""

    role: Name
    instance: int
    serving: bool


class ListeningSocket(Message, verb="listening-socket", descriptors=1):
    """supervisor -> listener, web. A bound and listening socket for *service* (smtp, panel, metrics)."""

    service: Name
    address: Text


class Reload(Message, verb="reload"):
    """supervisor -> role. Settings that may change without a stop."""

    pairs: tuple[Annotated[bytes, Max(8000)], ...]


class Stop(Message, verb="stop"):
    """supervisor -> role. Finish what is in hand and end with status 0."""


class Ready(Message, verb="ready"):
    """role -> supervisor. Sandboxed, all peers there, serving."""


class StandingOf(Message, verb="standing-of"):
    """web -> supervisor. How does the house stand? Answered by `Standing`, the last of which says so."""

    tag: int


class Standing(Message, verb="standing"):
    """supervisor -> web. One role, or what its self-test came to, or of when the test is: name, value, name, value …"""

    tag: int
    last: bool
    pairs: tuple[Path, ...]


class TryWalls(Message, verb="try-walls"):
    """web -> supervisor. Somebody wants the self-test to run; what is tried nobody says. Too soon after the last, it is not."""


class Probed(Message, verb="probed"):
    """self-test -> supervisor. What one attempt of `mta.sandbox.selftest` came to, and the kernel's answer."""

    probe: Name
    outcome: Name  # held, open, idle, job
    answer: Name


class QueueOrder(Message, verb="queue-order"):
    """supervisor, web -> scheduler. Somebody wants to see messages of the queue, or have something done with them."""

    tag: int
    what: Name  # list, show, hold, release, retry, remove, flush
    by: Name  # `id`, `domain` (of a recipient), `domains` (or of who logged in), `sender` (reverse-path or who logged in), `all`
    value: Path  # that id, domain or address; domains apart by spaces
    after: Name  # a list goes on behind this queue id; empty: from the beginning
    count: int  # how many a list may name


class QueueTold(Message, verb="queue-told"):
    """scheduler -> supervisor, web. Part of the answer to a `QueueOrder`: name, value, name, value … of one message, or the end."""

    tag: int
    last: bool
    pairs: tuple[Path, ...]


# --- listener and smtpd --------------------------------------------------------------------------------------------


class Accepted(Message, verb="accepted", descriptors=1):
    """listener -> smtpd. A client's socket, with the session token that proves who the client is to directory and enqueuer."""

    session: Name
    client: Name  # the IP address, text
    client_port: int
    service: Name
    token: Mac


class Finished(Message, verb="finished"):
    """smtpd -> listener. The conversation ended; the client counts one less."""

    session: Name


class Retire(Message, verb="retire"):
    """smtpd -> listener. This process has served its number and asks for no more clients. Asked again: it insists."""


class Retired(Message, verb="retired"):
    """listener -> smtpd. No client comes after this one message; whoever was sent before has arrived before it."""


class Attach(Message, verb="attach", descriptors=1):
    """smtpdspawn -> directory, enqueuer, tls, journal. The channel of a new cell: an smtpd that may speak of *session* only."""

    session: Name


# --- smtpd and tls -------------------------------------------------------------------------------------------------


class Offering(Message, verb="offering"):
    """tls -> smtpd, tlsspawn -> smtpdspawn. May STARTTLS be offered? At the beginning, and when it changes."""

    yes: bool


class Secure(Message, verb="secure", descriptors=1):
    """smtpd -> tls, tlsspawn. The client of *session* waits for a TLS handshake on this socket, which is tls's from now on."""

    tag: int
    session: Name
    service: Name


class Secured(Message, verb="secured", descriptors=1):
    """tls -> smtpd. The handshake is done; beside it the end of a socket pair that carries the plaintext from now on."""

    tag: int
    tls: Text  # protocol version and cipher suite, for the Received field
    server_name: Text  # what the client asked for (RFC 6066 3), empty without


class NotSecured(Message, verb="not-secured"):
    """tls -> smtpd. The handshake failed, and the client's connection with it."""

    tag: int
    why: Text


class KeyOf(Message, verb="key-of"):
    """a cell of tlsspawn -> tls. The certificate for the name that the client of *session* asks for; once in its life."""

    session: Name
    server_name: Text


class Certified(Message, verb="certified"):
    """tls -> a cell of tlsspawn. Chain and private key in PEM; both empty when there is none. We hang up behind it."""

    chain: Annotated[bytes, Max(MAX_CHAIN)]
    key: Annotated[bytes, Max(MAX_PRIVATE_KEY)]


# --- smtpd, scheduler and directory --------------------------------------------------------------------------------


class Question(Message, verb="question"):
    """smtpd -> directory. May this forward-path have mail from this reverse-path now?"""

    tag: int
    session: Name
    client: Name
    token: Mac
    reverse_path: Path
    forward_path: Path
    size: int  # octets the client declared (RFC 1870), 0 = not said
    identity: Path = b""  # address key of the mailbox that logged in; empty: nobody did
    login: Mac = b""  # the authenticator's word for that, which holds until `login_expiry` (seconds since 1970)
    login_expiry: int = 0


class Verdict(Message, verb="verdict"):
    """directory -> smtpd. One `Word`; with accept, a ticket for the enqueuer and, when a quota applies, the mailbox to count.

    `late`: the domain tells nothing before the content was sent, whatever the word is; a yes as little as a no.
    """

    tag: int
    word: Name
    counted: Path  # address key of the mailbox whose quota counts, or empty
    expiry: int  # seconds since 1970; part of what the ticket covers
    ticket: Mac
    late: bool = False
    detail: Annotated[bytes, Max(200)] = b""  # ASCII words for the client instead of the usual ones; empty: those


class Expand(Message, verb="expand"):
    """scheduler -> directory. Into which mailboxes does this recipient's mail go?"""

    tag: int
    recipient: Path
    queue_id: Name = b""  # of the message: when it arrived
    reverse_path: Path = b""  # of a message that a client brought, and that would be bounced there; else empty
    sender: Path = b""  # the envelope's reverse-path, whatever brought it: what goes on to other hosts bears it
    identity: Path = b""  # address key of the mailbox that submitted it; empty: nobody logged in
    client: Name = b""  # who brought it without logging in: an IP address; empty: it is ours
    size: int = 0  # octets of its content
    authority: Mac = b""  # for the bouncer, should its header have to be judged (`tickets.glance_authority`)
    passed: bool = False  # the message was here for this recipient before


class Expansion(Message, verb="expansion"):
    """directory -> scheduler. One final mailbox; `last` ends the list."""

    tag: int
    recipient: Path  # the final recipient's address as given, for Delivered-To
    domain: Text  # whose store
    store: Text  # `store_name` of the mailbox below the domain's folder
    counted: Path  # address key when a quota applies, else empty
    last: bool
    replies: Path = b""  # address key of the mailbox when it answers its mail by itself, else empty
    proof: Mac = b""  # the word for that (`tickets.reply_proof`)


class Outward(Message, verb="outward"):
    """directory -> scheduler. One final recipient at another host, among the `Expansion`; `last` ends the list."""

    tag: int
    recipient: Path
    domain: Text  # A-label: whose MX is asked
    route: Text  # key in snapshot/routes, or empty: by MX
    reverse_path: Path  # with which it goes there; the envelope's own where no rule says otherwise
    last: bool


class Unresolved(Message, verb="unresolved"):
    """directory -> scheduler. No mailbox: fail or defer with this status (RFC 3463)."""

    tag: int
    permanent: bool
    status: Name
    diagnostic_code: Text
    # The directory knew it when the message came, and whoever hears of it is no sender of ours: promise P3 is broken.
    refusable: bool = False
    parked: bool = False  # its sender is suspended: hold the message until somebody looked at it


class LanguageOf(Message, verb="language-of"):
    """bouncer -> directory. In which language is a notification written, whose reader is *reverse_path*?"""

    tag: int
    reverse_path: Path
    recipient: Path  # one of those that it is about


class Language(Message, verb="language"):
    """directory -> bouncer. That of the reader's domain when it is ours, else of the recipient's; empty: neither is."""

    tag: int
    language: Name  # RFC 5646


class Judge(Message, verb="judge"):
    """directory -> bouncer. Is *queue_id* marked as spam, and is one of *subjects* in its subject?"""

    tag: int
    queue_id: Name
    authority: Mac  # the scheduler's, to see its header
    spam: Name  # `yes`: it must be marked, `no`: it must not; empty: whichever
    subjects: tuple[Text, ...]  # UTF-8; none: whatever it is


class Judged(Message, verb="judged"):
    """bouncer -> directory. `yes`; `no`, also where nobody can tell from what stands there; `later`: nobody can look now."""

    tag: int
    word: Name


class ReplyOf(Message, verb="reply-of"):
    """bouncer -> directory. What does *mailbox* answer to *queue_id*, which was written to *addressees*?"""

    tag: int
    queue_id: Name
    mailbox: Path
    reverse_path: Path
    proof: Mac  # as in the `Expansion`
    addressees: tuple[Path, ...]


class ReplyWords(Message, verb="reply-words"):
    """directory -> bouncer. `yes` and the answer, with a ticket for the signer; or in a word why there is none."""

    tag: int
    word: Name
    address: Path  # the mailbox's, as its owner wrote it
    name: Text
    subject: Text
    text: Block
    until: int  # seconds since 1970; part of what the ticket covers
    ticket: Mac


# --- directory and resolver ----------------------------------------------------------------------------------------


class LookUp(Message, verb="look-up"):
    """directory -> resolver. The records of *kind* (A, AAAA, PTR, TXT, MX, CNAME, SRV, TLSA) of a domain name, please."""

    tag: int
    name: Text  # text as RFC 1035 5.1 writes it; for an address's name its in-addr.arpa or ip6.arpa name
    kind: Name


class Found(Message, verb="found"):
    """resolver -> directory. What the name servers said, or that they said nothing in time.

    A and AAAA records are addresses, PTR and CNAME names without the last dot, in lower case, MX `preference name`, TXT the
    strings of one record joined, SRV `priority weight port target`, TLSA `usage selector matching-type hexadecimal-digits`.
    """

    tag: int
    outcome: Name  # answer, none (the name has no such record), nxdomain (no such name), failed (nobody knows now)
    secure: bool  # a validating resolver on loopback vouches for it (the AD flag, RFC 4035 3.2.3)
    records: tuple[Annotated[bytes, Max(4096)], ...]


# --- remote and fetcher --------------------------------------------------------------------------------------------


class Fetch(Message, verb="fetch"):
    """remote, reporter -> fetcher. Which MTA-STS policy (RFC 8461) does this domain have for its mail?"""

    tag: int
    domain: Text  # A-label


class Fetched(Message, verb="fetched"):
    """fetcher -> remote, reporter. The policy in force; with the mode `none`, there is none.

    *trouble* is empty, or the result type of RFC 8460 4.3.2.1 for what went wrong when a newer one was looked for.
    """

    tag: int
    mode: Name  # none, testing, enforce
    max_age: int  # seconds for which it still holds
    trouble: Name
    patterns: tuple[Annotated[bytes, Max(255)], ...]  # which MX are the domain's: names, or `*.` and a name


# --- compiler and fetcher ------------------------------------------------------------------------------------------


class Post(Message, verb="post"):
    """compiler -> fetcher. Say this to a web server over HTTPS: it is a tenant's, who wants to be told of events."""

    tag: int
    host: Text  # A-label, or an IP address where the operator listed it
    port: int
    target: Text  # path and query
    body: Block
    fields: tuple[Text, ...]  # of the header: name, value, name, value …


class Posted(Message, verb="posted"):
    """fetcher -> compiler. With which status it answered; 0: not at all, and *why*."""

    tag: int
    status: int
    milliseconds: int
    why: Text


# --- directory and source ------------------------------------------------------------------------------------------


class Exists(Message, verb="exists"):
    """directory, web -> source. Does the relayed domain's own server know this address (folded, as address keys are)?"""

    tag: int
    address: Path


class Existence(Message, verb="existence"):
    """source -> directory, web. `accept`, `unknown`, `full` or `try-later`, and how long that may be believed."""

    tag: int
    word: Name
    for_seconds: int


# --- ledger --------------------------------------------------------------------------------------------------------


class Grey(Message, verb="grey"):
    """directory -> ledger. Was this triplet here before? Its client's *network* (text), and a digest of all three."""

    tag: int
    network: Name
    triplet: Mac


class Greyed(Message, verb="greyed"):
    """ledger -> directory. Seconds until it may pass; 0: it may."""

    tag: int
    wait_seconds: int


class UsageOf(Message, verb="usage-of"):
    """directory -> ledger."""

    tag: int
    mailbox: Path


class Usage(Message, verb="usage"):
    """ledger -> directory. Octets stored and octets on their way."""

    tag: int
    stored: int
    reserved: int


class TargetFailed(Message, verb="target-failed"):
    """scheduler -> ledger. Another host refused for good what was forwarded to *target*; whoever forwards may see. Not answered."""

    target: Path
    text: Text  # status (RFC 3463), then the host's words


class KeepPath(Message, verb="keep-path"):
    """directory -> ledger. Mail of *path* goes out under a return path in which there is room for *token* only. Not answered."""

    token: Name
    path: Path


class PathOf(Message, verb="path-of"):
    """directory -> ledger. A bounce came home: whose is it?"""

    tag: int
    token: Name


class KeptPath(Message, verb="kept-path"):
    """ledger -> directory. Empty: nothing is kept under that token, or no more."""

    tag: int
    path: Path


class MayAnswer(Message, verb="may-answer"):
    """directory -> ledger. Has *mailbox* answered this sender (a *digest* of both) within a week? If not, it does now.

    Asked again about the same message, it is said again: whoever asked may have ended before he could use it.
    """

    tag: int
    digest: Mac
    queue_id: Name


class Answering(Message, verb="answering"):
    """ledger -> directory."""

    tag: int
    yes: bool


class Reserve(Message, verb="reserve"):
    """enqueuer -> ledger. *size* octets are on their way to *mailbox*. Not answered."""

    queue_id: Name
    mailbox: Path
    size: int


class Stored(Message, verb="stored"):
    """localspawn -> ledger. The reservation became *size* octets in the mailbox. Not answered."""

    queue_id: Name
    mailbox: Path
    size: int


class Release(Message, verb="release"):
    """localspawn -> ledger. The message will not reach the mailbox. Not answered."""

    queue_id: Name
    mailbox: Path


class Spend(Message, verb="spend"):
    """directory -> ledger. A mailbox that logged in wants to write to one more recipient. May it, and if so it has.

    *limits* belong to the mailbox, its domain, and each of *tenants* (ids, the nearest first), in this order: `hour/day` with
    a space between, in recipients; 0 means none.
    """

    tag: int
    identity: Path  # address key of the mailbox
    domain: Text
    tenants: Text
    limits: Text
    recipients: int  # 0: none is spent, is it braked?
    digest: Mac = b""  # of the recipient: to whom is not the ledger's business, but how many different ones are
    brake: bool = True  # may what is unusual for this mailbox stop it?
    released: int = 0  # seconds since 1970: what stopped it before then is forgiven


class Spent(Message, verb="spent"):
    """ledger -> directory. `yes`, `limit` or `braked`. Of a limit whose it is: `mailbox hour`, `domain day` …"""

    tag: int
    word: Name
    scope: Text


class Missed(Message, verb="missed"):
    """directory -> ledger. The mailbox *identity* wrote to a recipient that does not exist. Not answered."""

    identity: Path


class Rehash(Message, verb="rehash"):
    """authenticator -> ledger. A better hash of the password that *identity* showed just now. Not answered."""

    identity: Path
    was: Mac  # digest of what it replaces: a password that was changed in the meantime stays changed
    sealed: Text  # to the authenticator itself, as all of them


class Shown(Message, verb="shown"):
    """authenticator -> ledger. *identity* logged in by the credential of that *name*, for the first time in hours. Not answered."""

    identity: Path
    name: Mac


class Outbox(Message, verb="outbox"):
    """compiler -> ledger. Facts numbered above *after*, please; those up to it are applied and may be forgotten."""

    tag: int
    after: int


class Fact(Message, verb="fact"):
    """ledger -> compiler. One thing learned, e.g. kind `usage`, key a mailbox, value its octets. Number 0: no more now."""

    tag: int
    number: int
    kind: Name
    key: Path
    value: Text


# --- smtpd, bouncer and enqueuer -----------------------------------------------------------------------------------


class Offer(Message, verb="offer"):
    """smtpd -> enqueuer. A message begins, with its first recipient."""

    tag: int
    session: Name
    client: Name
    token: Mac
    helo: Text
    protocol: Name  # ESMTP, SMTP, ESMTPS … (RFC 3848)
    options: Text  # what MAIL declared and must be kept: BODY, SMTPUTF8, RET, ENVID; space-separated KEY=value
    reverse_path: Path
    forward_path: Path
    counted: Path
    expiry: int
    ticket: Mac
    recipient_options: Text = b""  # what RCPT declared: NOTIFY, ORCPT (RFC 3461 4); space-separated KEY=value
    tls: Text = b""  # version and cipher of the client's connection, or empty
    identity: Path = b""  # address key of the mailbox that logged in; empty: nobody did
    login: Mac = b""  # the authenticator's word for that (`tickets.login_ticket`)
    login_expiry: int = 0


class OfferRecipient(Message, verb="offer-recipient"):
    """smtpd -> enqueuer. One more recipient of the message *tag*."""

    tag: int
    forward_path: Path
    counted: Path
    expiry: int
    ticket: Mac
    options: Text = b""  # as `Offer.recipient_options`


class Content(Message, verb="content"):
    """smtpd, bouncer, reporter -> enqueuer. The next block of the content; with `last`, take charge of the whole."""

    tag: int
    last: bool
    block: Block


class Withdraw(Message, verb="withdraw"):
    """smtpd, bouncer -> enqueuer. The client went away or was refused; forget the message *tag*. Not answered."""

    tag: int


class Taken(Message, verb="taken"):
    """enqueuer -> smtpd, bouncer, reporter. Durable: we answer for it now."""

    tag: int
    queue_id: Name


class Declined(Message, verb="declined"):
    """enqueuer -> smtpd and others. Not taken, nothing kept. Reply code (RFC 5321 4.2), status (RFC 3463), words for the client."""

    tag: int
    reply_code: int
    status: Name
    text: Text


class OfferDsn(Message, verb="offer-dsn"):
    """bouncer -> enqueuer. A notification about *queue_id* begins. Enqueuer itself knows to whom it goes: it wrote the envelope."""

    tag: int
    queue_id: Name
    authority: Mac
    full: bool = False  # as in the `Bounce` that *authority* came with
    eight_bit: bool = False  # the content has octets beyond ASCII (RFC 6152)


class Notice(Message, verb="notice"):
    """ledger -> bouncer. The mailbox may not send any more: its owner and who looks after its domain are to be written to."""

    tag: int
    mailbox: Path  # its address key
    why: Text
    until: int  # seconds since 1970: when *authority* ends
    authority: Mac


class AskConsent(Message, verb="ask-consent"):
    """compiler -> bouncer. Whoever reads *target*, at another host, is to be asked whether mail for *holder* may go on to him.

    Or, by `what`, somebody is written to at his recovery address: to confirm it, or to choose another password.
    """

    tag: int
    target: Path
    holder: Path  # address key of the mailbox that forwards, or of the alias
    link: Text  # where he says yes
    until: int  # seconds since 1970: when *authority* ends
    authority: Mac
    what: Name = b"consent"  # or confirm, reset
    whose: Text = b""  # of those: as what he signs in


class Noticed(Message, verb="noticed"):
    """bouncer -> ledger, compiler. `done`: they are written to (or must not be); else try again later."""

    tag: int
    done: bool


class OfferNotice(Message, verb="offer-notice"):
    """bouncer -> enqueuer. What a `Notice` is about, to nobody but that mailbox and its domain's postmaster."""

    tag: int
    mailbox: Path
    until: int
    authority: Mac
    eight_bit: bool = False  # as in `OfferDsn`


class OfferConsent(Message, verb="offer-consent"):
    """bouncer -> enqueuer. What an `AskConsent` is about, to nobody but that target."""

    tag: int
    target: Path
    until: int
    authority: Mac
    eight_bit: bool = False  # as in `OfferDsn`


class OfferReport(Message, verb="offer-report"):
    """reporter -> enqueuer. A report about TLS (RFC 8460 5.3) begins, to an address that the domain it is about named in DNS."""

    tag: int
    recipient: Path


class OfferReply(Message, verb="offer-reply"):
    """bouncer -> enqueuer. What a mailbox answers to *queue_id*, to nobody but its sender."""

    tag: int
    queue_id: Name
    authority: Mac  # as in the `Reply`
    utf_8: bool  # there are octets beyond ASCII in its header section (RFC 6531 3.4)


class OriginalOf(Message, verb="original-of"):
    """bouncer -> enqueuer. One message's header section, or with *full* its content, with the scheduler's authority to ask."""

    tag: int
    queue_id: Name
    authority: Mac
    full: bool


class Original(Message, verb="original"):
    """enqueuer -> bouncer. The content when it is *whole*, else its header section, cut at the size of a block.

    Empty when the message is gone.
    """

    tag: int
    whole: bool
    octets: Block


# --- submitter and signer ------------------------------------------------------------------------------------------


class Sign(Message, verb="sign"):
    """submitter -> signer. A DKIM signature for the domain of *address*, which the From field holds and *identity* may use."""

    tag: int
    session: Name
    identity: Path
    address: Path
    until: int  # seconds since 1970; with *sender_ticket*, the authenticator's word (`tickets.sender_ticket`)
    sender_ticket: Mac
    body_hash: Mac  # SHA-256 of the body in relaxed form (RFC 6376 3.4.4)
    header: Block  # the fields that may be signed, as they stand, each with its line end


class SignReply(Message, verb="sign-reply"):
    """bouncer -> signer. A DKIM signature for what the mailbox *address* answers to *queue_id*."""

    tag: int
    queue_id: Name
    address: Path
    until: int  # seconds since 1970; part of what the ticket covers
    ticket: Mac
    body_hash: Mac
    header: Block


class SignReport(Message, verb="sign-report"):
    """reporter -> signer. The same for a report about TLS, whose From field holds the address of `outbound.tls_reports`."""

    tag: int
    body_hash: Mac
    header: Block


class Signed(Message, verb="signed"):
    """signer -> submitter, others. `signed`: the fields to be put before the others; `none`: that domain has no key; `refused`."""

    tag: int
    word: Name
    fields: Block


# --- enqueuer and scheduler ----------------------------------------------------------------------------------------


class Queued(Message, verb="queued"):
    """enqueuer -> scheduler. Durable messages: queue id, envelope (the octets; nothing: too many, read the file), and again."""

    pairs: tuple[Block, ...]


class Recovered(Message, verb="recovered"):
    """enqueuer -> scheduler, first on each channel. What a crash left half-taken is gone: each whole envelope is owed now."""


# --- scheduler and its hands ---------------------------------------------------------------------------------------


class Deliver(Message, verb="deliver"):
    """scheduler -> localspawn. One message into one mailbox."""

    tag: int
    queue_id: Name
    reverse_path: Path
    recipient: Path
    domain: Text
    store: Text
    counted: Path


class Attempted(Message, verb="attempted"):
    """localspawn -> scheduler, local -> localspawn. What became of it: an `Action`, a status (RFC 3463), the octets stored."""

    tag: int
    action: Name
    status: Name
    diagnostic_code: Text
    size: int


class Write(Message, verb="write", descriptors=1):
    """localspawn -> local. Put the content behind the descriptor into this store of your domain."""

    tag: int
    queue_id: Name
    reverse_path: Path
    recipient: Path
    store: Text


class Stage(Message, verb="stage", descriptors=1):
    """localspawn -> local. What the Stage before this one put into tmp/ is on the disk: rename it. Then put these into tmp/.

    The local waits for no disk: localspawn does, for all domains at once, before it says so with the next Stage.
    *deliveries*: tag, queue id, reverse-path, recipient, store; tag …; one descriptor for each.
    """

    deliveries: tuple[Path, ...]

    FIELDS: ClassVar[int] = 5  # of each delivery

    @property
    def carries(self) -> int:
        """One descriptor for each delivery."""
        return len(self.deliveries) // self.FIELDS


class Staged(Message, verb="staged"):
    """local -> localspawn. A Stage was done, but for what an Attempted before this spoke of. *sizes*: tag, octets; tag …"""

    sizes: tuple[Name, ...]


class Bounce(Message, verb="bounce"):
    """scheduler -> bouncer. Compose a notification about *queue_id*; *recipients* `ReportedRecipient` follow."""

    tag: int
    queue_id: Name
    authority: Mac  # to see the header section, or with *full* the content
    full: bool  # the sender wants his message back (RET=FULL, RFC 3461 4.3)
    utf_8: bool  # it was an SMTPUTF8 message (RFC 6533)
    reverse_path: Path
    envelope_id: Text  # the sender's ENVID (RFC 3461), or empty
    retry_until: int  # seconds since 1970: when what is delayed will fail
    recipients: int


class ReportedRecipient(Message, verb="reported-recipient"):
    """scheduler -> bouncer. One recipient of the `Bounce` *tag* (RFC 3464 2.3)."""

    tag: int
    original_recipient: Path  # the sender's ORCPT (RFC 3461 4.2) as given, or empty
    forward_path: Path
    final_recipient: Path
    action: Name
    status: Name
    diagnostic_code: Text
    remote_mta: Text
    last_attempt: int = 0  # seconds since 1970; 0: nobody remembers


class Bounced(Message, verb="bounced"):
    """bouncer -> scheduler. `done`: the notification is queued (or must not be sent); else try again later."""

    tag: int
    done: bool


class Reply(Message, verb="reply"):
    """scheduler -> bouncer. *mailbox* has *queue_id* now, and answers its mail by itself: write the answer, if there may be one."""

    tag: int
    queue_id: Name
    authority: Mac  # to see its header section and write to its sender
    mailbox: Path  # address key
    reverse_path: Path
    proof: Mac  # as in the `Expansion`


class Replied(Message, verb="replied"):
    """bouncer -> scheduler. The answer is queued, or there is none."""

    tag: int


class Clean(Message, verb="clean"):
    """scheduler -> cleaner. These messages are finished: remove them."""

    queue_ids: tuple[Name, ...]


class Cleaned(Message, verb="cleaned"):
    """cleaner -> scheduler. Gone (`done`), or try again later."""

    done: bool
    queue_ids: tuple[Name, ...]


# --- the way out ---------------------------------------------------------------------------------------------------


class Send(Message, verb="send"):
    """scheduler -> remotespawn. One message to recipients at one destination; *recipients* `SendRecipient` follow at once.

    Each of them is answered by one `Sent`, and then the whole by `SendDone`, whatever becomes of whom.
    """

    tag: int
    queue_id: Name
    domain: Text  # A-label: whose MX
    route: Text  # the key of a route in snapshot/routes; empty: by MX
    reverse_path: Path
    options: Text  # as the envelope has them: BODY, SMTPUTF8, RET, ENVID, REQUIRETLS; space-separated KEY=value
    size: int  # octets of the content
    recipients: int  # 1 to MAX_SEND_RECIPIENTS
    doubtful: bool = False  # the destination was in trouble last time: it may not take the room that healthy ones need


class Hatch(Message, verb="hatch", descriptors=1):
    """remotespawn -> nursery. Fork the remote *number*, with this as its channel to us."""

    number: int


class HatchEnded(Message, verb="hatch-ended"):
    """nursery -> remotespawn. The remote *number* is no more, or could not be made: its exit status, or why not."""

    number: int
    status: Text


class Destination(Message, verb="destination"):
    """remotespawn -> remote, first of all. Where everything goes that it will be handed."""

    domain: Text  # A-label: whose MX, unless there is a next hop
    next_hop: Text  # of a route: host, host:port or [address]:port; empty: by MX
    tls: Name  # of a route: none, may, verify or dane; empty: as the domain's own policy wants it; optional: whatever that wants
    lmtp: bool
    login: Text  # for AUTH, with the password; empty: none
    password: Text
    source_address: Name  # from which to connect; empty: any
    pairs: tuple[Text, ...]  # settings: name, value, name, value …


class SendRecipient(Message, verb="send-recipient"):
    """scheduler -> remotespawn -> remote. One recipient of the `Send` or `Transmit` *tag*; *index* counts from 0, in order."""

    tag: int
    index: int
    recipient: Path
    options: Text  # NOTIFY, ORCPT (RFC 3461 4); space-separated KEY=value


class Transmit(Message, verb="transmit", descriptors=1):
    """remotespawn -> remote. One message for your destination, beside it its content. *recipients* `SendRecipient` follow."""

    tag: int
    reverse_path: Path
    options: Text  # as in `Send`
    size: int
    recipients: int


class Hurry(Message, verb="hurry"):
    """remotespawn -> remote. Others wait for your place: give up whatever the host can not have yet, and open no connection.

    *at_once*: everything, also what only its last word is awaited of (those are in doubt).
    """

    at_once: bool = False


class Sent(Message, verb="sent"):
    """remote -> remotespawn -> scheduler. What became of one recipient: relayed, delivered (by LMTP), failed or delayed."""

    tag: int
    index: int
    action: Name
    status: Name  # RFC 3463
    diagnostic_code: Text  # what the host said (RFC 3464 2.3.6), or what we say; printable ASCII
    remote_mta: Text  # who said it: `name (address)`, or empty when nobody said anything
    tls: Text = b""  # version and cipher of the connection, or empty
    notifies: bool = False  # relayed to a host that will itself tell the sender what he asked for (RFC 3461 5.2.1)
    in_doubt: bool = False  # delayed, but the host has all of the content and never answered: it may have arrived
    stage: Name = b""  # the command whose answer decided it: mail, rcpt, data, bdat, content-end; empty: none


class TlsResults(Message, verb="tls-results"):
    """remote -> remotespawn. So many sessions with the host *mx* ended so (RFC 8460 4.3), as the *policy* wanted it (4.4)."""

    policy: Name
    mx: Text
    result: Name
    sessions: int


class TlsSeen(Message, verb="tls-seen"):
    """remotespawn -> reporter. What `TlsResults` told of *domain* on *day* (days since 1970, UTC), added up. Not answered."""

    day: int
    domain: Text
    policy: Name
    mx: Text
    result: Name
    sessions: int


class SendWaits(Message, verb="send-waits"):
    """remotespawn -> scheduler. Of *tag* only the host's last word is awaited, for minutes perhaps: it takes no place any more."""

    tag: int


class SendDone(Message, verb="send-done"):
    """remote -> remotespawn -> scheduler. Every recipient of *tag* was answered.

    `host_trouble`: not the message but the destination was at fault (no host could be found, reached or waited for, or it
    said that it is closing): others that go there had better wait too, at least *retry_after* seconds (0: we do not know).
    """

    tag: int
    host_trouble: bool
    retry_after: int


# --- storekeeper ---------------------------------------------------------------------------------------------------


class OpenStore(Message, verb="open-store"):
    """localspawn -> storekeeper. The folder of *domain*, made when missing, and the uid it belongs to."""

    tag: int
    domain: Text


class Store(Message, verb="store", descriptors=1):
    """storekeeper -> localspawn. The domain's uid (0 when the appliance has only one) and its folder, opened."""

    tag: int
    uid: int


class MakeStore(Message, verb="make-store"):
    """compiler -> storekeeper. A mailbox came into being."""

    tag: int
    domain: Text
    store: Text


class TrashStore(Message, verb="trash-store"):
    """compiler -> storekeeper. A mailbox (or with an empty *store* the whole domain) is gone; keep its mail aside to be undone."""

    tag: int
    domain: Text
    store: Text


class KeepStore(Message, verb="keep-store"):
    """compiler -> storekeeper. As TrashStore, for the *removal* of that number, which may be undone until that second of 1970."""

    tag: int
    domain: Text
    store: Text
    removal: int
    until: int


class RestoreStore(Message, verb="restore-store"):
    """compiler -> storekeeper. The removal is undone: whatever was kept for it goes back to where it was."""

    tag: int
    domain: Text
    removal: int


class DropStore(Message, verb="drop-store"):
    """compiler -> storekeeper. The removal will not be undone any more: whatever was kept for it may go."""

    tag: int
    domain: Text
    removal: int


class StoreDone(Message, verb="store-done"):
    """storekeeper -> localspawn, compiler. The request is done, or could not be done now, and why."""

    tag: int
    done: bool
    text: Text


# --- authenticator, compiler ---------------------------------------------------------------------------------------


class Verify(Message, verb="verify"):
    """web -> authenticator. Is this the secret of *name*? `scope` is account, mailbox or key."""

    tag: int
    scope: Name
    name: Path
    secret: Text


class Verified(Message, verb="verified"):
    """authenticator -> web."""

    tag: int
    right: bool


class CheckCode(Message, verb="check-code"):
    """web -> authenticator. Is this a code of the authenticator app whose secret is in `sealed` (base64)?"""

    tag: int
    sealed: Text
    code: Name


class CodeChecked(Message, verb="code-checked"):
    """authenticator -> web. The step (30 seconds, counted since 1970) that the code belongs to; 0: to none near now."""

    tag: int
    step: int


class LogIn(Message, verb="log-in"):
    """submissiond -> authenticator. The client of *session* says that it is *name* and shows a secret (RFC 4616)."""

    tag: int
    session: Name
    client: Name
    token: Mac
    name: Path
    secret: Text


class LoggedIn(Message, verb="logged-in"):
    """authenticator -> submissiond. `right`, `wrong` or `later` (nobody can tell now); with right, who it is, and the proof."""

    tag: int
    word: Name
    identity: Path  # address key of the mailbox
    expiry: int  # seconds since 1970; part of what the ticket covers
    ticket: Mac


class ScramBegin(Message, verb="scram-begin"):
    """submissiond -> authenticator. A log-in by SCRAM-SHA-256 begins: the client-first-message (RFC 5802 7)."""

    tag: int
    session: Name
    client: Name
    token: Mac
    first: Text


class ScramChallenge(Message, verb="scram-challenge"):
    """authenticator -> submissiond. The server-first-message for the client. `ScramDone` instead: it ends here."""

    tag: int
    text: Text


class ScramEnd(Message, verb="scram-end"):
    """submissiond -> authenticator. The client-final-message. Empty: the client broke off; not answered then."""

    tag: int
    final: Text


class ScramDone(Message, verb="scram-done"):
    """authenticator -> submissiond. As `LoggedIn`; with right, the server-final-message too."""

    tag: int
    word: Name
    server_final: Text
    identity: Path
    expiry: int
    ticket: Mac


class MayUse(Message, verb="may-use"):
    """submissiond, submitter -> authenticator. May *identity*, who logged in, write as *address*? Empty: the null reverse-path."""

    tag: int
    session: Name
    identity: Path
    expiry: int
    ticket: Mac  # of the log-in
    address: Path


class Using(Message, verb="using"):
    """authenticator -> submissiond, submitter. Yes or no, and by which rule, in words for its user; with yes, the proof."""

    tag: int
    yes: bool
    rule: Text
    until: int  # seconds since 1970; part of what the ticket covers
    sender_ticket: Mac


class Poke(Message, verb="poke"):
    """web -> compiler. Something changed; look now. Not answered."""


# --- journal -------------------------------------------------------------------------------------------------------


class Event(Message, verb="event"):
    """any role -> journal. One decision: its name, then key, value, key, value … Never content, never a secret."""

    name: Name
    pairs: tuple[Annotated[bytes, Max(1000)], ...]
