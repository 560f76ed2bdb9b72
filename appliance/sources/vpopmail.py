"""A vpopmail domains folder: `vpasswd` and the `.qmail` files beside it.

A reader would otherwise get wrong: a `.qmail` file may name programs and folders. They are read for what they say about
addresses, and never run or opened.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from appliance.errors import Invalid
from appliance.holdings import HeldAlias, HeldDomain, HeldMailbox, Holdings

MAX_FILE = 64 << 20  # octets of one vpasswd
MAX_QMAIL = 1 << 20
DEEPEST = 3  # levels of folders with one letter, in which vpopmail spreads many domains
_BOUNCE_MAIL = 0x10  # in the gid field: mail for the user is refused
_QUOTA = re.compile(r"(\d{1,18})(S?)(?:,|\Z)")
_DELIVER = re.compile(r"\|\s*\S*vdelivermail\s+('[^']*'|\S+)\s+(\S+)")


def read(folder: Path) -> Holdings:
    """What stands in *folder*, in which each domain has a folder of its name.

    Raises:
        Invalid: there is no domain in it.
        OSError: it cannot be read.
    """
    found = Holdings()
    for path in _domains(folder, DEEPEST):
        if path.is_symlink():
            found.domains.append(HeldDomain(path.name.lower(), alias_of=path.resolve().name.lower()))
        else:
            _Domain(found, path).take()
    if not found.domains:
        raise Invalid(f"{folder} holds no domain of vpopmail: no folder in it has a file vpasswd", code="bad_import")
    return found


def _domains(folder: Path, levels: int) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if not path.is_dir():
            continue
        if (path / "vpasswd").is_file():
            yield path
        elif len(path.name) == 1 and levels and not path.is_symlink():
            yield from _domains(path, levels - 1)


class _Domain:
    """One domain's folder, on its way into *found*."""

    def __init__(self, found: Holdings, folder: Path) -> None:
        self._found, self._folder, self._name = found, folder, folder.name.lower()
        self._domain = HeldDomain(self._name)
        self._mailboxes: dict[str, HeldMailbox] = {}

    def take(self) -> None:
        """Read all of it."""
        self._found.domains.append(self._domain)
        for line in _text(self._folder / "vpasswd", MAX_FILE).splitlines():
            self._take_user(line)
        for path in sorted(self._folder.glob(".qmail-*")):
            self._take_file(path.name.removeprefix(".qmail-").replace(":", "."), path)
        self._found.mailboxes += self._mailboxes.values()

    def _take_user(self, line: str) -> None:
        fields = line.split(":")
        if len(fields) < 7 or not fields[0]:
            if line.strip():
                self._found.notes.append(f"{self._name}: a line of vpasswd that is none was passed over")
            return
        name, hash_, _, flags, gecos, home, quota = fields[:7]
        mailbox = HeldMailbox(f"{name}@{self._name}", hash_ or None, _octets(quota), " ".join(gecos.split())[:100])
        mailbox.suspended = flags.isdigit() and bool(int(flags) & _BOUNCE_MAIL)
        self._mailboxes[name.lower()] = mailbox
        own = (
            self._folder / Path(home.rstrip("/")).name / ".qmail"
        )  # Not where the field says: that was another machine.
        if own.is_file():
            self._forward(mailbox, own)

    def _take_file(self, name: str, path: Path) -> None:
        if name == "default":
            self._take_default(path)
        elif name.endswith("-default"):
            self._take_pattern(name.removesuffix("default"), path)
        elif (mailbox := self._mailboxes.get(name.lower())) is not None:
            self._forward(mailbox, path)
        else:
            targets, _ = self._targets(path, f"{name}@{self._name}")
            if targets:
                self._found.aliases.append(HeldAlias(f"{name}@{self._name}", targets))

    def _take_pattern(self, start: str, path: Path) -> None:
        """Where all that begins so went to one mailbox of the domain, it is that one's pattern."""
        pattern = f"{start}*@{self._name}"
        targets, _ = self._targets(path, pattern)
        names = {target.partition("@")[0].lower() for target in targets if target.lower().endswith(f"@{self._name}")}
        holder = self._mailboxes.get(names.pop()) if len(targets) == len(names) == 1 else None
        if holder is None:
            self._found.notes.append(f"{pattern}: a pattern that did not lead to one mailbox alone is not taken along")
        else:
            holder.patterns.append(pattern)

    def _take_default(self, path: Path) -> None:
        for line in _text(path, MAX_QMAIL).splitlines():
            deliver = _DELIVER.match(line.strip())
            where = deliver[2].strip("'\"") if deliver is not None else line.strip().removeprefix("&")
            if where.startswith("/"):
                self._domain.catch_all = f"{Path(where.rstrip('/')).name}@{self._name}"
            elif "@" in where and not where.startswith(("|", "#")):
                self._domain.catch_all = where
            elif where == "delete":
                self._found.notes.append(
                    f"{self._name}: mail for unknown addresses was deleted there; here it is refused"
                )

    def _forward(self, mailbox: HeldMailbox, path: Path) -> None:
        mailbox.targets, mailbox.keep_copy = self._targets(path, mailbox.address)
        mailbox.keep_copy = mailbox.keep_copy or not mailbox.targets

    def _targets(self, path: Path, address: str) -> tuple[list[str], bool]:
        """Addresses that a file names, and whether it keeps a copy in a Maildir."""
        targets, keeps = [], False
        for line in (each.strip() for each in _text(path, MAX_QMAIL).splitlines()):
            if line.startswith("|"):
                self._found.notes.append(f"{address}: a program ran there for its mail, and is not taken along")
            elif line.startswith(("/", ".")):
                if address.lower() in {mailbox.address.lower() for mailbox in self._mailboxes.values()}:
                    keeps = True
                else:
                    user = Path(re.sub(r"/(Maildir/?)?\Z", "", line)).name.lower()
                    targets += [f"{user}@{self._name}"] if user in self._mailboxes else []
            elif line and not line.startswith("#"):
                target = line.removeprefix("&").strip()
                targets.append(target if "@" in target else f"{target}@{self._name}")
        return list(dict.fromkeys(targets)), keeps


def _octets(quota: str) -> int:
    found = _QUOTA.match(quota)
    return int(found[1]) if found is not None else 0


def _text(path: Path, most: int) -> str:
    if path.stat().st_size > most:
        raise Invalid(f"{path} is larger than {most >> 20} MiB", code="bad_import")
    return path.read_text(encoding="utf-8", errors="replace")
