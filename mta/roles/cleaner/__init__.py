"""cleaner - removes a finished message from the spool.

Serves    scheduler: Clean -> Cleaned, several messages at once
Holds     spool/envelope, spool/progress and spool/content, to unlink in them; no network, no keys, no snapshot
Believes  nothing: what is not a queue id hangs up
Fails     what cannot be unlinked now is answered `done` no; the scheduler asks again. What is gone already is done

Envelope, progress, content, in this order and no other: while there is an envelope the message is owed, so a cleaner that is
killed between two of them leaves nothing that would be sent twice (ARCHITECTURE.md, the spool's state table).
"""
