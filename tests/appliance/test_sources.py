"""What PostfixAdmin, vpopmail and mailcow hold is read, in each form in which somebody may have it."""

import json
import sqlite3

import pytest

from appliance.errors import Invalid
from appliance.sources import dump, mailcow, postfixadmin, vpopmail
from tests.fakes.others import SCHEMES, make_postfixadmin, make_vpopmail


def mysql_dump(path, columns=False):
    """As mysqldump writes it: many rows a statement, backslashes that escape."""
    with sqlite3.connect(path) as database:
        parts = ["-- MySQL dump 10.19\n\n"]
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            cursor = database.execute(f"SELECT * FROM {table}")
            names = [column[0] for column in cursor.description]
            parts.append(f"DROP TABLE IF EXISTS `{table}`;\nCREATE TABLE `{table}` (\n")
            parts += [f"  `{name}` varchar(255) NOT NULL,\n" for name in names]
            parts.append("  PRIMARY KEY (`x`),\n  KEY `y` (`y`)\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;\n")
            rows = [f"({','.join(_literal(cell) for cell in row)})" for row in cursor]
            listed = f" ({', '.join(f'`{name}`' for name in names)})" if columns else ""
            if rows:
                parts.append(f"INSERT INTO `{table}`{listed} VALUES {','.join(rows)};\n")
    return "".join(parts)


def _literal(cell):
    if isinstance(cell, int):
        return str(cell)
    escaped = str(cell).replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"


def postgresql_dump(path):
    """As pg_dump writes it."""
    with sqlite3.connect(path) as database:
        parts = ["--\n-- PostgreSQL database dump\n--\n\n"]
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            cursor = database.execute(f"SELECT * FROM {table}")
            names = ", ".join(column[0] for column in cursor.description)
            parts.append(
                f"CREATE TABLE public.{table} (\n    x text\n);\n\nCOPY public.{table} ({names}) FROM stdin;\n"
            )
            parts += [
                "\t".join(str(cell).replace("\\", "\\\\").replace("\t", "\\t") for cell in row) + "\n" for row in cursor
            ]
            parts.append("\\.\n\n")
    return "".join(parts)


def sqlite_dump(path):
    with sqlite3.connect(path) as database:
        return "\n".join(database.iterdump())


@pytest.mark.parametrize(
    "write",
    [None, mysql_dump, lambda path: mysql_dump(path, columns=True), postgresql_dump, sqlite_dump],
    ids=["file", "mysql", "mysql with columns", "postgresql", "sqlite"],
)
def test_postfixadmin_is_read_from_each_kind_of_dump(tmp_path, write):
    path = tmp_path / "postfix.db"
    make_postfixadmin(path, 30)
    with sqlite3.connect(path) as database:
        database.execute(
            "INSERT INTO log VALUES ('x', 'y', 'z', 'w', 'INSERT INTO `mailbox` VALUES (''evil''); --\n);')"
        )
        database.execute("UPDATE mailbox SET active = 0 WHERE username = 'user3@pfa3.test'")
        database.execute(
            "UPDATE alias SET goto = goto || ',user5#pfa0.test@autoreply.test' WHERE address = 'user5@pfa0.test'"
        )
        database.execute("INSERT INTO domain VALUES ('away.test', '', 0, 0, 0, 0, 'relay', 1, '', '', 1)")
    source = path
    if write is not None:
        source = tmp_path / "dump.sql"
        source.write_text(write(path))
    held = postfixadmin.read(source)
    assert sorted(domain.name for domain in held.domains) == ["other.test", *(f"pfa{n}.test" for n in range(5))]
    other = {domain.name: domain for domain in held.domains}
    assert (other["other.test"].alias_of, other["pfa0.test"].catch_all) == ("pfa0.test", "user0@pfa0.test")
    boxes = {mailbox.address: mailbox for mailbox in held.mailboxes}
    assert len(boxes) == 30
    first = boxes["user0@pfa0.test"]
    assert (first.targets, first.keep_copy, first.quota_bytes) == (["user1@pfa1.test"], True, 0)
    assert boxes["user3@pfa3.test"].suspended
    assert boxes["user3@pfa3.test"].password_hash.startswith("{PLAIN-MD5}")
    assert boxes["user7@pfa2.test"].display_name == "User O'7"
    assert boxes["user5@pfa0.test"].targets == []
    assert [(alias.address, alias.targets) for alias in held.aliases] == [
        ("team@pfa0.test", ["user0@pfa0.test", "user1@pfa1.test"])
    ]
    assert len(held.notes) == 2
    assert len({mailbox.password_hash[:6] for mailbox in held.mailboxes[:SCHEMES]}) == SCHEMES


