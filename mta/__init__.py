"""The transfer agent: small programs that do not trust each other.

    listener      accepts connections, hands each socket on
    smtpd         the SMTP conversation; holds one client's socket and nothing else
    directory     may this recipient have mail now, and where does it go
    authenticator password right or wrong; the only reader of password hashes
    ledger        what mailboxes hold and what is on its way to them
    enqueuer      takes charge of a message: durable before it answers
    scheduler     what is attempted when; reads envelopes, never content
    localspawn    starts deliveries into one domain's stores under that domain's uid
    local         is such a delivery
    storekeeper   makes, trashes and purges mail stores; allots the uid of each domain
    bouncer       composes delivery status notifications
    cleaner       removes finished messages
    journal       collects events from all roles

Nothing here imports the control plane or opens its database. ARCHITECTURE.md has the drawing.
"""
