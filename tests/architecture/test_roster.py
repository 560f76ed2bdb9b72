"""The roster, the folders below mta/roles and the manuals say the same."""

import ast
import itertools
import re
from itertools import chain
from pathlib import Path

import pytest

from mta import roster

TREE = Path(__file__).resolve().parents[2]
ROLES = TREE / "mta/roles"
CHILDREN = (roster.LOCAL, roster.REMOTE)  # whom other roles make
EVERYBODY = (*roster.ROLES, *CHILDREN)
UNCOUNTED = (roster.CELL, roster.TLS_CELL, roster.NURSERY)  # made by others too, with no folder of their own
HEADINGS = ("Serves", "Holds", "Believes", "Fails")


def test_each_role_of_the_transfer_agent_has_one_folder_and_each_folder_one_role() -> None:
    folders = {path.name for path in ROLES.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == {role.name for role in EVERYBODY if role.module.startswith("mta.")}


@pytest.mark.parametrize("role", EVERYBODY, ids=lambda role: role.name)
def test_each_role_can_be_started(role: roster.Role) -> None:
    """`python -m <module>` is how the supervisor starts it (and how localspawn's child begins its life)."""
    folder = TREE.joinpath(*role.module.split("."))
    assert (folder / "__init__.py").is_file()
    assert role in CHILDREN or (folder / "__main__.py").is_file()


@pytest.mark.parametrize("folder", sorted(path.parent.name for path in ROLES.glob("*/__init__.py")))
def test_each_role_has_a_manual(folder: str) -> None:
    """What it serves, holds, believes, and does when it fails stands at the head of its folder, in that order."""
    manual = ast.get_docstring(ast.parse((ROLES / folder / "__init__.py").read_text())) or ""
    first, *_ = manual.splitlines() or [""]
    assert len(first.split()) > 3, "a manual opens with the role's job in one line"
    parts = re.split(rf"^({'|'.join(HEADINGS)})\b", manual, flags=re.MULTILINE)[1:]
    assert parts[::2] == list(HEADINGS)
    assert [heading for heading, text in zip(parts[::2], parts[1::2], strict=True) if len(text.split()) < 2] == []


def test_no_two_roles_share_a_uid() -> None:
    numbers = [role.number for role in (*EVERYBODY, *UNCOUNTED)]
    assert len(set(numbers)) == len(numbers)
    assert max(numbers) < roster.DOMAIN_UIDS_FROM


def test_each_edge_joins_two_roles_that_the_supervisor_starts() -> None:
    names = {role.name for role in roster.ROLES}
    assert {name for edge in roster.EDGES for name in (edge.client, edge.server)} <= names
    assert len(set(roster.EDGES)) == len(roster.EDGES)


def test_no_two_roles_may_write_below_one_path_unless_it_is_said_here() -> None:
    """A path with two writers is a channel that nobody checks; these are the ones with a reason."""
    reasons = {
        ("cleaner", "enqueuer"): "the one makes content and envelope, the other only unlinks them",
        ("cleaner", "scheduler"): "the one writes progress, the other only unlinks it",
        ("localspawn", "storekeeper"): "no user of either owns a store: both act as the domain's uid, one at a time",
        ("compiler", "web"): "SQLite: the control plane's own database",
    }
    writers = {
        tuple(sorted((one.name, other.name)))
        for one in EVERYBODY
        for other in EVERYBODY
        if one.name < other.name and overlap(one, other)
    }
    assert writers <= set(reasons)


def overlap(one: roster.Role, other: roster.Role) -> bool:
    written = [{rule.path for rule in role.paths if rule.access is roster.Access.WRITE} for role in (one, other)]
    return any(f"{a}/".startswith(f"{b}/") or f"{b}/".startswith(f"{a}/") for a in written[0] for b in written[1])


def test_the_role_that_talks_to_strangers_holds_nothing() -> None:
    """smtpd: no path, no key, no group, no process, and nobody to ask but directory, enqueuer, tls and journal."""
    smtpd = roster.SMTPD
    assert (smtpd.paths, smtpd.secrets, smtpd.group, smtpd.trusted) == ((), (), "", False)
    forbidden = {roster.Promise.READ_FILES, roster.Promise.WRITE_FILES, roster.Promise.THREADS, roster.Promise.ACCEPT}
    assert not smtpd.promises & (forbidden | {roster.Promise.SPAWN, roster.Promise.CHOWN_DOMAINS})
    assert {edge.server for edge in roster.EDGES if edge.client == "smtpd"} == {
        "directory",
        "enqueuer",
        "tls",
        "journal",
    }


def test_children_of_different_kinds_never_share_a_uid() -> None:
    """Strangers' cells, users' cells, TLS cells and remotes have ranges of their own, below those of domains."""
    makers = [
        role for role in (*roster.ROLES, roster.NURSERY) if role.pool[1] and role.pool[0] < roster.DOMAIN_UIDS_FROM
    ]
    assert len(makers) >= 4
    ranges = sorted(role.pool for role in makers)
    for (first, count), (following, _) in itertools.pairwise([*ranges, (roster.DOMAIN_UIDS_FROM, 0)]):
        assert first + count <= following
    assert min(ranges)[0] > max(role.number for role in EVERYBODY)


def test_users_and_strangers_never_meet_in_a_process() -> None:
    """submissiond holds as little as smtpd, asks one more (who knows passwords), and the two have no way to each other."""
    role = roster.SUBMISSIOND
    assert (role.paths, role.secrets, role.group, role.trusted) == ((), (), "", False)
    assert role.promises == roster.SMTPD.promises
    asked = {edge.server for edge in roster.EDGES if edge.client == "submissiond"}
    assert asked <= {"authenticator", "directory", "enqueuer", "submitter", "tls", "journal"}
    assert len(asked & {"enqueuer", "submitter"}) == 1
    assert "authenticator" not in {edge.server for edge in roster.EDGES if edge.client in ("smtpd", "smtpdspawn")}
    pairs = [{edge.client, edge.server} for edge in roster.EDGES]
    assert {"smtpd", "submissiond"} not in pairs


def test_only_the_control_plane_reaches_the_database_and_never_the_mail() -> None:
    """P7 and P4: web and compiler stand outside spool and store, and nobody else stands inside the database."""
    for role in EVERYBODY:
        paths = [rule.path.partition("/")[0] for rule in role.paths]
        if "db" in paths:
            assert role.name in {"web", "compiler"}
            assert not {"spool", "mail", "keys", "ledger"} & set(paths)


def test_only_the_authenticator_reads_credentials() -> None:
    readers = {
        role.name
        for role in EVERYBODY
        for rule in role.paths
        if rule.path in {"snapshot", "snapshot/credentials", "keys"} and role.name != "compiler"
    }
    assert readers == {"authenticator"}


def test_each_key_has_one_who_makes_and_one_who_believes() -> None:
    """A key in one hand proves nothing to anybody; a key in an untrusted parser's hand proves nothing at all."""
    held = list(chain.from_iterable(role.secrets for role in EVERYBODY))
    assert all(held.count(key) >= 2 for key in held)
    assert [role.name for role in (roster.SMTPD, roster.WEB, roster.BOUNCER, roster.LOCAL) if role.secrets] == []
