"""Runs system calls inside another process, from outside: ptrace, as a debugger does. For x86_64.

A reader would otherwise get wrong: this needs nothing of its victim, no hook, no Python, no library. It stops the process
wherever it is, points it at a `syscall` instruction of its own C library, lets it make one step, and puts everything back.
So what succeeds or fails is what code that took the process over could do.
"""

import contextlib
import ctypes
import errno
import functools
import os
import signal
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

_ATTACH, _DETACH, _GETREGS, _SETREGS, _SINGLESTEP, _SETOPTIONS, _GETEVENTMSG = 16, 17, 12, 13, 9, 0x4200, 0x4201
_TRACE_CHILDREN = 0x2 | 0x4 | 0x8  # fork, vfork, clone: the child begins stopped, and is killed before it does a thing
_WALL = 0x40000000
_SCRATCH_OCTETS = 1 << 16

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long

# struct user_regs_struct
_REGISTERS = (
    "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi", "orig_rax",
    "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs",
)  # fmt: skip


class Registers(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in _REGISTERS]


class Injected:
    """A stopped process that makes the system calls it is told."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._instruction = _find_syscall(pid)
        self._memory = os.open(f"/proc/{pid}/mem", os.O_RDWR | os.O_CLOEXEC)
        self._scratch = 0
        self._used = 0
        self._saved = Registers()
        _ptrace(_ATTACH, pid)
        self._wait()
        _ptrace(_SETOPTIONS, pid, data=_TRACE_CHILDREN)
        _ptrace(_GETREGS, pid, data=ctypes.addressof(self._saved))

    @functools.cached_property
    def folders(self) -> dict[int, str]:
        """Its descriptors that are folders, and where they are. While it is stopped they stay."""
        held = {}
        for entry in Path(f"/proc/{self.pid}/fd").iterdir():
            if stat.S_ISDIR(entry.stat().st_mode):
                held[int(entry.name)] = os.readlink(entry)
        return held

    def syscall(self, number: int, *arguments: int | bytes) -> int:
        """The system call's answer: a value, or a negative errno. Bytes are put into its memory and passed by address."""
        self._used = 0
        words = [self.place(value) if isinstance(value, bytes) else value for value in arguments]
        return self._step(number, *words)

    def place(self, octets: bytes) -> int:
        """Put *octets* into its memory until the next system call; answers the address."""
        if not self._scratch:
            self._scratch = self._step(
                9, 0, _SCRATCH_OCTETS, 3, 0x22, -1, 0
            )  # mmap, read and write, private, anonymous
            assert self._scratch > 0, f"no memory in the victim: {self._scratch}"
        address = self._scratch + self._used
        assert self._used + len(octets) <= _SCRATCH_OCTETS
        os.pwrite(self._memory, octets, address)
        self._used += (len(octets) + 15) & ~15
        return address

    def read(self, address: int, octets: int) -> bytes:
        """What lies in its memory."""
        return os.pread(self._memory, octets, address)

    def release(self) -> None:
        """Put everything back and let it go on where it was."""
        with contextlib.suppress(ProcessLookupError):
            if self._scratch:
                self._step(11, self._scratch, _SCRATCH_OCTETS)
            _ptrace(_SETREGS, self.pid, data=ctypes.addressof(self._saved))
            _ptrace(_DETACH, self.pid)
        os.close(self._memory)

    def _step(self, number: int, *words: int) -> int:
        registers = Registers()
        ctypes.memmove(ctypes.addressof(registers), ctypes.addressof(self._saved), ctypes.sizeof(registers))
        registers.rip, registers.rax = self._instruction, number
        registers.orig_rax = (1 << 64) - 1  # Else the kernel would restart the call that we interrupted.
        names = ("rdi", "rsi", "rdx", "r10", "r8", "r9")
        for name, word in zip(names, (*words, *([0] * (len(names) - len(words)))), strict=True):
            setattr(registers, name, word & ((1 << 64) - 1))
        _ptrace(_SETREGS, self.pid, data=ctypes.addressof(registers))
        while True:
            _ptrace(_SINGLESTEP, self.pid)
            event = self._wait()
            if not event:
                break
            self._kill_child()
        _ptrace(_GETREGS, self.pid, data=ctypes.addressof(registers))
        return ctypes.c_longlong(registers.rax).value

    def _kill_child(self) -> None:
        child = ctypes.c_ulong()
        _ptrace(_GETEVENTMSG, self.pid, data=ctypes.addressof(child))
        os.kill(child.value, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child.value, _WALL)

    def _wait(self) -> int:
        """Wait until it stopped; answers the ptrace event, 0 for a plain stop."""
        while True:
            _, status = os.waitpid(self.pid, _WALL)
            if not os.WIFSTOPPED(status):
                raise ProcessLookupError(self.pid)
            if os.WSTOPSIG(status) in (signal.SIGTRAP, signal.SIGSTOP):
                return status >> 16
            _ptrace(_SINGLESTEP, self.pid)  # A signal of its own, which it loses; SIGCHLD at most.


@contextlib.contextmanager
def injected(pid: int) -> Iterator[Injected]:
    """The process *pid*, taken over; it goes on afterwards as if nothing had been."""
    victim = Injected(pid)
    try:
        yield victim
    finally:
        victim.release()


def _ptrace(request: int, pid: int, address: int = 0, data: int = 0) -> int:
    result = _libc.ptrace(request, pid, address, data)
    if result < 0:
        code = ctypes.get_errno()
        if code == errno.ESRCH:
            raise ProcessLookupError(code, f"ptrace {request} of {pid}")
        raise OSError(code, f"ptrace {request} of {pid}: {os.strerror(code)}")
    return result


def _find_syscall(pid: int) -> int:
    """The address of a `syscall` instruction in the victim's C library."""
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        span, rights, *_, name = line.split(maxsplit=5) if line.count(" ") > 4 else (*line.split(), "")
        if "x" not in rights or "libc" not in name:
            continue
        low, high = (int(part, 16) for part in span.split("-"))
        with open(f"/proc/{pid}/mem", "rb") as memory:
            memory.seek(low)
            found = memory.read(high - low).find(b"\x0f\x05")
        if found >= 0:
            return low + found
    raise LookupError(f"no system call instruction in {pid}")


def in_address(host: str, port: int) -> bytes:
    """struct sockaddr_in."""
    return struct.pack("=HH4s8x", 2, ((port & 0xFF) << 8) | port >> 8, bytes(map(int, host.split("."))))
