"""A disk that can lose its power: ext4 on a loop device, shut down in place without flushing anything."""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
import time
from pathlib import Path
from typing import Final

SHUTDOWN: Final = 0x8004587D
"""EXT4_IOC_SHUTDOWN."""
WITHOUT_FLUSHING: Final = 2
"""EXT4_GOING_FLAGS_NOLOGFLUSH: not even the journal's open transaction reaches the disk."""
SIZE: Final = 512 << 20


def missing() -> str:
    """Why no such disk can be made here; empty where it can, which only trying tells."""
    if os.geteuid() != 0:
        return "only root can mount a disk"
    absent = [tool for tool in ("losetup", "mkfs.ext4", "mount", "umount") if not shutil.which(tool)]
    return f"not installed: {', '.join(absent)}" if absent else ""


class Disk:
    """An image file, its loop device and where it is mounted. Raises CalledProcessError where that is not allowed."""

    def __init__(self, place: Path) -> None:
        self.image, self.root = place / "disk.img", place / "disk"
        self.root.mkdir()
        with self.image.open("wb") as file:
            file.truncate(SIZE)
        self.device = _run("losetup", "--find", "--show", str(self.image)).strip()
        self.mounted = False

    def __enter__(self) -> Disk:
        return self

    def __exit__(self, *_: object) -> None:
        if self.mounted:
            self.unmount()
        _run("losetup", "--detach", self.device)

    def format(self) -> None:
        _run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", self.device)

    def mount(self, options: str) -> None:
        """Mount it, with the journal replayed where the power had gone."""
        _run("mount", "-t", "ext4", "-o", options, self.device, str(self.root))
        self.mounted = True

    def cut(self) -> None:
        """From now on nothing reaches the disk, and what had not reached it is lost."""
        root = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(root, SHUTDOWN, struct.pack("=I", WITHOUT_FLUSHING))
        finally:
            os.close(root)

    def unmount(self, wait: float = 20.0) -> None:
        """Let go of it, once the last killed process has."""
        deadline = time.monotonic() + wait
        while True:
            try:
                _run("umount", str(self.root))
                break
            except subprocess.CalledProcessError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        self.mounted = False


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout
