"""Isolation: each role with its walls, whom it knows, and what the self-test of the walls found. The operator's page.

A reader would otherwise get wrong: the button says "run" and no more. What is tried stands in the appliance, and is tried by
processes that are not this one: a web process that was taken over could show a wrong result, but not try anything else.
"""

import time
from typing import NamedTuple

from fastapi import APIRouter
from starlette.responses import Response

from appliance.services import isolation
from appliance.services.isolation import House, Room
from web.panel.desk import Desk, Managing
from web.panel.forms import Form
from web.panel.rendering import is_fragment

router = APIRouter(include_in_schema=False)

# What each role is there for, and in which column of the drawing it stands.
JOBS: dict[str, tuple[int, str]] = {
    "listener": (0, "Takes connections, counts each client, and hands the socket on."),
    "smtpd": (0, "Speaks SMTP with strangers. It holds nothing but their conversation."),
    "smtpdspawn": (0, "Makes a process of its own for each stranger's conversation."),
    "submissiond": (0, "Speaks SMTP with users who send."),
    "submissionspawn": (0, "Makes a process of its own for each user's conversation."),
    "qmtpd": (0, "Takes mail from listed hosts by QMTP and QMQP."),
    "tls": (0, "Encrypts connections. It alone has the private keys of certificates."),
    "tlsspawn": (0, "Makes a process of its own for each encrypted connection."),
    "remotespawn": (0, "Has mail carried to other hosts, by a process for each destination."),
    "resolver": (0, "Asks name servers, and reads what they answer."),
    "fetcher": (0, "Gets policies from web servers, and tells webhooks of events."),
    "source": (0, "Asks elsewhere which recipients of relayed domains exist."),
    "web": (0, "This panel and the API."),
    "directory": (1, "Says whether a recipient may have mail, and where it goes."),
    "authenticator": (1, "Says whether a password is right. It alone reads the hashes."),
    "submitter": (1, "Checks what users send, and has it signed."),
    "signer": (1, "Signs with the keys of domains (DKIM)."),
    "bouncer": (1, "Writes notifications and vacation replies."),
    "reporter": (1, "Writes reports about TLS to those who ask for them."),
    "compiler": (1, "Turns the database into what the mail side reads."),
    "enqueuer": (2, "Takes charge of a message, and has it on the disk before it says so."),
    "scheduler": (2, "Decides what is tried when. It reads envelopes, never content."),
    "ledger": (2, "Counts: quotas, sending limits, who was answered."),
    "localspawn": (2, "Has mail put into mailboxes, by a process under each domain's own uid."),
    "storekeeper": (2, "Makes and puts away mailboxes, under each domain's own uid."),
    "cleaner": (2, "Removes messages that are finished."),
    "journal": (2, "Writes down what all others decided."),
    "tracer": (2, "Keeps the story of each message, for those whom it concerns."),
}
MAY = {
    "accept": "take connections on sockets that it was handed",
    "call-database": "call the database server",
    "call-from": "call from an address that the operator chose",
    "call-hooks": "call operators' own programs",
    "call-out": "call other hosts over TCP",
    "channels": "speak over the channels that it was handed",
    "chown-domains": "give folders to domains' uids",
    "client-sockets": "tune sockets that it was handed",
    "name-servers": "ask name servers",
    "read-files": "read files below its own folders",
    "spawn": "make processes, under uids of its own range",
    "stdio": "compute, wait and tell the time",
    "threads": "have threads",
    "write-files": "write files below its own folders",
}
TRIES = {
    "channel": "open a channel to another role",
    "code": "run code that it wrote into its memory",
    "connect": "connect to somebody",
    "datagram": "send datagrams",
    "execute": "start a program",
    "fork": "make another process",
    "listen": "be called by somebody",
    "many descriptors": "open more files than its share",
    "memory of another": "read another process's memory",
    "mount": "change the file system",
    "much memory": "take more memory than its share",
    "raw": "send packets past the rules of TCP and UDP",
    "read system": "read the system's files",
    "ring": "go past the filter by io_uring",
    "root": "become root",
    "signal": "signal another process",
    "trace": "debug another process",
    "write system": "leave a file in the system",
}
PLACES = {
    "db": "the database",
    "keys": "the private keys",
    "ledger": "the ledger",
    "log": "the log",
    "mail": "stored mail",
    "run": "the supervisor's own files",
    "snapshot/certificates": "the certificates' keys",
    "snapshot/credentials": "the password hashes",
    "snapshot/recipients": "the list of recipients",
    "snapshot/signing": "the signing keys",
    "spool/content": "waiting mail",
    "spool/envelope": "who writes to whom",
    "spool/progress": "what became of waiting mail",
    "trace": "the stories of messages",
}
FAULTS = {
    "uid": "It does not run under its own uid.",
    "groups": "It is in groups of somebody else.",
    "capabilities": "It has powers of root.",
    "privileges": "It could gain privileges by starting a program.",
    "filter": "Its system calls are not filtered.",
}

