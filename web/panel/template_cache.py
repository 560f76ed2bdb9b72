"""Templates as Jinja2 compiled them, kept from one start to the next."""

from io import BytesIO
from pathlib import Path

from jinja2 import BytecodeCache
from jinja2.bccache import Bucket

from web import kept


class TemplateCache(BytecodeCache):
    """The templates below *templates*, in one language: in another the same name is another text."""

    def __init__(self, templates: Path, language: str) -> None:
        self._folder, self._language = templates / kept.FOLDER, language

    def load_bytecode(self, bucket: Bucket) -> None:
        """Fill *bucket*, if its template was kept. Of another source, or by another Jinja2, it is dropped there."""
        bucket.load_bytecode(BytesIO(kept.take(self._file(bucket))))

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep *bucket*."""
        kept.keep(self._file(bucket), bucket.bytecode_to_string())

    def _file(self, bucket: Bucket) -> Path:
        return self._folder / f"{self._language}-{bucket.key}"