@pytest.mark.parametrize(
    "text", ["", "INSERT INTO `mailbox` VALUES ('x", "nothing", "INSERT INTO domain (domain) VALUES ('a','b');"]
)
def test_what_is_no_dump_is_refused_in_one_sentence(tmp_path, text):
    path = tmp_path / "dump.sql"
    path.write_text(text)
    with pytest.raises(Invalid):
        postfixadmin.read(path)


def test_texts_in_a_dump_are_what_they_were():
    mysql = "-- MySQL dump\nINSERT INTO `t` (`a`,`b`,`c`) VALUES ('x\\'y\\\\',NULL,_binary 'q'),(-1.5,'a''b','\\n');\n"
    assert [row for _, row in dump.rows(mysql, ["t"])] == [
        {"a": "x'y\\", "b": None, "c": "q"}, {"a": "-1.5", "b": "a'b", "c": "\n"},
    ]  # fmt: skip
    plain = 'INSERT INTO public."t" ("a", "b") VALUES (\'back\\slash\', true);\nINSERT INTO u VALUES (1);\n'
    assert [row for _, row in dump.rows(plain, ["t"])] == [{"a": "back\\slash", "b": "1"}]


def test_a_vpopmail_folder_is_read_and_nothing_in_it_is_run(tmp_path):
    make_vpopmail(tmp_path / "domains", 4)
    domain = tmp_path / "domains" / "0" / "vpop.test"
    (domain / ".qmail-robot").write_text(f"| touch {tmp_path}/ran\n")
    (domain / ".qmail-list-default").write_text("&V1@vpop.test\n")
    (domain / ".qmail-many-default").write_text("&v1@vpop.test\n&v2@vpop.test\n")
    (domain / "v2").mkdir()
    (domain / "v2" / ".qmail").write_text("&away@far.test\n")
    held = vpopmail.read(tmp_path / "domains")
    assert [(each.name, each.alias_of, each.catch_all) for each in held.domains] == [
        ("vpop.test", None, "v1@vpop.test"), ("second.test", "vpop.test", None),
    ]  # fmt: skip
    boxes = {mailbox.address: mailbox for mailbox in held.mailboxes}
    assert (boxes["v0@vpop.test"].targets, boxes["v0@vpop.test"].keep_copy) == (["v1@vpop.test"], True)
    assert (boxes["v2@vpop.test"].targets, boxes["v2@vpop.test"].keep_copy) == (["away@far.test"], False)
    assert boxes["v3@vpop.test"].quota_bytes == 5000
    assert {address: box.patterns for address, box in boxes.items() if box.patterns} == {
        "v1@vpop.test": ["list-*@vpop.test"]
    }
    assert [(alias.address, alias.targets) for alias in held.aliases] == [
        ("info.all@vpop.test", ["v0@vpop.test", "v1@vpop.test"])
    ]
    assert len(held.notes) == 2
    assert not (tmp_path / "ran").exists()
    with pytest.raises(Invalid):
        vpopmail.read(tmp_path)


def test_what_mailcows_api_tells_is_read(tmp_path):
    told = {
        "domains": [{"domain_name": "cow.test", "active": 1}],
        "mailboxes": [
            {"username": "ann@cow.test", "domain": "cow.test", "name": "Ann", "quota": 1024, "active": 1},
            {"username": "bob@cow.test", "domain": "cow.test", "quota": "0", "active": "0", "password": "{BLF-CRYPT}$2y$10$x"},
        ],
        "aliases": [
            {"address": "ann@cow.test", "goto": "ann@cow.test", "active": 1},
            {"address": "team@cow.test", "goto": "ann@cow.test,bob@cow.test", "active": 1},
            {"address": "@cow.test", "goto": "ann@cow.test", "active": 1},
            {"address": "trap@cow.test", "goto": "spam@localhost", "active": 1},
        ],
        "alias_domains": [{"alias_domain": "calf.test", "target_domain": "cow.test", "active": 1}],
    }  # fmt: skip
    path = tmp_path / "cow.json"
    path.write_text(json.dumps(told))
    held = mailcow.read(path)
    assert [(each.name, each.alias_of, each.catch_all) for each in held.domains] == [
        ("cow.test", None, "ann@cow.test"), ("calf.test", "cow.test", None),
    ]  # fmt: skip
    assert [(each.address, each.quota_bytes, each.suspended) for each in held.mailboxes] == [
        ("ann@cow.test", 1024, False), ("bob@cow.test", 0, True),
    ]  # fmt: skip
    assert [alias.address for alias in held.aliases] == ["team@cow.test"]
    assert len(held.notes) == 1
    path.write_text("{")
    with pytest.raises(Invalid):
        mailcow.read(path)
