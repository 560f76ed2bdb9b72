"""A browser in plain words, from what it says of itself (RFC 9110 10.1.5).

A reader would otherwise get wrong: it is hearsay, for an owner to recognise his own devices by. Nothing is decided by it, and of
what was said nothing is kept but these words.
"""

LONGEST = 500  # octets that are looked at
UNKNOWN = "a program"
# Those that say they are another one come before it.
_BROWSERS = (
    ("Edg", "Edge"), ("OPR/", "Opera"), ("SamsungBrowser", "Samsung Internet"), ("Firefox/", "Firefox"), ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"), ("Chrom", "Chrome"), ("Safari/", "Safari"), ("curl/", "curl"),
)  # fmt: skip
_SYSTEMS = (
    ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"), ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"), ("Linux", "Linux"), ("BSD", "BSD"),
)  # fmt: skip


def named(user_agent: str) -> str:
    """Such as `Firefox, Linux`."""
    said = user_agent[:LONGEST]
    browser = next((name for sign, name in _BROWSERS if sign in said), UNKNOWN)
    system = next((name for sign, name in _SYSTEMS if sign in said), "")
    return f"{browser}, {system}" if system else browser
