"""remotespawn - brings each message to the `remote` of its destination, and lets none of them take the others' room.

Serves     scheduler: Send and its recipients -> a Sent for each, then SendDone, in any order
Asks       nursery, which it forks first of all: Hatch -> a remote under a uid of its own; every remote: Transmit -> Sent, SendDone.
           To resolver it only introduces the remotes; reporter it tells how TLS went: TlsSeen
Holds      spool/content and snapshot/routes, to read; the key that opens routes' passwords
Believes   a remote what it says of the recipients that it was handed: one answer for each, of a kind that a remote may give
Fails      a remote that ended: what it had in hand is `delayed` 4.3.0, in doubt, which is not the destination's fault. The nursery
           gone: it ends too, and begins anew. Scheduler gone: what is on its way goes on, and its successor, who asks for it
           again, hears what came of it. More destinations than `outbound.max_destinations`: they take turns
Standards  none; what is said to others is remote's

The nursery is what remotes are forks of. It was born before the key was read and is handed no message, so neither has any
remote another's mail, or a password of another route, anywhere in its memory.

**Room.** A host that never answers costs a place for minutes, and there may be more of those than places. So destinations
that were in trouble before (`Send.doubtful`) have at most half of the places; and where somebody waits for a place, who has
been silent for SLOW_SECONDS is told to hurry (`Hurry`): it gives up what the host cannot have yet, which is `delayed` as any
host's trouble is, and next time it is doubtful. What it still has then, a host has, but for its answer. That may take ten
minutes, in which it takes no place: it steps aside (`SendWaits`), into a room as large as all places, and only when that is
full too is given up who has waited longest there, after LAST_WORD_SECONDS, in doubt.
"""
