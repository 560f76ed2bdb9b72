"""How messages between roles are made: a class is its fields with their bounds; writing, reading and comparing follow from them.

A reader would otherwise get wrong: the annotations are the wire format. `bytes`, `int` and `bool` are one netstring each; a
last field of `tuple[bytes, ...]` takes the rest. Bounds stand in the annotation and are checked when reading, because the
writer may have been taken over.

Nothing is compiled before it is used. Each process knows the whole language and speaks a tenth of it: made ready at import as
dataclasses are, a hundred classes cost every process a tenth of a second and a megabyte.
"""

import typing
from collections.abc import Callable, Iterable
from typing import Annotated, Any, ClassVar, Self

from mta.record import dataclass
from mta.wire.netstring import MAX_MESSAGE, WireError


@dataclass(frozen=True)
class Max:
    """Longest value of a field, in octets (of a tuple: of each member)."""

    octets: int


_MESSAGES: dict[bytes, type["Message"]] = {}


@typing.dataclass_transform(frozen_default=True)
class _Kind(type):
    """Makes a message's class: its annotations become slots, what they are given becomes defaults."""

    _fields: tuple[str, ...]  # their names, in order
    _defaults: dict[str, Any]

    def __new__(
        mcs, name: str, bases: tuple[type, ...], space: dict[str, Any], verb: str = "", descriptors: int = 0
    ) -> "_Kind":  # fmt: skip
        fields: tuple[str, ...] = ()
        if verb:
            hints = space.get("__annotations__", {})
            fields = tuple(name for name, hint in hints.items() if typing.get_origin(hint) is not ClassVar)
            defaults = {field: space.pop(field) for field in fields if field in space}
            space |= {
                "__slots__": fields, "__match_args__": fields, "verb": verb.encode(), "descriptors": descriptors,
                "_fields": fields, "_defaults": defaults,
            }  # fmt: skip
        cls = super().__new__(mcs, name, bases, space)
        if verb and _MESSAGES.setdefault(verb.encode(), cls) is not cls:  # type: ignore[arg-type]
            raise TypeError(f"two messages with the verb {verb!r}")
        return cls


class Message(metaclass=_Kind):
    """Base of all messages; a subclass registers itself under its verb. Instances do not change."""

    __slots__ = ()
    verb: ClassVar[bytes]
    descriptors: ClassVar[int]  # how many descriptors travel beside it
    _pack: ClassVar[Callable[[Any], bytes]]
    _read: ClassVar[Callable[[type["Message"], list[bytes]], Any]]

    def __init__(self, *values: object, **named: object) -> None:
        # The first of its kind: from now on the class has one of its own.
        cls = type(self)
        cls.__init__ = _made(_source_of_init(cls), "__init__", _setters(cls))  # type: ignore[method-assign]
        cls.__init__(self, *values, **named)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name} of a message cannot be changed")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{name} of a message cannot be removed")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), self._values()))

    def __repr__(self) -> str:
        pairs = zip(type(self)._fields, self._values(), strict=True)
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in pairs)})"

    def but(self, **changed: object) -> Self:
        """The same with other values of some fields.

        Raises:
            TypeError: there is no such field.
        """
        return type(self)(**{**dict(zip(type(self)._fields, self._values(), strict=True)), **changed})

    @property
    def carries(self) -> int:
        """How many descriptors travel beside this one; where that differs, a class says so."""
        return self.descriptors

    def encode(self) -> bytes:
        """The packet of this message.

        Raises:
            WireError: it does not fit in one packet.
        """
        cls = type(self)
        if "_pack" not in cls.__dict__:
            _compile(cls)
        return cls._pack(self)

    @classmethod
    def decode(cls, fields: list[bytes]) -> Self:
        """Read the fields after the verb.

        Raises:
            WireError: too few, too many, or a value out of its bounds.
        """
        if "_read" not in cls.__dict__:
            _compile(cls)
        return cls._read(cls, fields)  # type: ignore[no-any-return]

    def _values(self) -> tuple[object, ...]:
        return tuple([getattr(self, name) for name in type(self)._fields])


def prepare(kinds: Iterable[type[Message]]) -> None:
    """Write now what would be written when the first message of each of *kinds* is made or read: for who has forks."""
    for cls in kinds:
        if "__init__" not in cls.__dict__:
            cls.__init__ = _made(_source_of_init(cls), "__init__", _setters(cls))  # type: ignore[method-assign]
        if "_pack" not in cls.__dict__:
            _compile(cls)


def read_message(fields: list[bytes], permitted: frozenset[type[Message]]) -> Message:
    """The message in *fields*, if it is one that the other side may send us.

    Raises:
        WireError: unknown, not permitted on this channel, or malformed.
    """
    kind = _MESSAGES.get(fields[0]) if fields else None
    if kind is None or kind not in permitted:
        raise WireError(f"a message that is not permitted here: {fields[0][:20]!r}" if fields else "an empty packet")
    return kind.decode(fields[1:])


