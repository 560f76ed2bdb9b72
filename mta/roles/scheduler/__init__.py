"""scheduler - what is attempted when, for each recipient of each message, until all are decided.

Serves    enqueuer: Recovered, Queued; supervisor, for operators: QueueOrder -> QueueTold
Asks      directory: Expand -> Expansion, Outward or Unresolved; localspawn: Deliver -> Attempted; remotespawn: Send -> Sent,
          SendDone; bouncer: Bounce -> Bounced; cleaner: Clean -> Cleaned
Holds     spool/envelope, to read; spool/progress, to write; the original key. Never content
Believes  envelopes that are whole, once the enqueuer said Recovered. A peer's answer about what it was asked, and no more
Fails     a peer that is away or lost, or a full disk, defers by seconds; a destination in trouble all that goes there, by a
          minute doubling to an hour; any other deferral by minutes, quadratically; until the queue's lifetime is over (5.4.7).
          It may be killed at any moment: what it did not write down is delivered again, onto the same file name, or sent again.
          What an operator ordered is synced before he hears `done`

A message whose time has not come is nothing in memory but its queue id, and the moment or a place in its destination's line:
it is read again when it is due. What is known of destinations is forgotten with the process, and found out anew.
Fresh mail goes before old retries, and no domain may take all places (ARCHITECTURE.md, promises P5 and P8).

Standards  RFC 5321 4.5.4.1 (retries), RFC 3464 (whom to tell what)
"""
