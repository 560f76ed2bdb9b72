"""Imports that Python makes late, and what happens to an exception nobody caught.

A reader would otherwise get wrong: after the drop an import fails with PermissionError in the middle of unrelated work (a
host name, a traceback, a codec). So what the standard library loads on first use is loaded here, before.
"""

import contextlib
import importlib
import os
import sys
import time
from types import TracebackType
from typing import Final

EXIT_UNEXPECTED: Final = 111  # qmail's word for "try again": the supervisor starts a clean one.
_MAX_REPORT: Final = 4000

_LATE: Final = (
    "encodings.idna", "encodings.ascii", "encodings.latin_1", "encodings.utf_8", "encodings.unicode_escape",
    "encodings.punycode", "stringprep", "unicodedata",
)  # fmt: skip


def preload() -> None:
    """Load what would be loaded late, and report uncaught exceptions without touching a file."""
    for name in _LATE:
        importlib.import_module(name)
    time.localtime()  # Reads /etc/localtime once, while it exists for us.
    sys.excepthook = _report


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    # Not the traceback module: it reads source files, which no longer exist for us.
    lines = []
    while trace is not None:
        code = trace.tb_frame.f_code
        lines.append(f"{code.co_filename}:{trace.tb_lineno} in {code.co_name}")
        trace = trace.tb_next
    name = sys.orig_argv[-1] if sys.orig_argv else "role"
    text = f"{name}: {kind.__name__}: {error} [{'; '.join(lines)}]"
    with contextlib.suppress(OSError):  # Nobody may be reading; we end all the same.
        os.write(2, text.encode("utf-8", "backslashreplace")[:_MAX_REPORT] + b"\n")
    os._exit(EXIT_UNEXPECTED)
