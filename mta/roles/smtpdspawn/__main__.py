"""Wiring of smtpdspawn: the shell that forks a cell for every client, with the roster's edges of port 25."""

import sys

from mta import roster
from mta.shells import spawning


def main() -> int:
    """Serve until told to stop; answers the exit status."""
    return spawning.main(roster.SMTPDSPAWN)


if __name__ == "__main__":
    sys.exit(main())
