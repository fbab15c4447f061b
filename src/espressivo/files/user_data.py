"""The folder of this user's data: profiles and pulled models."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def user_data() -> Path:
    """Return the folder for user data of programs on this operating system.

    Source: XDG Base Directory Specification 0.8; Apple's File System Programming Guide;
    known folders of Windows.

    Raises:
        RuntimeError: The user has no home folder: neither HOME nor an entry among the
            users names one.
    """
    if sys.platform == "win32":
        given, usual = os.environ.get("LOCALAPPDATA"), "AppData/Local"
    elif sys.platform == "darwin":
        given, usual = None, "Library/Application Support"
    else:
        given, usual = os.environ.get("XDG_DATA_HOME"), ".local/share"
    return Path(given) if given else Path.home() / usual
