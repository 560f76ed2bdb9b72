"""Addresses of pages."""

from urllib.parse import quote, urlencode


def url(*parts: object) -> str:
    """The address of a page; every part is escaped, so that no name can lead elsewhere."""
    return "".join(f"/{quote(str(part), safe='@+')}" for part in parts)


def with_query(where: str, **query: str | None) -> str:
    """*where* with what of *query* is not empty."""
    given = {name: value for name, value in query.items() if value}
    return f"{where}?{urlencode(given)}" if given else where
