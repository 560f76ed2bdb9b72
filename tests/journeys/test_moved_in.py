"""another program's users -> here: a PostfixAdmin database and a vpopmail folder are taken in, and everybody logs in as before."""

import json
import os
import random
import smtplib

import pytest

from tests.fakes.others import SCHEMES, make_postfixadmin, make_vpopmail
from tests.fixtures.house import House, wait_until
from tests.fixtures.served import PATIENT

pytestmark = [pytest.mark.journey, pytest.mark.must_show]

FULL = bool(os.environ.get("POSTERN_FULL"))
MAILBOXES = 5000 if FULL else 60
LOG_INS = 300 if FULL else 2 * SCHEMES  # of them; the rest is one more of the same


def log_in(house: House, address: str, password: str) -> None:
    with house.submission(implicit=True) as client:
        client.login(address, password)


def test_who_moves_in_keeps_his_password(tmp_path, figure) -> None:
    """Of each way in which PostfixAdmin keeps them, and of both that vpopmail has; and mail reaches them at once."""
    settings = {**PATIENT, "limits.logins_per_minute": "1000"}
    with House(tmp_path / "house", settings=settings, submission=True) as house:
        theirs = make_postfixadmin(tmp_path / "postfix.db", MAILBOXES)
        others = make_vpopmail(tmp_path / "domains", 20)
        seen = json.loads(
            house.postern("import", "postfixadmin", str(tmp_path / "postfix.db"), "--dry-run", "--json").stdout
        )
        assert house.rcpt(theirs[0][0])[0] == 550
        made = json.loads(house.postern("import", "postfixadmin", str(tmp_path / "postfix.db"), "--json").stdout)
        assert made == seen | {"dry_run": False}
        assert (made["mailboxes"], made["without_password"], made["refused"], made["aliases"]) == (MAILBOXES, 0, [], 1)
        assert house.postern("import", "vpopmail", str(tmp_path / "domains")).stdout.startswith(
            "made 2 domains, 20 mailboxes"
        )
        wait_until(lambda: house.rcpt(others[-1][0])[0] == 250, 30, house.said)
        for address in (
            "team@pfa0.test",
            "anybody@pfa0.test",
            "user0@other.test",
            "info.all@vpop.test",
            "v3@second.test",
        ):
            assert house.rcpt(address)[0] == 250, address
        chosen = [*theirs[:LOG_INS], *random.Random(5).sample(theirs, SCHEMES), *others[:4]]
        for address, password in chosen:
            log_in(house, address, password)
        with pytest.raises(smtplib.SMTPAuthenticationError):
            log_in(house, theirs[1][0], "not it")
        figure("moved in, and logged in with the old passwords", f"{MAILBOXES + 20}, {len(chosen)}")
