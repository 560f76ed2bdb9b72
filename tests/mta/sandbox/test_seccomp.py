"""The filter's program, run by a small machine of our own: rules mean what they say, at every edge."""

import struct

import pytest

from mta.roster import Promise
from mta.sandbox import kernel, promises, seccomp

ALLOW, KILL, EPERM = 0x7FFF0000, 0x80000000, 0x00050001
ARCHITECTURE = (0xC000003E, 0xC00000B7)[kernel.machine()]
POOL = (2_000_000, 2_000_999)


def judge(program: bytes, name: str | int, *arguments: int, architecture: int = ARCHITECTURE) -> int:
    """What the kernel would do: classic BPF, as far as our programs use it."""
    number = kernel.number(name) if isinstance(name, str) else name
    words = [argument & ((1 << 64) - 1) for argument in (*arguments, *([0] * (6 - len(arguments))))]
    data = struct.pack("=iIQ6Q", number if number < 1 << 31 else number - (1 << 32), architecture, 0, *words)
    code = list(struct.iter_unpack("=HBBI", program))
    place = accumulator = 0
    while True:
        operation, true, false, constant = code[place]
        place += 1
        if operation == 0x20:
            [accumulator] = struct.unpack_from("=I", data, constant)
        elif operation == 0x06:
            return constant
        else:
            holds = {
                0x15: accumulator == constant, 0x25: accumulator > constant, 0x35: accumulator >= constant,
                0x45: bool(accumulator & constant),
            }[operation]  # fmt: skip
            place += true if holds else false


def program(*kept: Promise) -> bytes:
    rules = promises.rules(frozenset({Promise.STDIO, Promise.CHANNELS, *kept}), 4321, POOL)
    return seccomp.assemble(rules, promises.ERRORS)


def test_what_no_promise_names_is_refused() -> None:
    """And what one names is allowed."""
    plain = program()
    assert judge(plain, "read", 0, 0, 0) == ALLOW
    assert judge(plain, "openat", -100, 1, 0) == EPERM
    assert judge(plain, "accept4") == EPERM
    assert judge(plain, 12345) == EPERM
    assert judge(program(Promise.ACCEPT), "accept4") == ALLOW


def test_another_machines_calls_end_the_process() -> None:
    """32-bit and x32 calls have other numbers: they would walk past every rule."""
    assert judge(program(), "read", architecture=0x40000003) == KILL
    assert judge(program(), 0x40000000) == KILL


@pytest.mark.parametrize(
    ("uid", "verdict"),
    [
        (0, EPERM),
        (POOL[0] - 1, EPERM),
        (POOL[0], ALLOW),
        (POOL[1], ALLOW),
        (POOL[1] + 1, EPERM),
        (-1, EPERM),
        (1 << 32, EPERM),
    ],
)
def test_the_pool_has_edges(uid: int, verdict: int) -> None:
    """Every argument of setresuid is judged, as the kernel reads it: its lower 32 bits."""
    spawner, inside = program(Promise.SPAWN), POOL[0] + 5
    for arguments in ((uid, inside, inside), (inside, uid, inside), (inside, inside, uid)):
        assert judge(spawner, "setresuid", *arguments) == verdict
        assert judge(spawner, "setresgid", *arguments) == verdict
    assert judge(program(), "setresuid", inside, inside, inside) == EPERM


def test_reading_is_not_writing() -> None:
    """READ_FILES opens for reading only; WRITE_FILES more, but no set-uid file."""
    reader, writer = program(Promise.READ_FILES), program(Promise.WRITE_FILES)
    for flags in (1, 2, 0o100, 0o1000, 0o20200000):
        assert judge(reader, "openat", -100, 1, flags) == EPERM
        assert judge(writer, "openat", -100, 1, flags, 0o600) == ALLOW
    assert judge(reader, "openat", -100, 1, 0o2200000) == ALLOW
    assert judge(writer, "openat", -100, 1, 0o101, 0o4755) == EPERM
    assert judge(writer, "fchmod", 3, 0o2755) == EPERM
    assert judge(reader, "unlinkat") == EPERM


def test_memory_is_written_or_run_but_not_both() -> None:
    """No executable mappings after the door."""
    assert judge(program(), "mmap", 0, 4096, 3, 0x22, -1, 0) == ALLOW
    assert judge(program(), "mmap", 0, 4096, 7, 0x22, -1, 0) == EPERM
    assert judge(program(), "mprotect", 0, 4096, 5) == EPERM


