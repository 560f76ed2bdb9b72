"""Names with a star, as certificates and policies have them (RFC 9525 6.3, RFC 8461 4.1).

A reader would otherwise get wrong: the star stands for exactly one label, the first, and never before a top-level domain.
"""


def covers(pattern: str, name: str) -> bool:
    """Is *name* what *pattern* says?"""
    pattern, name = pattern.lower().rstrip("."), name.lower().rstrip(".")
    if pattern == name:
        return bool(name)
    if not pattern.startswith("*."):
        return False
    first, dot, rest = name.partition(".")
    return bool(first and dot) and rest == pattern[2:] and "." in rest
