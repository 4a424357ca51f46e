"""Another program on the same disk: it appends and syncs all the time, and by that commits what others wrote."""

from __future__ import annotations

import os
import sys
import time


def append_and_sync(path: str) -> None:
    """Until the disk refuses."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    while True:
        try:
            os.write(file, b"x" * 512)
            os.fsync(file)
        except OSError:
            return
        time.sleep(0.004)


if __name__ == "__main__":
    append_and_sync(sys.argv[1])
