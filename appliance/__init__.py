"""The control plane: who may have which domain and mailbox, kept in a database.

A reader would otherwise get wrong: nothing in here moves mail. Mail goes on, from the snapshot, while all of this is down.
"""

VERSION = "0.1.0"  # also in pyproject.toml, which a serving machine may not have; tests/web compares the two
