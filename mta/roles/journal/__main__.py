"""Wiring of the journal: channels in, files and the operator's terminal out."""

import os
import select
import stat
import sys
import time

from mta import roster, sandbox
from mta.events import EVENTS
from mta.roles.journal import lines
from mta.roles.journal.figures import Figures, Publisher
from mta.roles.journal.files import Files
from mta.wire import control
from mta.wire import messages as m
from mta.wire.channel import Channel, Packet
from mta.wire.loop import Loop

STDIN, STDOUT = 0, 1
# After writing, while more gathers in the channels: fewer rounds of ours, and senders wake us less often. A channel takes
# some two hundred events meanwhile; what is more waits in its sender.
NAP_SECONDS = 0.05
MAX_COMPLAINT = 2000  # octets of one line from a role's stderr
FIGURES = frozenset(name for name, kind in EVENTS.items() if kind.figure)  # numbers, not lines


class Journal:
    """Gathers a loop round's events and writes them at its end, in one call for the file and one for the terminal."""

    def __init__(self, start: control.Start, loop: Loop, folder: int, figures: int) -> None:
        self._files = Files(folder)
        self._loop = loop
        self._figures = Figures()
        self._publisher = Publisher(self._figures, figures)
        self._publishing = False
        self._met: set[Channel] = set()
        self._records: list[bytes] = []
        self._sentences: list[bytes] = []
        self._terminal = True
        self._rest = b""
        self._told = 0
        loop.after_burst.append(self._write)
        if stat.S_ISFIFO(os.fstat(STDIN).st_mode):
            # The other roles' stderr, together; who spoke cannot be told, so it is nobody's word.
            os.set_blocking(STDIN, False)
            loop.add_reader(STDIN, self._hear)
        handlers = {role.name: self._heed for role in roster.ROLES}
        self._peers = control.Peers(roster.JOURNAL, start, loop, handlers, found=self._found, lost=self._lost)
        self._peers.ready()

    def _found(self, channel: Channel) -> None:
        self._met.add(channel)
        self._figures.met(channel.peer, channel.instance)

    def _lost(self, channel: Channel) -> None:
        if channel in self._met:  # Else one that was introduced: a conversation, not a role.
            self._met.remove(channel)
            self._figures.lost(channel.peer)

    def _heed(self, channel: Channel, packet: Packet) -> None:
        message = packet[0]
        if isinstance(message, m.Event):
            name = message.name.decode("utf-8", "backslashreplace")
            words = lines.said(message.pairs)
            if channel.session:
                words["session"] = channel.session.decode("utf-8", "backslashreplace")
            self._note(channel.peer, name, words)

    def _hear(self) -> None:
        *whole, self._rest = (self._rest + os.read(STDIN, 65536)).split(b"\n")
        if len(self._rest) > MAX_COMPLAINT:
            whole, self._rest = [*whole, self._rest], b""
        for line in whole:
            self._note("stderr", "complaint", {"text": line[:MAX_COMPLAINT].decode("utf-8", "backslashreplace")})

    def _note(self, role: str, event: str, words: dict[str, str]) -> None:
        self._figures.heard(role, event, words)
        if event in FIGURES:
            return
        moment = time.time()
        self._records.append(lines.record(moment, role, event, words))
        sentence = lines.sentence(moment, role, event, words)
        if sentence:
            self._sentences.append(sentence)

    def _publish_later(self) -> None:
        seconds = self._publisher.due_in()
        if seconds is not None and not self._publishing:
            self._publishing = True
            self._loop.call_later(seconds, self._publish)

    def _publish(self) -> None:
        self._publishing = False
        self._publisher.publish()

    def _write(self) -> None:
        self._publish_later()
        if not self._records:
            return
        if self._files.dropped > self._told:
            self._told = self._files.dropped
            self._note("journal", "complaint", {"text": f"{self._told} lines were lost: log/ took nothing"})
        self._files.write(self._records)
        self._records.clear()
        self._tell_operator()
        time.sleep(NAP_SECONDS)

    def _tell_operator(self) -> None:
        if self._sentences and self._terminal and select.select([], [STDOUT], [], 0)[1]:
            try:
                os.write(STDOUT, b"".join(self._sentences))
            except OSError:
                self._terminal = False  # Nobody is there any more; the file has it all.
        self._sentences.clear()


def main() -> int:
    """Write until told to stop."""
    start = control.begin(roster.JOURNAL)
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    folders = [os.open(os.path.join(start.text("state"), name), flags) for name in ("log", "figures")]  # noqa: PTH118
    sandbox.enter(roster.JOURNAL, start, keep=folders)
    loop = Loop()
    Journal(start, loop, *folders)
    loop.run()
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
