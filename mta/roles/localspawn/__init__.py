"""localspawn - brings each message to the `local` of its domain, which it forks under that domain's uid.

Serves    scheduler: Deliver -> Attempted, in any order
Asks      storekeeper: OpenStore -> the domain's uid and folder; every local it made: Write -> Attempted, Stage -> Staged;
          tells ledger what became of a counted mailbox's reservation
Holds     spool/content, to read; mail/ itself, to sync; the right to become any uid of the domains' range, and no other
          (seccomp looks at the arguments); for a moment, a domain's folder
Believes  storekeeper, as far as the uid lies in the range, belongs to the folder, and lives nowhere else at the moment.
          Of a local only what it says of its own domain's deliveries: one answer for each, of a kind that local may give
Fails     a local that ended, or does not answer for STUCK_SECONDS: its deliveries are `delayed` 4.3.0, the next one gets a
          new local - once the old one is gone, for no two processes share a domain's uid. Storekeeper away: deliveries wait
          for it HOLD_SECONDS, then they are `delayed`. More domains than MAX_DOMAINS: they take turns

While many domains get a little mail each (together.py), it waits for the disk on behalf of their locals: Stage puts messages
into tmp/, one syncfs serves all domains, the next Stage renames them, and after one more syncfs they are delivered.

It opens no content that it does not hand on in the same breath, reads none, and imports little: each local is a fork of it.
"""
