"""Lists: search, pages by cursor, and the fragment that htmx puts in place while somebody types."""

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

from fastapi import Depends, Query
from starlette.responses import Response

from appliance.services.paging import Page
from web.panel.desk import Desk
from web.panel.links import with_query
from web.panel.rendering import Typed, is_fragment

PAGE_LENGTH = 50
LONGEST_SEARCH = 254


class Wanted(NamedTuple):
    """What part of a list is asked for."""

    search: str
    cursor: str | None


def wanted(
    search: Annotated[str, Query(max_length=LONGEST_SEARCH)] = "", cursor: Annotated[str, Query(max_length=2000)] = ""
) -> Wanted:
    """From the address of the page."""
    return Wanted(search.strip(), cursor or None)


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
    same = {"search": asked.search, **(query or {})}
    values = {
        "page": page,
        "search": asked.search,
        "is_first": asked.cursor is None,
        "first": with_query(where, **same),
        "next": with_query(where, **same, cursor=page.next) if page.next else None,
        **context,
    }
    return desk.page(templates[1] if is_fragment(desk.request) else templates[0], **values)
