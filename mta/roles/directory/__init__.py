"""Is this forward-path ours, may it have mail now, and into which mailboxes does it go?

Serves
    smtpd: one `Question`, one `Word`, and with a yes a ticket that the enqueuer demands. scheduler: `Expand`, answered by
    every final mailbox, or by why there is none; by the one that answers its mail, with a proof for the bouncer. bouncer: in
    which language somebody reads, and `ReplyOf`, what a mailbox answers.

Asks
    bouncer: `Judge`, where a forwarding asks for what stands in the header; ledger, resolver and source, as `desk` has it.

Holds
    The recipient snapshot, read-only; the ticket key and the session key; how often each client named somebody unknown.
    No message, no password, no socket of its own. Nobody can ask it for a list.

Believes
    The snapshot, which the compiler wrote. The scheduler's and the ledger's words about recipients and usage. Of smtpd
    nothing but the session token: a question with a token that does not hold is not answered by a yes, whatever it asks. Who
    sends is whom the authenticator's ticket names, not who a reverse-path says (`doors.py`).
    Of the bouncer whether a header meets a condition, and to whom a message was written; nothing that opens anything.

Fails
    Without a snapshot, or with a damaged one: `try-later` to smtpd, a deferral to scheduler, never `unknown`. Without the
    ledger: a mailbox counts as not full, since an overrun is delivered and a false refusal is lost; and nobody is answered.
    Without the bouncer a message under conditions is deferred for an hour, and then stays in its mailbox. When it ends, smtpd says
    451 until there is a new one; it holds nothing that must be kept.

Standards
    RFC 5321 3.6.2 (no relaying), 4.1.2 (quoted local-parts), 4.5.1 (postmaster); RFC 2142 (abuse); RFC 3463 (status).
"""
