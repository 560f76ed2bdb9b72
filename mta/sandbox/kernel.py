"""The few system calls that the standard library does not offer, by number and without a shell of convenience.

A reader would otherwise get wrong: arguments go to the kernel as they are. An integer that does not fit is cut by ctypes
without a word, so every caller passes what it has already bounded.
"""

import ctypes
import os

from mta.sandbox.syscalls import NUMBERS

_MACHINES = {"x86_64": 0, "aarch64": 1}
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class UnknownMachineError(OSError):
    """We have no table of system calls for this processor, so we cannot build the walls, so we do not start."""


def machine() -> int:
    """Column of this machine in the tables.

    Raises:
        UnknownMachineError: neither x86_64 nor aarch64.
    """
    try:
        return _MACHINES[os.uname().machine]
    except KeyError:
        raise UnknownMachineError(f"no sandbox for {os.uname().machine}") from None


def number(name: str) -> int | None:
    """The system call's number here; None when this machine has no such call."""
    return NUMBERS[name][machine()]


def call(name: str, *arguments: int | bytes | ctypes.Array[ctypes.c_char] | None) -> int:
    """Make the system call *name*. Buffers are passed by address, integers as 64 bits.

    Raises:
        OSError: the kernel refuses.
    """
    words = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result = int(_libc.syscall(ctypes.c_long(number(name) or -1), *words))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result


class Prepared:
    """A system call whose arguments are made ready now and which is made later: in a fork every object touched costs a page.

    `Prepared("prctl", 4, 0, 0, 0, 0)()` is `call("prctl", 4, 0, 0, 0, 0)`.
    """

    __slots__ = ("_name", "_words")

    def __init__(self, name: str, *arguments: int | bytes | ctypes.Array[ctypes.c_char] | None) -> None:
        self._name = name
        self._words = [
            ctypes.c_long(value) if isinstance(value, int) else value for value in (number(name) or -1, *arguments)
        ]

    def __call__(self) -> None:
        """Make it.

        Raises:
            OSError: the kernel refuses.
        """
        if _libc.syscall(*self._words) < 0:
            code = ctypes.get_errno()
            raise OSError(code, f"{self._name}: {os.strerror(code)}")


def prctl(operation: int, *arguments: int) -> int:
    """Ask prctl for *operation*; the missing arguments are zero, as many of its operations demand.

    Raises:
        OSError: the kernel refuses.
    """
    return call("prctl", operation, *arguments, *(0 for _ in range(4 - len(arguments))))
