"""scheduler - what is attempted when, for each recipient of each message, until all are decided.

Serves    enqueuer: Recovered, Queued
Asks      directory: Expand -> Expansion or Unresolved; localspawn: Deliver -> Attempted; bouncer: Bounce -> Bounced;
          cleaner: Clean -> Cleaned
Holds     spool/envelope, to read; spool/progress, to write; the original key. Never content
Believes  envelopes that are whole, once the enqueuer said Recovered. A peer's answer about what it was asked, and no more
Fails     a peer that is away or lost, or a full disk, defers by seconds; any other deferral by minutes, quadratically, until
          the queue's lifetime is over (5.4.7). It may be killed at any moment: what it did not write down is delivered again,
          onto the same file name

A message whose time has not come is nothing in memory but its queue id and the moment: it is read again when it is due.
Fresh mail goes before old retries, and no domain may take all places (ARCHITECTURE.md, promises P5 and P8).

Standards  RFC 5321 4.5.4.1 (retries), RFC 3464 (whom to tell what)
"""
