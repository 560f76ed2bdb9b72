"""Wiring of submissiond: the shell that holds many conversations, with the roster's edges of submission."""

import sys

from mta import roster
from mta.shells import serving


def main() -> int:
    """Serve until told to stop; answers the exit status."""
    return serving.main(roster.SUBMISSIOND)


if __name__ == "__main__":
    sys.exit(main())
