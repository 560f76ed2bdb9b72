"""An allow-list of system calls as a program of the kernel's packet-filter machine (classic BPF), and its installation.

A reader would otherwise get wrong: a filter sees numbers, not what pointers point to. A rule about a path or a socket
address is therefore impossible here; only flags, sizes, uids and null pointers can be judged.
"""

import ctypes
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from mta.record import dataclass
from mta.sandbox import kernel

_SET_MODE_FILTER: Final = 1
_FLAG_TSYNC: Final = 1

_ALLOW: Final = 0x7FFF0000
_KILL_PROCESS: Final = 0x80000000
_ERRNO: Final = 0x00050000
_EPERM: Final = 1

_AUDIT_ARCHITECTURE: Final = (0xC000003E, 0xC00000B7)
_X32_BIT: Final = 0x40000000  # x86_64 numbers from here on are the x32 table, which we do not judge

# Offsets in struct seccomp_data; both machines are little-endian.
_NUMBER: Final = 0
_ARCHITECTURE: Final = 4
_ARGUMENTS: Final = 16

_LOAD: Final = 0x20
_JUMP_EQUAL: Final = 0x15
_JUMP_GREATER: Final = 0x25
_JUMP_GREATER_EQUAL: Final = 0x35
_JUMP_ANY_BIT: Final = 0x45
_RETURN: Final = 0x06

_FAIL: Final = -1  # a jump target that is known when the block is complete
_MAX_JUMP: Final = 255

_Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, constant
_JUMPS: Final = (_JUMP_EQUAL, _JUMP_GREATER, _JUMP_GREATER_EQUAL, _JUMP_ANY_BIT)


@dataclass(frozen=True, slots=True)
class OneOf:
    """The argument (its lower 32 bits, all the kernel looks at in an int) is one of these."""

    argument: int
    values: tuple[int, ...]

    def code(self) -> list[_Instruction]:
        """Instructions that fall through when it holds."""
        last = len(self.values) - 1
        tests = [
            (_JUMP_EQUAL, last - place, 0 if place < last else _FAIL, value) for place, value in enumerate(self.values)
        ]
        return [_load(self.argument), *tests]


@dataclass(frozen=True, slots=True)
class NoneOfBits:
    """None of these bits is set in the argument's lower 32."""

    argument: int
    bits: int

    def code(self) -> list[_Instruction]:
        """Instructions that fall through when it holds."""
        return [_load(self.argument), (_JUMP_ANY_BIT, _FAIL, 0, self.bits)]


@dataclass(frozen=True, slots=True)
class Within:
    """The argument, 32 bits without a sign, lies between the two, both included."""

    argument: int
    low: int
    high: int

    def code(self) -> list[_Instruction]:
        """Instructions that fall through when it holds."""
        return [
            _load(self.argument),
            (_JUMP_GREATER_EQUAL, 0, _FAIL, self.low),
            (_JUMP_GREATER, _FAIL, 0, self.high),
        ]


@dataclass(frozen=True, slots=True)
class Null:
    """The argument is a null pointer (all 64 bits)."""

    argument: int

    def code(self) -> list[_Instruction]:
        """Instructions that fall through when it holds."""
        return [
            _load(self.argument),
            (_JUMP_EQUAL, 0, _FAIL, 0),
            _load(self.argument, upper=True),
            (_JUMP_EQUAL, 0, _FAIL, 0),
        ]


Check = OneOf | NoneOfBits | Within | Null
Conditions = tuple[Check, ...]  # all must hold; none: the call is allowed whatever its arguments
Rules = Mapping[str, Sequence[Conditions]]  # one of the alternatives must hold


def assemble(rules: Rules, errors: Mapping[str, int]) -> bytes:
    """The filter that allows *rules*, answers *errors* (call: errno) as told, and EPERM to everything else.

    Raises:
        ValueError: a rule is too long for a jump; the tables are wrong.
    """
    program: list[_Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, _AUDIT_ARCHITECTURE[kernel.machine()]),
        _return(_KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER),
        (_JUMP_GREATER_EQUAL, 0, 1, _X32_BIT),
        _return(_KILL_PROCESS),
    ]
    for name, alternatives in rules.items():
        program += _for_call(name, [_block(conditions) for conditions in alternatives], _ERRNO | _EPERM)
    for name, error in errors.items():
        program += _for_call(name, [], _ERRNO | error)
    program.append(_return(_ERRNO | _EPERM))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def assemble_refusal(name: str) -> bytes:
    """The filter that answers EPERM to the call *name* and allows everything else."""
    program = [
        (_LOAD, 0, 0, _NUMBER),
        *_for_call(name, [], _ERRNO | _EPERM),
        _return(_ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def install(program: bytes) -> None:
    """Bind all threads of this process to *program*, on top of what binds it already. Needs no-new-privileges.

    Raises:
        OSError: the kernel refuses it.
    """
    Installation(program)()


class Installation:
    """`install`, made ready in a parent for its forks."""

    def __init__(self, program: bytes) -> None:
        self._code = ctypes.create_string_buffer(program, len(program))
        header = struct.pack("=H6xQ", len(program) // 8, ctypes.addressof(self._code))
        self._call = kernel.Prepared("seccomp", _SET_MODE_FILTER, _FLAG_TSYNC, header)

    def __call__(self) -> None:
        """As `install`.

        Raises:
            OSError: the kernel refuses it.
        """
        self._call()


def _for_call(name: str, blocks: Iterable[list[_Instruction]], otherwise: int) -> list[_Instruction]:
    number = kernel.number(name)
    if number is None:
        return []
    body = [*(instruction for block in blocks for instruction in block), _return(otherwise)]
    if len(body) > _MAX_JUMP:
        raise ValueError(f"the rules for {name} are too long for one jump")
    return [(_JUMP_EQUAL, 0, len(body), number), *body]


def _block(conditions: Conditions) -> list[_Instruction]:
    """Allow when all *conditions* hold, else go on behind this block."""
    code = [instruction for check in conditions for instruction in check.code()]
    code.append(_return(_ALLOW))
    resolved: list[_Instruction] = []
    for place, (operation, true, false, constant) in enumerate(code):
        behind = len(code) - place - 1
        if operation in _JUMPS:
            jump_true, jump_false = (behind if jump == _FAIL else jump for jump in (true, false))
            resolved.append((operation, jump_true, jump_false, constant))
        else:
            resolved.append((operation, true, false, constant))
    return resolved


def _load(argument: int, *, upper: bool = False) -> _Instruction:
    return (_LOAD, 0, 0, _ARGUMENTS + 8 * argument + (4 if upper else 0))


def _return(action: int) -> _Instruction:
    return (_RETURN, 0, 0, action)
