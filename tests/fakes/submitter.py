"""Stands for submitter and what is behind it: takes what users submit, as the fake enqueuer takes what strangers send."""

import sys

from mta import roster
from tests.fakes import enqueuer


def main() -> int:
    """Serve until told to stop."""
    return enqueuer.main(roster.SUBMITTER, "submissiond")


if __name__ == "__main__":
    sys.exit(main())
