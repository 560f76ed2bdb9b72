"""How full is each mailbox, how much did it send, who came back after a greylisting, and what should the database learn?

Serves
    directory: `UsageOf`, `Grey`, `Spend` and `MayAnswer`, answered at once; `Missed`. enqueuer: `Reserve`, when a message for a
    mailbox with a quota was taken. localspawn: `Stored`, when it is there, `Release`, when it will not be. authenticator:
    `Rehash`, a better hash of a password; `Shown`, that one was used. compiler: `Outbox`, the facts that the control plane wants
    to show or to keep.

Asks
    bouncer: `Notice` -> `Noticed`, when a mailbox was braked

Holds
    Its own store, one SQLite file: octets stored and reserved for each mailbox, open reservations, facts not yet taken.
    Greylisted triplets as digests, and the networks that have shown that they come back. How many recipients each mailbox,
    domain and tenant with a limit wrote to in this hour and day; how many different ones are usual for a mailbox, and
    whether it is braked (`habits` has the rule). Whom a mailbox answered by itself, for a week, as digests. Sealed hashes
    on their way, which only the authenticator can open. No message, and no key but the one with which it allows a notice; of
    mail only sizes and the addresses of mailboxes.

Believes
    Its peers, all of them trusted roles. It knows no quota and no limit: those stand in the snapshot, and directory says them.

Fails
    Towards delivery. It answers from what it has; when it is away, directory counts a mailbox as not full and lets every
    triplet pass, and nobody's sending is counted. What it wrote in the last moment before a power cut may be lost, and then
    a mailbox counts as emptier than it is by those messages. A store that is damaged is put aside and a new one begun: a
    count from zero refuses nobody.
"""