def test_sending_goes_only_where_the_socket_leads() -> None:
    """No destination address, in either half of the pointer, and no connecting by fast open."""
    assert judge(program(), "sendto", 3, 1, 1, 0x4000, 0, 0) == ALLOW
    assert judge(program(), "sendto", 3, 1, 1, 0, 1, 16) == EPERM
    assert judge(program(), "sendto", 3, 1, 1, 0, 1 << 32, 16) == EPERM
    assert judge(program(), "sendmsg", 3, 1, 0x20000000) == EPERM


def test_a_thread_is_no_process() -> None:
    """THREADS clones threads, SPAWN forks, neither makes a namespace; clone3 does not exist."""
    threads, spawner = program(Promise.THREADS), program(Promise.SPAWN)
    assert (judge(threads, "clone", 0x3D0F00), judge(threads, "clone", 0x01200011)) == (ALLOW, EPERM)
    assert (judge(spawner, "clone", 0x01200011), judge(spawner, "clone", 0x3D0F00)) == (ALLOW, EPERM)
    assert judge(spawner, "clone", 0x01200011 | 0x10000000) == EPERM
    assert judge(spawner, "clone3") == 0x00050000 | 38


def test_a_role_signals_itself_only() -> None:
    """abort() must end it; nobody else can be named."""
    assert judge(program(), "tgkill", 4321, 4321, 6) == ALLOW
    assert judge(program(), "tgkill", 4322, 4322, 6) == EPERM


def test_asking_name_servers_is_two_kinds_of_socket_and_no_more() -> None:
    """NAME_SERVERS makes UDP and TCP sockets and connects them; nothing raw, nothing inside the machine, nothing bound."""
    asker = program(Promise.NAME_SERVERS)
    assert judge(asker, "socket", 2, 0o2000001, 0) == ALLOW
    assert judge(asker, "socket", 10, 0o2004002, 0) == ALLOW
    assert judge(asker, "connect", 3, 1, 16) == ALLOW
    for arguments in ((1, 0o2000001, 0), (16, 0o2000003, 0), (2, 0o2000003, 0), (2, 0o2000002, 1), (17, 0o2000002, 0)):
        assert judge(asker, "socket", *arguments) == EPERM
    assert judge(asker, "sendto", 3, 1, 1, 0, 1, 16) == EPERM
    bind, listen = ((49, 200), (50, 201))
    assert [judge(asker, numbers[kernel.machine()]) for numbers in (bind, listen)] == [EPERM, EPERM]
    assert judge(program(), "socket", 2, 0o2000001, 0) == EPERM
    assert judge(program(), "connect", 3, 1, 16) == EPERM


def test_calling_out_is_tcp_and_each_further_liberty_a_promise_of_its_own() -> None:
    """CALL_OUT connects over TCP; CALL_HOOKS to UNIX sockets; CALL_FROM names an address first, in the size of one, no more."""
    caller, hooks, sender = program(Promise.CALL_OUT), program(Promise.CALL_HOOKS), program(Promise.CALL_FROM)
    tcp, six, unix, udp = (2, 0o2004001, 0), (10, 0o2000001, 0), (1, 0o2004001, 0), (2, 0o2004002, 0)
    assert [judge(caller, "socket", *each) for each in (tcp, six, unix, udp)] == [ALLOW, ALLOW, EPERM, EPERM]
    assert [judge(hooks, "socket", *each) for each in (tcp, six, unix, udp)] == [EPERM, EPERM, ALLOW, EPERM]
    assert [judge(sender, "socket", *each) for each in (tcp, six, unix, udp)] == [EPERM] * 4
    assert [judge(sender, "bind", 3, 1, size) for size in (16, 28, 2, 12, 110)] == [ALLOW, ALLOW, EPERM, EPERM, EPERM]
    assert [judge(sender, "setsockopt", 3, 0, option) for option in (24, 15, 19)] == [ALLOW, EPERM, EPERM]
    assert [judge(each, "bind", 3, 1, 16) for each in (caller, hooks, program())] == [EPERM] * 3
    assert [judge(each, (50, 201)[kernel.machine()]) for each in (caller, hooks, sender)] == [EPERM] * 3


def test_giving_away_ends_at_the_pool_too() -> None:
    """CHOWN_DOMAINS gives folders to domains, not to roles or root."""
    keeper = program(Promise.CHOWN_DOMAINS)
    assert judge(keeper, "fchownat", 3, 1, POOL[0], POOL[0], 0) == ALLOW
    assert judge(keeper, "fchownat", 3, 1, 0, POOL[0], 0) == EPERM
    assert judge(keeper, "fchown", 3, POOL[0], POOL[1] + 1) == EPERM
