"""Lists: search, order, pages by cursor, and the fragment that htmx puts in place while somebody types.

A reader would otherwise get wrong: an order that a list cannot be had in is its default one, since what was offered of few rows
is not offered any more when there are many, and the address may have been kept. A cursor out of another order leads nowhere.
"""

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

from fastapi import Depends, Query
from starlette.responses import Response

from appliance.services.paging import Page, name_of
from web.panel.desk import Desk
from web.panel.links import with_query
from web.panel.rendering import Typed, is_fragment

PAGE_LENGTH = 50
LONGEST_SEARCH = 254
LONGEST_SORT = 40


class Wanted(NamedTuple):
    """What part of a list is asked for."""

    search: str
    cursor: str | None
    sort: str = ""


class Head(NamedTuple):
    """The head of a column by which a list can be sorted."""

    where: str  # the list in that order; in the other one, when it is in that order already
    direction: str  # in which it is sorted by this column, as aria-sort says it; empty: by another


def wanted(
    search: Annotated[str, Query(max_length=LONGEST_SEARCH)] = "",
    cursor: Annotated[str, Query(max_length=2000)] = "",
    sort: Annotated[str, Query(max_length=LONGEST_SORT)] = "",
) -> Wanted:
    """From the address of the page."""
    return Wanted(search.strip(), cursor or None, sort)


Asked = Annotated[Wanted, Depends(wanted)]


def filters(desk: Desk, *names: str) -> Typed:
    """What else the address of the page says, of these *names*."""
    given = desk.request.query_params
    return Typed({name: given[name].strip()[:LONGEST_SEARCH] for name in names if given.get(name, "").strip()})


def show_list(
    desk: Desk,
    asked: Wanted,
    page: Page[Any],
    where: str,
    templates: tuple[str, str],
    query: Mapping[str, str] | None = None,
    **context: Any,  # noqa: ANN401 - templates take anything
) -> Response:
    """The whole page (first of *templates*), or its list alone (second) when htmx asks for that.

    *query*: what else stands in the address of this list, and so of its other pages.
    """
    sort = asked.sort if asked.sort == page.sort else ""
    same = {"search": asked.search, "sort": sort, **(query or {})}
    values = {
        "page": page,
        "search": asked.search,
        "sort": sort,
        "heads": _heads(page, where, same),
        "is_first": asked.cursor is None,
        "first": with_query(where, **same),
        "next": with_query(where, **same, cursor=page.next) if page.next else None,
        **context,
    }
    return desk.page(templates[1] if is_fragment(desk.request) else templates[0], **values)


def _heads(page: Page[Any], where: str, same: Mapping[str, str]) -> dict[str, Head]:
    """The columns by which *page* can be sorted, by name."""
    found = {}
    for word in page.sorts:
        name, direction, wanted = name_of(word), "", word
        if name_of(page.sort) == name:
            falls = page.sort.startswith("-")
            direction, wanted = ("descending", name) if falls else ("ascending", f"-{name}")
        # Whoever follows it is at the same head again, also without scripts: a fragment moves the focus.
        found[name] = Head(f"{with_query(where, **{**same, 'sort': wanted})}#by-{name}", direction)
    return found
