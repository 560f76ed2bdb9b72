"""tracer - reads the journal's lines and keeps of each message what became of it, to be found by address, domain, id and time.

Serves    nobody: who wants to know opens its store for reading (`mta.traces`)
Holds     log/ (for reading) and trace/, one SQLite file
Believes  of a line what its role may say (mta.events), as whoever reads the log; the rest is passed over. A journal that was taken
          over can put false messages here and nothing anywhere else: no other store, no database
Fails     behind the journal after a stop: goes on where it was, as far as the files still reach. Full disk, damaged store:
          says so, puts the damaged one aside and begins anew from the files. Mail never waits for it

Not synced: after a power cut it reads again what it had not kept.
"""
