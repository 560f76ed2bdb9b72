"""What the README tells to type works as it stands there."""

import re
import shlex

from tests.appliance.cli.conftest import ROOT, Postern

_COMMAND = re.compile(r"^(?:KEY=\$\()?(?:echo '(?P<stdin>[^']*)' \| )?postern (?P<words>[^|#\n]+)", re.MULTILINE)
_NEEDS_A_RUNNING_HOUSE = {"status", "check", "explain", "trace"}


def test_each_command_of_the_readme_works_in_its_order(postern: Postern) -> None:
    """On a founded appliance that does not run; those that ask a running one are the journeys' affair."""
    readme = (ROOT / "README.md").read_text()
    tried = []
    for found in _COMMAND.finditer("\n".join(re.findall(r"^```\n(.*?)^```", readme, re.MULTILINE | re.DOTALL))):
        words = shlex.split(found["words"])
        if words[0] not in _NEEDS_A_RUNNING_HOUSE:
            ran = postern(*words, stdin=found["stdin"] or "")
            assert ran.code == 0, (words, ran.err)
            tried.append(words[0])
    assert tried == [
        "domain", "mailbox", "mailbox", "alias", "forward", "domain", "rule", "domain", "domain", "tls", "key",
    ]  # fmt: skip
