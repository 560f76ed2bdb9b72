"""A disk that forgets: what is there after a power cut, worked out from the system calls a process made.

A reader would otherwise get wrong: this is stricter than any file system in use. A file's octets are there only after its
own fsync (or a syncfs), its name only after the folder's; ext4 gives more, and nothing here relies on it.
"""

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(eq=False)
class Inode:
    """A file or folder: what was written, and how much of that is sure."""

    is_folder: bool
    octets: bytes = b""
    sure: int = 0


@dataclass(eq=False)
class Change:
    """A name that came to mean *inode* (None: nothing) in a folder, not sure yet."""

    folder: Inode
    name: str
    inode: Inode | None


@dataclass
class Disk:
    """The state directory while the calls are replayed."""

    root: Inode = field(default_factory=lambda: Inode(is_folder=True))
    now: dict[Inode, dict[str, Inode]] = field(default_factory=dict)  # what the kernel shows
    sure: dict[Inode, dict[str, Inode]] = field(default_factory=dict)  # what survives
    waiting: list[Change] = field(default_factory=list)
    opened: list[Inode] = field(default_factory=list)

    @classmethod
    def holding(cls, folder: Path) -> "Disk":
        """As *folder* is now, all of it sure."""
        self = cls()
        self._load(folder, self.root)
        return self

    def _load(self, folder: Path, inode: Inode) -> None:
        self.now[inode], self.sure[inode] = {}, {}
        for path in folder.iterdir():
            child = Inode(path.is_dir(), b"" if path.is_dir() else path.read_bytes())
            child.sure = len(child.octets)
            self.now[inode][path.name] = self.sure[inode][path.name] = child
            if child.is_folder:
                self._load(path, child)

    def at(self, path: str) -> Inode:
        """What *path* (below the root) means now. Raises KeyError."""
        inode = self.root
        for part in Path(path).parts:
            inode = self.now[inode][part]
        return inode

    def replay(self, call: "Call") -> None:
        """One system call that changed something."""
        getattr(self, "_" + call.name)(*call.paths, *call.octets)

    def _create(self, path: str) -> None:
        self._name(path, Inode(is_folder=False))

    def _mkdir(self, path: str) -> None:
        inode = Inode(is_folder=True)
        self.now[inode], self.sure[inode] = {}, {}
        self._name(path, inode)

    def _write(self, path: str, octets: bytes) -> None:
        self.at(path).octets += octets

    def _rename(self, path: str, other: str) -> None:
        inode = self.at(path)
        self._name(other, inode)
        self._name(path, None)

    def _unlink(self, path: str) -> None:
        self._name(path, None)

    def _fsync(self, path: str) -> None:
        inode = self.at(path)
        inode.sure = len(inode.octets)
        self._make_sure([change for change in self.waiting if change.folder is inode])

    def _syncfs(self, path: str) -> None:
        self._make_sure(list(self.waiting))
        for inodes in self.now.values():
            for inode in inodes.values():
                inode.sure = len(inode.octets)

    def _name(self, path: str, inode: Inode | None) -> None:
        folder = self.at(str(Path(path).parent))
        if inode is None:
            del self.now[folder][Path(path).name]
        else:
            self.now[folder][Path(path).name] = inode
        self.waiting.append(Change(folder, Path(path).name, inode))

    def _make_sure(self, changes: list[Change]) -> None:
        for change in changes:
            _apply(self.sure, change)
            self.waiting.remove(change)

    def remains(self, how: str, chance: random.Random) -> Iterator[tuple[str, bytes | None]]:
        """What a reboot would show: each path and its octets, of a folder none. *how*: which of what is not sure is there.

        nothing, names (without octets), octets (without names), or some of both by *chance*.
        """
        names = {inode: dict(children) for inode, children in self.sure.items()}
        for change in self.waiting:
            if how == "names" or (how == "some" and chance.random() < 0.5):
                _apply(names, change)
        yield from _below("", self.root, names, how, chance)

    def after_power_cut(self, folder: Path, how: str, chance: random.Random) -> None:
        """Write into *folder* what remains."""
        folder.mkdir(exist_ok=True)
        for path, octets in self.remains(how, chance):
            if octets is None:
                (folder / path).mkdir(exist_ok=True)
            else:
                (folder / path).write_bytes(octets)


def _below(
    path: str, inode: Inode, names: dict[Inode, dict[str, Inode]], how: str, chance: random.Random
) -> Iterator[tuple[str, bytes | None]]:
    for name, child in names.get(inode, {}).items():
        if child.is_folder:
            yield path + name, None
            yield from _below(f"{path}{name}/", child, names, how, chance)
            continue
        kept = len(child.octets) if how == "octets" else child.sure
        if how == "some":
            kept = chance.choice([child.sure, len(child.octets), chance.randint(child.sure, len(child.octets))])
        yield path + name, child.octets[:kept]


def _apply(names: dict[Inode, dict[str, Inode]], change: Change) -> None:
    if change.inode is None:
        names[change.folder].pop(change.name, None)
    else:
        names[change.folder][change.name] = change.inode


@dataclass(frozen=True)
class Call:
    """One recorded system call: its name here, paths below the root, octets. `say` is what was sent to somebody."""

    name: str
    paths: tuple[str, ...] = ()
    octets: tuple[bytes, ...] = ()


def remove_tree(folder: Path) -> None:
    """Quicker than shutil, for a folder we made."""
    for path in folder.iterdir():
        if path.is_dir():
            remove_tree(path)
        else:
            os.unlink(path)
    os.rmdir(folder)
