"""When messages come into a Maildir, by the clock and not by the file.

A reader would otherwise get wrong: a file's time is that of the kernel's last tick, up to four milliseconds before. Where a
delivery takes two, it says that mail came before it was sent.
"""

import ctypes
import os
import select
import struct
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_CREATED: Final = 0x100 | 0x80  # linux/inotify.h: IN_CREATE, IN_MOVED_TO
_EVENT: Final = struct.Struct("iIII")
_LOOK_SECONDS: Final = 0.2
_READ: Final = 1 << 16


class Arrivals:
    """Watches *folder*, a Maildir's new/, while it is used as a context. `came`: the Subject of each message to its moment.

    Raises:
        OSError: there is no such folder.
    """

    def __init__(self, folder: Path) -> None:
        self.came: dict[str, float] = {}
        self._folder = folder
        libc = ctypes.CDLL(None, use_errno=True)
        self._watch: int = libc.inotify_init1(os.O_CLOEXEC)
        if libc.inotify_add_watch(self._watch, os.fsencode(folder), _CREATED) < 0:
            number = ctypes.get_errno()
            os.close(self._watch)
            raise OSError(number, os.strerror(number), str(folder))
        self._is_over = False
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._is_over = True
        self._thread.join()
        os.close(self._watch)

    def _listen(self) -> None:
        while not self._is_over:
            if select.select([self._watch], [], [], _LOOK_SECONDS)[0]:
                octets, moment = os.read(self._watch, _READ), time.time()
                while octets:
                    length = _EVENT.unpack_from(octets)[3]
                    name = octets[_EVENT.size : _EVENT.size + length].rstrip(b"\0")
                    octets = octets[_EVENT.size + length :]
                    self._note(self._folder / os.fsdecode(name), moment)

    def _note(self, path: Path, moment: float) -> None:
        head = path.read_bytes().partition(b"\r\n\r\n")[0].replace(b"\r\n", b"\n")
        self.came[head.partition(b"Subject: ")[2].partition(b"\n")[0].decode()] = moment
        path.unlink()
