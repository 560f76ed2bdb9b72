"""The trace store: what became of each message, found by address, domain, queue id and time. Tracer writes it, others look.

A reader would otherwise get wrong: numbers of messages rise in the order in which their first line was read, which is that of
time but for a moment; so a page goes on below a number, and "since" is a number too (`message_at`).

    message  one that was accepted or made here, or (without a queue id) one that was refused. `state` is the newest event that
             says what became of it; `original` the message that a notification is about
    event    a line of the journal about it; `words` are its pairs, as JSON, without queue id and session
    party    who may find it: the reverse-path, recipients, and who was logged in. Addresses in small letters
    domain   one of ours, and for how many days its messages are remembered; 0: as long as the host says. Empty: nobody says
             anything of his own
    place    up to where the journal's files were read
"""

from typing import Final

FILE: Final = "trace/trace.db"  # below the state folder
VERSION: Final = 1
REVERSE_PATH, RECIPIENT, IDENTITY = 1, 2, 3  # the ways to be a party

SCHEMA: Final = """
    CREATE TABLE IF NOT EXISTS message (
        id INTEGER PRIMARY KEY, queue_id TEXT, session TEXT NOT NULL, at REAL NOT NULL, client TEXT NOT NULL,
        reverse_path TEXT NOT NULL, identity TEXT NOT NULL, size INTEGER NOT NULL, recipients INTEGER NOT NULL,
        original TEXT, state TEXT NOT NULL);
    CREATE UNIQUE INDEX IF NOT EXISTS message_queue_id ON message (queue_id) WHERE queue_id IS NOT NULL;
    CREATE INDEX IF NOT EXISTS message_original ON message (original) WHERE original IS NOT NULL;
    CREATE INDEX IF NOT EXISTS message_session ON message (session);
    CREATE INDEX IF NOT EXISTS message_at ON message (at);
    CREATE INDEX IF NOT EXISTS message_state_at ON message (state, at);
    CREATE TABLE IF NOT EXISTS event (
        message_id INTEGER NOT NULL, at REAL NOT NULL, role TEXT NOT NULL, event TEXT NOT NULL, words TEXT NOT NULL);
    CREATE INDEX IF NOT EXISTS event_message_id ON event (message_id);
    CREATE TABLE IF NOT EXISTS party (
        message_id INTEGER NOT NULL, way INTEGER NOT NULL, address TEXT NOT NULL, domain TEXT NOT NULL,
        PRIMARY KEY (message_id, way, address)) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS party_address ON party (address, message_id);
    CREATE INDEX IF NOT EXISTS party_domain ON party (domain, message_id);
    CREATE TABLE IF NOT EXISTS domain (name TEXT PRIMARY KEY, days INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS place (beginning TEXT NOT NULL, octets INTEGER NOT NULL);
"""


def bare(path: str) -> str:
    """An address as it stands in `party`: no angle brackets, small letters."""
    return (path[1:-1] if path.startswith("<") and path.endswith(">") else path).lower()


def domain_of(address: str) -> str:
    """Behind its last at-sign; empty for the null reverse-path."""
    return address.rpartition("@")[2]
