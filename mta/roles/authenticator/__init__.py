"""Is this the secret of that name? And as whom may it write?

Serves
    web: `Verify` with a scope (account, mailbox or key), a name and a secret; answered by right or wrong, nothing else.
    `CheckCode`: the step (30 seconds) that a code of an authenticator app belongs to, for the sealed secret that web hands over.
    submissiond: `LogIn`, or `ScramBegin` and `ScramEnd`; right, wrong or later, and with right a login ticket. submissiond and
    submitter: `MayUse`, with that ticket; yes or no with the rule in words, and with yes a sender ticket.
    ledger is told of a better hash of a password that was shown just now (`Rehash`), and some times a day that one was (`Shown`).

Holds
    The credential snapshot, read-only, and the private key to which all password hashes are sealed: nobody else can read
    one, neither who writes the database nor who steals a backup. The ticket key and the session key. Wrong answers of late,
    by name, by client and by network; where each mailbox logged in from of late; SCRAM exchanges that are under way.

Believes
    The snapshot, which the compiler wrote. Of web nothing: it may ask about any name, as anybody at a login page may. Of
    submissiond only what the listener's token says: whose session it is. A log-in is what a ticket of its own says.

Fails
    Closed: without a snapshot, a key or a readable record the answer to web is wrong, and the journal hears why; a client that
    wants to send is told to come later. When it ends, nobody can log in for the moment; mail from elsewhere flows.

Standards
    RFC 9106 (Argon2id); RFC 7748, 5869 and 8439 (the seal); RFC 4616 (PLAIN's name and secret); RFC 5802 and 7677
    (SCRAM-SHA-256) with RFC 4013; RFC 6238 and 4226 (codes); RFC 6409 6.1 (the sender a submission may use).
"""
