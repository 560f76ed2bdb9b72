"""The compiler: turns rows of the database into records of the snapshot, and publishes what continues it.

Serves
    web: `Poke`, look now. `postern publish`: a row that asks for a publication.

Holds
    The database, for reading and for four small things it writes: what it published, which stores the storekeeper has
    made or put aside, how full mailboxes are, and which access rules have expired. All parts of the snapshot, to write them.

Believes
    The database, as far as it continues what is published: the same installation, no smaller change number, the same
    last change. Of the ledger's facts, the numbers.

Fails
    Towards what is published: whatever is wrong with the database, readers keep what they have, the journal hears why, and
    the compiler goes on by itself when the real database is back. Mail flows meanwhile.

collect reads rows, render makes records of them, standing says which of them each audience has, check refuses nonsense,
publish writes; process is the loop around it.
"""
