"""Stands for submitter and what is behind it: takes what users submit, as the fake enqueuer takes what strangers send."""

import sys

from mta import roster
from tests.fakes import enqueuer

if __name__ == "__main__":
    sys.exit(enqueuer.main(roster.SUBMITTER, "submissiond"))
