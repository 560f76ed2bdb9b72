"""Header text beyond ASCII (RFC 2047): encoded words to text, and text to encoded words. Bounded both ways.

A reader would otherwise get wrong: a charset is a name that a stranger chose. Only those of CHARSETS are decoded, with what was
loaded before a role gave its rights away; of the others an encoded word stays as it stands, and matches nothing but itself.
"""

import base64
import codecs
import re

MAX_DECODED = 2000  # octets of a field's body that are looked at; RFC 5322 2.1.1 wants lines of 78
MAX_ENCODED = 45  # octets of UTF-8 in one word: with what is around it 75 characters (RFC 2047 2)

# What mail is written in. Not the codecs that only Python has, some of which are no text or take a long time over a little.
CHARSETS = frozenset({
    "utf-8", "us-ascii", *(f"iso-8859-{part}" for part in (*range(1, 12), 13, 14, 15, 16)),
    *(f"windows-{page}" for page in range(1250, 1259)), "koi8-r", "koi8-u", "gb2312", "gbk", "gb18030", "big5", "euc-jp",
    "iso-2022-jp", "shift_jis", "euc-kr",
})  # fmt: skip
for _name in CHARSETS:
    codecs.lookup(_name)  # Where we decode there are no files to load them from.

_WORD = re.compile(r"=\?([A-Za-z0-9_.:-]{1,40})(?:\*[A-Za-z0-9-]{0,40})?\?([BbQq])\?([!->@-~]*)\?=")
_BETWEEN = re.compile(r"(\?=)[ \t\r\n]+(?==\?)")
_QUOTED = re.compile(rb"=([0-9A-Fa-f]{2})")


def decode(body: bytes) -> str:
    """The text of an unstructured field's *body*; what no charset of ours can read stays as it stands."""
    raw = body[:MAX_DECODED]
    text = raw.decode("utf-8", "replace")  # RFC 6532 3.1: unencoded, it is UTF-8
    # RFC 2047 6.2: blanks between two encoded words are no part of the text.
    return _WORD.sub(_decoded, _BETWEEN.sub(r"\1", text))


def encode(text: str) -> bytes:
    """*text*, on one line, as an unstructured field's body: as it is in ASCII, else in encoded words folded by CRLF."""
    if text.isascii() and text.isprintable() and "=?" not in text:
        return text.encode()
    words: list[bytes] = []
    piece = b""
    for character in text:
        octets = character.encode("utf-8", "replace")
        if len(piece) + len(octets) > MAX_ENCODED:
            words.append(piece)
            piece = b""
        piece += octets
    words.append(piece)
    return b"\r\n ".join(b"=?utf-8?B?%b?=" % base64.b64encode(word) for word in words)


def _decoded(found: re.Match[str]) -> str:
    charset, encoding, text = found[1].lower(), found[2].upper(), found[3].encode()
    if charset not in CHARSETS:
        return found[0]
    try:
        if encoding == "B":
            octets = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
        else:
            octets = _QUOTED.sub(lambda pair: bytes([int(pair[1], 16)]), text.replace(b"_", b" "))
        return octets.decode(charset)
    except (ValueError, LookupError):
        return found[0]
