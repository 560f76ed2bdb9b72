"""storekeeper - makes, opens and puts aside the folders in which mail is stored, and gives each domain its uid.

Serves    localspawn: OpenStore -> Store (uid and folder) or StoreDone; compiler: MakeStore, TrashStore, KeepStore,
          RestoreStore, DropStore -> StoreDone
Holds     mail/, to write; the right to give a folder to a uid of the domains' range, and to become one (seccomp looks at the
          arguments); mail/.uids, the list of which uid is whose
Believes  that a domain exists when a peer says so: it looks nothing up. Names it checks. What lies below a domain's folder it
          does not believe at all: it never goes in there itself, but sends a child that has dropped to the domain's uid and
          can reach nothing else
Fails     `StoreDone` with the reason, and goes on. When mail/.uids cannot be believed it ends (111): a uid given twice would
          open one customer's mail to another. A breach of protocol hangs up

A uid is on the disk before it is used, and is its domain's for ever: a domain that comes back gets its own again, nobody else
does. What is put aside for a removal that may be undone is kept as <domain>/.trash/u<until>-<removal>-<store>; the database says
when it comes back or goes, and two days after its time it goes anyway. Anything else is kept limits.trash_days, as
<time>-<store>. Each step is told by the names alone, so one that was interrupted is simply done again. A domain that goes is each
of its stores put aside: its folder stays where it is, so a `local` that has it open cannot deliver into the trash.
"""
