"""Where a process inside its sandbox finds the database.

A reader would otherwise get wrong: `var/postern.db` is a symlink to `var/db/postern.db`, and to a process whose root
directory has become the state folder an absolute path means something else.
"""

import os
from pathlib import Path

from appliance.config import Settings
from appliance.errors import SettingsError
from appliance.provision.directories import DATABASE_FOLDER


def url_inside(settings: Settings, state: str) -> str:
    """The database's address for a process that reaches the state folder as *state*.

    Raises:
        SettingsError: the file lies outside of the state folder, where such a process can reach nothing.
    """
    file = settings.database_file
    if file is None:
        return settings.database_url
    home = settings.state.resolve()
    # Not resolved through the symlink: with the database away it may be missing, and the answer must not depend on that.
    place = Path(os.path.normpath(file.parent.resolve() / file.name))
    if place.parent == home:
        place = home / DATABASE_FOLDER / place.name
    if home not in place.parents:
        raise SettingsError("database.url: the file must lie in the state folder", field="database.url")
    return f"sqlite:///{Path(state) / place.relative_to(home)}"
