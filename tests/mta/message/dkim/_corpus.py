"""Odd messages, made and not collected: each header with some bodies and each body with some headers. Line ends are CRLF."""

import random

_BASE = b"From: Joe <joe@example.org>\r\nTo: ann@example.net\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n"

HEADERS: dict[str, bytes] = {
    "plain": _BASE + b"Subject: hello\r\nMessage-ID: <1@example.org>\r\n",
    "no subject": _BASE,
    "folded": _BASE + b"Subject: a subject\r\n that goes on\r\n\tand on\r\nReferences: <1@a.example>\r\n <2@a.example>\r\n",
    "blanks": b"From:joe@example.org\r\nTo:   ann@example.net   \r\nSubject: a \t  b\t\tc  \r\nCc:\tx@example.net\r\n",
    "only blanks in a fold": _BASE + b"Subject: a\r\n \r\n b\r\n\t \r\nX-Last: 1\r\n",
    "empty bodies": _BASE + b"Subject:\r\nReply-To: \r\nCc: \t\r\n",
    "doubled": _BASE + b"Subject: one\r\nSubject: two\r\nTo: bob@example.net\r\nReceived: x\r\nReceived: y\r\n",
    "8 bit": _BASE + "Subject: Grüße aus Łódź\r\nX-Latin: ".encode() + b"\xe9\xff\x80\r\n",
    "case": b"fRoM: joe@example.org\r\nTO: ann@example.net\r\nsUBJECT: Hello\r\nMESSAGE-ID: <A@b.example>\r\n",
    "long": _BASE + b"Subject: " + b"x" * 900 + b"\r\nTo: " + b", ".join(b"u%d@example.net" % n for n in range(300)) + b"\r\n",
    "mime": _BASE + b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n boundary='=_b;='\r\nContent-ID: <c>\r\n",
    "list": _BASE + b"Sender: list@example.org\r\nList-Id: <l.example.org>\r\nList-Post: <mailto:l@example.org>\r\n",
    "resent": b"Resent-From: joe@example.org\r\nResent-To: z@example.net\r\nResent-From: k@example.org\r\n" + _BASE,
    "colons": _BASE + b"Subject: a:b: c ::\r\nX-Colon::\r\nReply-To: :\r\n",
    "signed before": b"DKIM-Signature: v=1; a=rsa-sha256; d=other.example; s=x; h=from; bh=AAAA; b=BBBB\r\n" + _BASE,
    "from last": b"Subject: s\r\nX-A: 1\r\nTo: a@example.net\r\nFrom: joe@example.org\r\n",
    "strange names": _BASE + b"X_1.2/3!$%: v\r\nSubject: z\r\n~: tilde\r\n",
    "controls": _BASE + b"Subject: a\x01b\x7fc\r\nX-Nul: \x00\r\n",
}  # fmt: skip

BODIES: dict[str, bytes] = {
    "nothing": b"",
    "one line end": b"\r\n",
    "line ends": b"\r\n" * 5,
    "a line": b"hello\r\n",
    "no last line end": b"hello",
    "no last line end, many lines": b"a\r\nb\r\n\r\nc",
    "blank lines behind": b"a\r\n\r\n\r\n\r\n",
    "blank lines before": b"\r\n\r\n\r\na\r\n",
    "blank lines between": b"a\r\n\r\n\r\n\r\nb\r\n",
    "a line of blanks": b"   \r\n",
    "lines of blanks behind": b"a\r\n \r\n\t\r\n \t \r\n",
    "lines of blanks between": b"a\r\n \r\n\t\r\nb\r\n",
    "lines of blanks, then line ends": b"a\r\n  \r\n\r\n\r\n",
    "blanks at ends": b"a  \r\nb\t\r\nc \t \r\n",
    "blanks at beginnings": b"  a\r\n\tb\r\n \t c\r\n",
    "runs of blanks": b"a  b\t\tc \t d" + b" " * 5000 + b"e\r\n",
    "tabs": b"\ta\tb\tc\t\r\n",
    "8 bit": "Žluťoučký kůň\r\n".encode() + bytes(range(0x80, 0x100)) + b"\r\n",
    "controls": bytes(octet for octet in range(0x20) if octet not in b"\r\n\x0b\x0c") + b"x\r\n",
    "dots": b".\r\n..\r\n.a\r\n",
    "a long line": b"x" * 100_000 + b"\r\n",
    "a long line without end": b"y " * 40_000 + b"z",
    "many lines": b"".join(b"line %d of many \t\r\n" % number for number in range(5000)),
    "many blank lines": b"a" + b"\r\n" * 50_000 + b"b\r\n",
    "many blank lines behind": b"a" + b"\r\n" * 50_000,
    "mime": b"--=_b;=\r\nContent-Type: text/plain\r\n\r\nhi\r\n--=_b;=--\r\n",
    "looks like a header": b"From: x@example.com\r\nDKIM-Signature: v=1\r\n\r\nx\r\n",
    "base64": b"".join(b"QUJD" * 19 + b"\r\n" for _ in range(2000)),
}  # fmt: skip


def messages() -> dict[str, bytes]:
    """About two hundred: name to content."""
    dice, found = random.Random(6376), dict[str, bytes]()
    pairs = [("plain", body) for body in BODIES] + [(header, "a line") for header in HEADERS]
    pairs += [(dice.choice(list(HEADERS)), dice.choice(list(BODIES))) for _ in range(400)]
    for header, body in dict.fromkeys(pairs):
        if len(found) == 190:
            break
        found[f"{header} / {body}"] = HEADERS[header] + b"\r\n" + BODIES[body]
    found |= {f"header only: {name}": header for name, header in HEADERS.items()}
    return found
