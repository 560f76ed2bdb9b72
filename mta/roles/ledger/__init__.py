"""How full is each mailbox, what is on its way there, and who came back after a greylisting?

Serves
    directory: `UsageOf` and `Grey`, answered at once. enqueuer: `Reserve`, when a message for a mailbox with a quota was taken.
    localspawn: `Stored`, when it is there, `Release`, when it will not be. compiler: `Outbox`, the facts that the control
    plane wants to show.

Holds
    Its own store, one SQLite file: octets stored and reserved for each mailbox, open reservations, facts not yet taken.
    Greylisted triplets as digests, and the networks that have shown that they come back. No message and no key; of mail
    only sizes and the addresses of mailboxes.

Believes
    Its peers, all of them trusted roles. It knows no quota: limits stand in the snapshot, and directory compares.

Fails
    Towards delivery. It answers from what it has; when it is away, directory counts a mailbox as not full and lets every
    triplet pass. What it wrote in the last moment before a power cut may be lost, and then a mailbox counts as emptier than
    it is by those messages. A store that is damaged is put aside and a new one begun: a count from zero refuses nobody.
"""
