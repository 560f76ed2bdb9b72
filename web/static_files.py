"""The panel's style sheets, scripts and pictures, read once and then served from memory.

A reader would otherwise get wrong: after start the process touches no file of the checkout any more. It has to be so,
because the sandbox takes the right to open them away, and the checkout may lie below a directory that the process's own
user cannot even enter.
"""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

HERE = Path(__file__).parent / "static"
MEDIA_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
FOREVER = "public, max-age=31536000, immutable"  # the address carries the content's hash
WORTH_COMPRESSING_OCTETS = 1024
ICONS = "icons.svg"


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file, ready to send."""

    content: bytes
    compressed: bytes | None
    media_type: str
    etag: str


class StaticFiles:
    """All files below static/ that a browser may ask for, by their address below /static/."""

    def __init__(self, folder: Path = HERE) -> None:
        found = sorted(path for path in folder.rglob("*") if path.suffix in MEDIA_TYPES)
        self._files = {
            path.relative_to(folder).as_posix(): _load(path) for path in found if "icons" not in path.parent.name
        }
        icons = {path.stem: path.read_text(encoding="utf-8") for path in found if "icons" in path.parent.name}
        self._files[ICONS] = _packed(_as_sprite(icons), ".svg")
        self._icons = {name: _shown(f"{self.url(ICONS)}#{name}") for name in icons}

    def url(self, name: str) -> str:
        """The address of *name*, changing when its content does."""
        return f"/static/{name}?{self._files[name].etag}"

    def icon(self, name: str) -> str:
        """The named icon, to stand in a page; hidden from screen readers, since words stand beside it.

        All are drawn in one file, which browsers keep: in the pages themselves they would be a third of what is sent.
        """
        return self._icons[name]

    def answer(self, request: Request, name: str) -> Response:
        """The file, or 404."""
        file = self._files.get(name)
        if file is None:
            return Response("There is no such file.\n", 404, media_type="text/plain")
        headers = {"ETag": f'"{file.etag}"', "Cache-Control": FOREVER, "Vary": "Accept-Encoding"}
        if request.headers.get("if-none-match") == f'"{file.etag}"':
            return Response(status_code=304, headers=headers)
        if file.compressed is not None and "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
            return Response(file.compressed, headers=headers, media_type=file.media_type)
        return Response(file.content, headers=headers, media_type=file.media_type)


def _load(path: Path) -> StaticFile:
    return _packed(path.read_bytes(), path.suffix)


def _packed(content: bytes, suffix: str) -> StaticFile:
    # Only public, fixed files are compressed, never pages: a page mixes secrets with what a stranger can influence,
    # and its compressed length would tell (the BREACH attack).
    compressed = gzip.compress(content, mtime=0) if len(content) >= WORTH_COMPRESSING_OCTETS else None
    return StaticFile(content, compressed, MEDIA_TYPES[suffix], hashlib.blake2b(content, digest_size=8).hexdigest())


def _as_sprite(icons: Mapping[str, str]) -> bytes:
    """One picture with all *icons*, none of which is seen until a page asks for it by its name."""
    symbols = (
        f'<symbol id="{name}" viewBox="0 0 16 16">{svg[svg.index(">") + 1 : svg.rindex("</svg>")].strip()}</symbol>'
        for name, svg in icons.items()
    )
    return f'<svg xmlns="http://www.w3.org/2000/svg">{"".join(symbols)}</svg>'.encode()


def _shown(where: str) -> str:
    return f'<svg class="icon" aria-hidden="true"><use href="{where}"/></svg>'
