"""What several nouns need and none of them owns."""

import enum
from typing import Final

from appliance.errors import Invalid


class Unchanged(enum.Enum):
    """Stands for "leave it as it is" where None means something else."""

    UNCHANGED = enum.auto()


UNCHANGED: Final = Unchanged.UNCHANGED


def check_name(name: str, field: str = "name", longest: int = 100) -> str:
    """A name for people to read, without spaces around it.

    Raises:
        Invalid: empty, too long, or with control characters.
    """
    name = " ".join(name.split())
    if not name or len(name) > longest or not name.isprintable():
        raise Invalid(f"{field} is a text of 1 to {longest} characters", field=field)
    return name
