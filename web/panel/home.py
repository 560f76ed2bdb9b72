"""The first page of whoever manages: what wants to be looked at, and what mail there was, hour by hour.

A reader would otherwise get wrong: the picture is a drawing of ours (SVG), made here and with its table behind it, and it is asked
for by the page after the page itself: counting messages takes longer than anything else here.
"""

from pathlib import Path
from typing import NamedTuple

from fastapi import APIRouter
from starlette.responses import Response

from appliance.errors import Unable
from appliance.services import attention, isolation, messages, traffic
from appliance.services.attention import Need
from appliance.services.traffic import KINDS, Hour
from web.metrics import MAX_OCTETS
from web.panel.desk import AtPassword, Desk, Signed
from web.panel.guide import guide_for
from web.panel.rendering import is_fragment

router = APIRouter(include_in_schema=False)

WIDTH, HEIGHT, FOOT, SIDE = 720, 190, 22, 44  # of the drawing, and what its labels take
GAP = 5
FRESH_HOURS = 2  # for which nobody wonders that mail waits: other hosts greylist
STEPS = (1, 2, 5)


class Bar(NamedTuple):
    """A rectangle of the drawing."""

    kind: str
    x: float
    y: float
    width: float
    height: float


class Drawing(NamedTuple):
    """The picture: its bars, the lines behind them with what they stand for, and where the hours are written."""

    bars: list[Bar]
    lines: list[tuple[float, int]]
    hours: list[tuple[float, int]]
    total: int


@router.get("/")
def start(desk: AtPassword) -> Response:
    """Everybody's own first page."""
    if desk.me.must_change_password:
        return desk.see_other("/account/password")
    if not desk.me.manages:
        return desk.see_other(desk.me.start)
    with desk.reading() as session:
        needs = attention.needs(session, actor=desk.actor)
        sums = attention.sums(session, actor=desk.actor)
        guide = guide_for(desk, session)
    return desk.page("start/home.html", needs=_of_house(desk) + needs, sums=sums, guide=guide)


def _of_house(desk: Desk) -> list[Need]:
    """What the operator should look at among the processes."""
    if not desk.actor.sees_everything:
        return []
    return [*_of_roles(desk), *attention.of_figures(_figures(desk.wiring.figures))]


def _figures(file: Path) -> str:
    """What the journal counted; nothing before it has written."""
    try:
        with file.open(encoding="utf-8", errors="replace") as read:
            return read.read(MAX_OCTETS)
    except FileNotFoundError:
        return ""


def _of_roles(desk: Desk) -> list[Need]:
    if desk.wiring.supervisor is None:
        return []
    try:
        return attention.of_house(isolation.look(desk.wiring.standing, actor=desk.actor))
    except Unable:
        return [Need("silent", "")]


@router.get("/traffic")
def draw_traffic(desk: Signed) -> Response:
    """Mail of the last day, for the first page."""
    with desk.reading() as session:
        scope = messages.scope_of(session, desk.actor)
    hours = traffic.by_hour(desk.wiring.traces, scope)
    late = sum((hour.counts or {}).get("waiting", 0) for hour in hours[:-FRESH_HOURS])
    return desk.page(
        "start/traffic.html", hours=hours, drawing=drawing_of(hours), kinds=tuple(KINDS), late=late,
        fragment=is_fragment(desk.request),
    )  # fmt: skip


def drawing_of(hours: list[Hour]) -> Drawing:
    """Bars of *hours*, each kind on top of the one before."""
    sums = [sum(hour.counts.values()) if hour.counts else 0 for hour in hours]
    step = _step(max(sums, default=0))
    top = max(step * -(-max(sums, default=0) // step), step)
    floor, wide = HEIGHT - FOOT, (WIDTH - SIDE) / max(len(hours), 1)
    scale = (floor - 8) / top
    bars = []
    for place, hour in enumerate(hours):
        y = float(floor)
        for kind, count in (hour.counts or {}).items():
            height = round(count * scale, 2)
            y -= height
            if count:
                bars.append(
                    Bar(kind, round(SIDE + place * wide + GAP / 2, 2), round(y, 2), round(wide - GAP, 2), height)
                )
    lines = [(round(floor - value * scale, 2), value) for value in range(0, top + 1, step)]
    written = [
        (round(SIDE + (place + 0.5) * wide, 2), hour.begins) for place, hour in enumerate(hours) if place % 4 == 0
    ]
    return Drawing(bars, lines, written, sum(sums))


def _step(most: int) -> int:
    """Between two lines, so that there are at most five of them."""
    power = 1
    while True:
        for step in STEPS:
            if step * power * 4 >= most:
                return step * power
        power *= 10