# --- what is written once for each class that is used -------------------------------------------------------------------
#
# It is written as source, because every packet of the house passes through it: a loop over the fields costs three times as
# much. The source is made of our own field names and bounds, of nothing that arrives.


def _made(source: str, name: str, space: dict[str, Any]) -> Any:  # noqa: ANN401 - a function
    exec(source, space)  # noqa: S102 - see above
    return space[name]


def _setters(cls: type[Message]) -> dict[str, Any]:
    """What a message's own `__setattr__` does not let happen."""
    return {f"set_{name}": cls.__dict__[name].__set__ for name in cls._fields} | {
        f"default_{name}": value for name, value in cls._defaults.items()
    }


def _source_of_init(cls: type[Message]) -> str:
    given = [f"{name}=default_{name}" if name in cls._defaults else name for name in cls._fields]
    lines = [f"    set_{name}(self, {name})" for name in cls._fields] or ["    pass"]
    return "\n".join([f"def __init__(self{''.join(f', {each}' for each in given)}):", *lines, ""])


def _compile(cls: type[Message]) -> None:
    """Write the two functions that the annotations of *cls* describe."""
    hints: dict[str, Any] = cls.__dict__.get("__annotations__", {})  # noqa: RUF063 - of a class, the same
    names = list(cls._fields)
    rest = names.pop() if names and typing.get_origin(hints[names[-1]]) is tuple else None
    space: dict[str, Any] = {"WireError": WireError, "read_int": _read_int, "read_bool": _read_bool}
    cls._pack = _made(_source_of_pack(cls, names, rest, hints), "pack", space)
    cls._read = _made(_source_of_read(names, rest, hints), "read", space)


def _source_of_pack(cls: type[Message], names: list[str], rest: str | None, hints: dict[str, Any]) -> str:
    """`pack(self)`: one format string for all fields of fixed number."""
    write = {int: "b'%d' % self.{0}", bool: "b'1' if self.{0} else b'0'", bytes: "self.{0}"}
    lines = [f"    {name} = {write[_bare(hints[name])].format(name)}" for name in names]
    template = b"%d:%b," % (len(cls.verb), cls.verb) + b"%d:%b," * len(names)
    values = "".join(f"len({name}), {name}, " for name in names)
    more = f" + b''.join([b'%d:%b,' % (len(f), f) for f in self.{rest}])" if rest else ""
    return "\n".join([
        "def pack(self):", *lines,
        f"    packet = {template!r} % ({values}){more}",
        f"    if len(packet) > {MAX_MESSAGE}:",
        f"        raise WireError(f'a packet of {{len(packet)}} octets is over the bound of {MAX_MESSAGE}')",
        "    return packet", "",
    ])  # fmt: skip


def _source_of_read(names: list[str], rest: str | None, hints: dict[str, Any]) -> str:
    """`read(cls, fields)`: number, bounds, then the values."""
    wrong = f"len(fields) < {len(names)}" if rest else f"len(fields) != {len(names)}"
    lines = [f"    if {wrong}:", "        raise WireError(f'{cls.__name__}: {len(fields)} fields')"]
    take = [*names, f"*{rest}"] if rest else names
    if take:
        lines.append(f"    {', '.join(take)}{',' if len(take) == 1 else ''} = fields")
    bounds = [f"len({name}) > {_limit(hints[name])}" for name in names if _bare(hints[name]) is bytes]
    if rest:
        bounds.append(f"any([len(f) > {_limit(typing.get_args(hints[rest])[0])} for f in {rest}])")
    if bounds:
        lines += [f"    if {' or '.join(bounds)}:", "        raise WireError(f'{cls.__name__}: a field is too long')"]
    read = {int: "read_int({0})", bool: "read_bool({0})", bytes: "{0}"}
    values = [read[_bare(hints[name])].format(name) for name in names] + ([f"tuple({rest})"] if rest else [])
    return "\n".join(["def read(cls, fields):", *lines, f"    return cls({', '.join(values)})", ""])


def _bare(hint: Any) -> type:  # noqa: ANN401 - an annotation can be anything
    return typing.cast("type", typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint)


def _limit(hint: Any) -> int:  # noqa: ANN401 - as above
    if _bare(hint) is not bytes or typing.get_origin(hint) is not Annotated:
        raise TypeError(f"{hint} has no wire format with a bound")
    octets: int = typing.get_args(hint)[1].octets
    return octets


def _read_int(field: bytes) -> int:
    if not field.isdigit() or len(field) > 19 or (field[0] == 0x30 and len(field) > 1):
        raise WireError("not a number")
    return int(field)


def _read_bool(field: bytes) -> bool:
    if field not in (b"0", b"1"):
        raise WireError("neither yes nor no")
    return field == b"1"
