"""Wiring of the journal: channels in, files and the operator's terminal out."""

import os
import select
import stat
import sys
import time

from mta import roster, sandbox
from mta.roles.journal import lines
from mta.roles.journal.files import Files
from mta.wire import control
from mta.wire import messages as m
from mta.wire.channel import Channel, Packet
from mta.wire.loop import Loop

STDIN, STDOUT = 0, 1
MAX_COMPLAINT = 2000  # octets of one line from a role's stderr


class Journal:
    """Gathers a loop round's events and writes them at its end, in one call for the file and one for the terminal."""

    def __init__(self, start: control.Start, loop: Loop, folder: int) -> None:
        self._files = Files(folder)
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
        self._peers = control.Peers(roster.JOURNAL, start, loop, handlers)
        self._peers.ready()

    def _heed(self, channel: Channel, packet: Packet) -> None:
        message = packet[0]
        if isinstance(message, m.Event):
            name = message.name.decode("utf-8", "backslashreplace")
            self._note(channel.peer, name, lines.said(message.pairs))

    def _hear(self) -> None:
        *whole, self._rest = (self._rest + os.read(STDIN, 65536)).split(b"\n")
        if len(self._rest) > MAX_COMPLAINT:
            whole, self._rest = [*whole, self._rest], b""
        for line in whole:
            self._note("stderr", "complaint", {"text": line[:MAX_COMPLAINT].decode("utf-8", "backslashreplace")})

    def _note(self, role: str, event: str, words: dict[str, str]) -> None:
        moment = time.time()
        self._records.append(lines.record(moment, role, event, words))
        sentence = lines.sentence(moment, role, event, words)
        if sentence:
            self._sentences.append(sentence)

    def _write(self) -> None:
        if not self._records:
            return
        if self._files.dropped > self._told:
            self._told = self._files.dropped
            self._note("journal", "complaint", {"text": f"{self._told} lines were lost: log/ took nothing"})
        self._files.write(self._records)
        self._records.clear()
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
    folder = os.open(os.path.join(start.text("state"), "log"), flags)  # noqa: PTH118
    sandbox.enter(roster.JOURNAL, start, keep=(folder,))
    loop = Loop()
    Journal(start, loop, folder)
    loop.run()
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
