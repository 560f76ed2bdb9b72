"""Wiring of smtpd: the shell that holds many conversations, with the roster's edges of port 25."""

import sys

from mta import roster
from mta.shells import serving


def main() -> int:
    """Serve until told to stop; answers the exit status."""
    return serving.main(roster.SMTPD)


if __name__ == "__main__":
    sys.exit(main())