WIDTH, BOX, LINE, HEAD, GAP = 720, 150, 30, 26, 8  # of the drawing: of a box, and from one to the next below
COLUMNS = (("Speak with others", 6.0), ("Judge and write", 270.0), ("Keep", 534.0))
BULGE = 22.0  # of a line between two boxes of one column


class Box(NamedTuple):
    """A role in the drawing."""

    name: str
    x: float
    y: float
    look: str  # plain, trusted, down, bad
    is_asleep: bool = False


class Drawing(NamedTuple):
    """Boxes, the lines between those who ask and those whom they ask (with where the latter's end is), and its height."""

    boxes: list[Box]
    lines: list[tuple[str, float, float]]
    height: float


@router.get("/isolation")
def index(desk: Managing) -> Response:
    """The house: who runs, behind which walls, and what the last self-test found."""
    house = _house(desk)
    if is_fragment(desk.request):
        return desk.page("isolation/_selftest.html", house=house)
    return desk.page(
        "isolation/index.html",
        house=house,
        drawing=drawing_of(house),
        columns=COLUMNS,
        jobs=JOBS,
        box=(BOX, LINE - GAP),
    )


@router.post("/isolation/test")
def test(desk: Managing, form: Form) -> Response:
    """Have the self-test run."""
    house = _house(desk)
    if house.running or time.time() - house.began < house.every:
        return desk.see_other("/isolation", "A test was begun a moment ago. This is what it found.")
    if desk.wiring.supervisor is not None:
        isolation.try_walls(desk.wiring.supervisor.try_walls, actor=desk.actor)
    return desk.see_other("/isolation", "The walls are being tried.")


@router.get("/isolation/{role}")
def detail(desk: Managing, role: str) -> Response:
    """One role."""
    house = _house(desk)
    room = house.room(role)
    return desk.page(
        "isolation/detail.html", house=house, room=room, drawing=neighbours_of(room), box=(BOX, LINE - GAP),
        job=JOBS.get(role, (2, ""))[1], may=[MAY.get(promise, promise) for promise in room.promises],
        tries=TRIES, places=PLACES, faults=FAULTS,
    )  # fmt: skip


def _house(desk: Desk) -> House:
    return isolation.look(desk.wiring.standing, actor=desk.actor)


def drawing_of(house: House) -> Drawing:
    """Everybody, in three columns, with lines to whom each asks."""
    rows = [0, 0, 0]
    boxes: dict[str, Box] = {}
    for room in sorted(house.rooms, key=lambda room: list(JOBS).index(room.name) if room.name in JOBS else len(JOBS)):
        column = JOBS.get(room.name, (2, ""))[0]
        boxes[room.name] = Box(room.name, COLUMNS[column][1], HEAD + rows[column] * LINE, _look(room), room.is_asleep)
        rows[column] += 1
    lines = [_line(boxes[client], boxes[server]) for client, server in house.edges]
    return Drawing(list(boxes.values()), lines, HEAD + max(rows) * LINE)


def neighbours_of(room: Room) -> Drawing:
    """Who asks *room* on the left, itself in the middle, whom it asks on the right."""
    rows = max(len(room.is_asked_by), len(room.asks), 1)
    middle = Box(room.name, COLUMNS[1][1], HEAD + (rows - 1) * LINE / 2, _look(room), room.is_asleep)
    left = [Box(name, COLUMNS[0][1], HEAD + row * LINE, "plain") for row, name in enumerate(room.is_asked_by)]
    right = [Box(name, COLUMNS[2][1], HEAD + row * LINE, "plain") for row, name in enumerate(room.asks)]
    lines = [*(_line(box, middle) for box in left), *(_line(middle, box) for box in right)]
    return Drawing([*left, middle, *right], lines, HEAD + rows * LINE)


def _look(room: Room) -> str:
    if room.is_alarming:
        return "bad"
    if room.is_down:
        return "down"
    return "trusted" if room.trusted else "plain"


def _line(client: Box, server: Box) -> tuple[str, float, float]:
    half = (LINE - GAP) / 2
    begins, ends = client.y + half, server.y + half
    if client.x == server.x:
        side = client.x + BOX
        return f"M{side},{begins} C{side + BULGE},{begins} {side + BULGE},{ends} {side},{ends}", side, ends
    leaves, arrives = (client.x + BOX, server.x) if client.x < server.x else (client.x, server.x + BOX)
    middle = (leaves + arrives) / 2
    return f"M{leaves},{begins} C{middle},{begins} {middle},{ends} {arrives},{ends}", arrives, ends
