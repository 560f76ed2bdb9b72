"""How many descriptors the process of the tests holds."""

import gc
import os


def open_descriptors() -> int:
    """Without what earlier tests dropped: it would be closed whenever it is found, and be missing in between two counts."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))
