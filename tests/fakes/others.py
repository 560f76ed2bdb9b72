"""What other programs hold, made up: a PostfixAdmin database and a vpopmail folder, with passwords as those programs keep them."""

import base64
import functools
import hashlib
import sqlite3
from pathlib import Path

import bcrypt
from passlib.hash import md5_crypt, sha512_crypt

SCHEMES = 6
_POSTFIXADMIN = """
    CREATE TABLE domain (domain TEXT PRIMARY KEY, description TEXT, aliases INTEGER, mailboxes INTEGER, maxquota INTEGER,
        quota INTEGER, transport TEXT, backupmx INTEGER, created TEXT, modified TEXT, active INTEGER);
    CREATE TABLE alias_domain (alias_domain TEXT PRIMARY KEY, target_domain TEXT, created TEXT, modified TEXT, active INTEGER);
    CREATE TABLE mailbox (username TEXT PRIMARY KEY, password TEXT, name TEXT, maildir TEXT, quota INTEGER, local_part TEXT,
        domain TEXT, created TEXT, modified TEXT, active INTEGER);
    CREATE TABLE alias (address TEXT PRIMARY KEY, goto TEXT, domain TEXT, created TEXT, modified TEXT, active INTEGER);
    CREATE TABLE log (timestamp TEXT, username TEXT, domain TEXT, action TEXT, data TEXT);
"""


def password_of(number: int) -> str:
    """Of the mailbox with this number; one of a hundred, so that thousands are made quickly."""
    return f"pass word {number % 100} '\\"


@functools.cache
def hash_of(password: str, scheme: int) -> str:
    """The hash, as Dovecot (and so PostfixAdmin) writes it."""
    octets = password.encode()
    if scheme == 0:
        return str(md5_crypt.using(salt="abcdefgh").hash(password))
    if scheme == 1:
        return f"{{SHA512-CRYPT}}{sha512_crypt.using(rounds=5000).hash(password)}"
    if scheme == 2:
        return "{BLF-CRYPT}" + bcrypt.hashpw(octets, bcrypt.gensalt(4)).decode()
    if scheme == 3:
        return hashlib.md5(octets).hexdigest()
    if scheme == 4:
        return "{SSHA256}" + base64.b64encode(hashlib.sha256(octets + b"salt").digest() + b"salt").decode()
    return str(sha512_crypt.using(rounds=5000).hash(password))


def make_postfixadmin(path: Path, mailboxes: int, domains: int = 5) -> list[tuple[str, str]]:
    """A database at *path*; each mailbox's address and password."""
    made = []
    with sqlite3.connect(path) as database:
        database.executescript(_POSTFIXADMIN)
        row = ("2020-01-01", "2020-01-01", 1)
        database.execute("INSERT INTO domain VALUES ('ALL', '', 0, 0, 0, 0, '', 0, ?, ?, ?)", row)
        for number in range(domains):
            name = f"pfa{number}.test"
            database.execute(
                "INSERT INTO domain VALUES (?, 'it''s; one', 10, 10, 0, 0, 'virtual', 0, ?, ?, ?)", (name, *row)
            )
        database.execute("INSERT INTO domain VALUES ('other.test', '', 0, 0, 0, 0, 'virtual', 0, ?, ?, ?)", row)
        database.execute("INSERT INTO alias_domain VALUES ('other.test', 'pfa0.test', ?, ?, ?)", row)
        for number in range(mailboxes):
            name = f"pfa{number % domains}.test"
            address, password = f"user{number}@{name}", password_of(number)
            hashed = hash_of(password, number % SCHEMES)
            values = (address, hashed, f"User O'{number}", "x/", 1024 * number, f"user{number}", name, *row)
            database.execute("INSERT INTO mailbox VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
            goto = address if number % 10 else f"{address},user{number + 1}@pfa{(number + 1) % domains}.test"
            database.execute("INSERT INTO alias VALUES (?, ?, ?, ?, ?, ?)", (address, goto, name, *row))
            made.append((address, password))
        database.execute(
            "INSERT INTO alias VALUES ('team@pfa0.test', 'user0@pfa0.test, user1@pfa1.test', 'pfa0.test', ?, ?, ?)", row
        )
        database.execute("INSERT INTO alias VALUES ('@pfa0.test', 'user0@pfa0.test', 'pfa0.test', ?, ?, ?)", row)
    return made


def make_vpopmail(folder: Path, mailboxes: int) -> list[tuple[str, str]]:
    """A domains folder at *folder*; each mailbox's address and password."""
    made = []
    domain = folder / "0" / "vpop.test"
    domain.mkdir(parents=True)
    lines = []
    for number in range(mailboxes):
        name, password = f"v{number}", password_of(number)
        lines.append(
            f"{name}:{hash_of(password, 0 if number % 2 else 5)}:1:0:Nobody:/var/vpopmail/domains/0/vpop.test/{name}:5000S"
        )
        made.append((f"{name}@vpop.test", password))
    (domain / "vpasswd").write_text("\n".join(lines) + "\n")
    (domain / ".qmail-default").write_text("| /var/vpopmail/bin/vdelivermail '' /var/vpopmail/domains/0/vpop.test/v1\n")
    (domain / ".qmail-info:all").write_text("&v0@vpop.test\nv1@vpop.test\n")
    (domain / ".qmail-v0").write_text("/var/vpopmail/domains/0/vpop.test/v0/Maildir/\n&v1@vpop.test\n")
    (folder / "second.test").symlink_to(domain)
    return made
