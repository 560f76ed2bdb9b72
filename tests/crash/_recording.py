"""What a process does to the disk and says to its peers, recorded from outside with strace.

A reader would otherwise get wrong: the process is the product's own, started as it always is. Nothing in it knows that it is
watched, and nothing in it was changed - but for the copies with one sync taken out, which must be caught.
"""

import ast
import contextlib
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Self

from mta.wire import channel, permits
from mta.wire import messages as m
from tests.crash._disk import Call
from tests.fixtures.lone_role import readable
from tests.fixtures.trees import Tree

_TRACED = (
    "open,openat,creat,write,writev,pwrite64,pwritev,fsync,fdatasync,syncfs,rename,renameat,renameat2,unlink,unlinkat,"
    "mkdir,mkdirat,link,linkat,symlink,symlinkat,ftruncate,truncate,fallocate,copy_file_range,sendfile,splice,"
    "sync_file_range,sendto,sendmsg"
)
_LINE = re.compile(r"(\w+)\((.*)\) += (-?\d+)(?:<([^>]*)>)?")
_DESCRIPTOR = re.compile(r"(?:AT_FDCWD|\d+)<([^>]*)>")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
MOVE = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.execv(sys.executable, [sys.executable, *sys.argv[2:]])"


class Recording:
    """A process under strace, with *arguments* to the tree's interpreter and a channel as its descriptor 3.

    A context: whatever happens in it, at its end nobody runs and no channel is open; of an error one learns what it said.
    """

    def __init__(self, tree: Tree, state: Path, log: Path, permitted, *arguments: str) -> None:
        ours, theirs = channel.pair()
        self.state, self.log = state, log
        self.process = subprocess.Popen(
            ["strace", "-y", "-xx", "-s", "300000", "-qq", "-e", f"trace={_TRACED}", "-e", "signal=none", "-o", str(log),
             tree.python, "-c", MOVE, str(theirs.fileno()), *arguments],
            cwd=tree.root, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, process_group=0,
        )  # fmt: skip
        theirs.close()
        self.channel = channel.Channel(ours, "recorded", permitted)
        self._ends = [self.channel]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        said = self._hang_up()
        if error is not None and said:
            error.add_note(f"the recorded process said:\n{said}")

    def hand_over(self, name: str, role: str, messages: list[m.Message], *, serving: bool = True) -> channel.Channel:
        """A new channel between *name* and *role*, which is recorded and *serving* there; *messages* are one burst in it."""
        ours, theirs = channel.pair()
        permitted = permits.readable_by_client(name, role) if serving else permits.readable_by_server(role, name)
        end = channel.Channel(ours, name, permitted)
        for message in messages:
            end.send(message)
        self._ends.append(end)
        try:
            self.channel.send(m.Peer(name.encode(), 0, serving), (theirs.fileno(),))
        finally:
            theirs.close()
        return end

    def end(self) -> list[Call]:
        """Hang up, wait, and answer what it did, in order."""
        said = self._hang_up()
        assert not said, said
        return read_log(self.log, self.state)

    def _hang_up(self) -> str:
        """Close its control channel, wait, close the others; what it said on stderr since the last time."""
        self.channel.close()
        said = b""
        if self.process.returncode is None:
            try:
                _, said = self.process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)  # strace alone would leave who is traced behind
                self.process.communicate()
                raise
        for end in self._ends:
            end.close()
        return said.decode()


def take(peer: channel.Channel, count: int) -> list[m.Message]:
    """The next *count* messages."""
    found: list[m.Message] = []
    deadline = time.monotonic() + 30
    while len(found) < count:
        peer.flush()
        readable(peer.fileno(), 0.05)
        assert time.monotonic() < deadline, f"{len(found)} of {count} answers"
        found += [message for message, _ in peer.receive()]
    return found


def read_log(log: Path, state: Path) -> list[Call]:
    """The calls that matter: those on files below *state*, and what was sent."""
    calls = []
    for line in log.read_text().splitlines():
        found = _LINE.match(line)
        if found is None or int(found[3]) < 0:
            continue
        call = _read(found[1], found[2], _plain(found[4] or ""), int(found[3]), str(state) + "/")
        if call is not None:
            calls.append(call)
    return calls


def _read(name: str, arguments: str, result: str, number: int, state: str) -> Call | None:
    folders = [_plain(path) for path in _DESCRIPTOR.findall(arguments)]
    strings = [bytes.fromhex(text.replace("\\x", "")) for text, _ in _STRING.findall(arguments)]
    assert not any(cut for _, cut in _STRING.findall(arguments)), "strace cut a string"
    if name in ("sendto", "sendmsg"):
        return Call("say", (), (b"".join(strings),))
    if name == "openat":
        made = "O_CREAT" in arguments and result.startswith(state)
        return Call("create", (result.removeprefix(state),)) if made else None
    if not folders or not (folders[0] + "/").startswith(state):
        return None
    below = [(folder + "/").removeprefix(state).rstrip("/") for folder in folders]
    if name in ("fsync", "fdatasync", "syncfs"):
        return Call(name.replace("fdata", "f"), (below[0],))
    if name == "write":
        return Call("write", (below[0],), (strings[0][:number],))
    names = tuple(str(Path(folder) / text.decode()) for folder, text in zip(below, strings, strict=False))
    known = {"renameat": "rename", "renameat2": "rename", "unlinkat": "unlink", "mkdirat": "mkdir"}
    assert name in known, f"the model of the disk does not know {name}({arguments[:200]})"
    return Call(known[name], names)


def _plain(text: str) -> str:
    if "\\x" in text:
        text = re.sub(r"\\x([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), text)
    return text.removesuffix(" (deleted)")


_SYNCS = {
    "fsync",
    "fdatasync",
    "syncfs",
    "sync",
    "sync_file_system",
    "sync_filesystem",
    "_sync",
    "_sync_file_system",
    "sync_fs",
}


def sync_calls(path: Path) -> list[tuple[int, str]]:
    """Every call in the source *path* that syncs, as (which, its text): each of them can be taken out with `without`."""
    source = path.read_text()
    return [(number, ast.get_source_segment(source, call) or "") for number, call in enumerate(_calls(source))]


def without(path: Path, number: int) -> None:
    """Take the sync call *number* out of the source *path*: its value becomes 0, as if it had worked."""
    source = path.read_text()
    call = _calls(source)[number]
    lines = source.encode().splitlines(keepends=True)
    starts = [sum(map(len, lines[:row])) for row in range(len(lines))]
    begin = starts[call.lineno - 1] + call.col_offset
    end = starts[(call.end_lineno or 0) - 1] + (call.end_col_offset or 0)
    octets = source.encode()
    path.write_bytes(octets[:begin] + b"int()" + octets[end:])


def _calls(source: str) -> list[ast.Call]:
    found = [
        node for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and (node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")) in _SYNCS
    ]  # fmt: skip
    return sorted(found, key=lambda call: (call.lineno, call.col_offset))
