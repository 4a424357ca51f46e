"""The compiled shim that fails system calls, and the control that arms it in this process and all that it starts."""

from __future__ import annotations

import errno
import mmap
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from tests.faults.report import Result

OFF, ONCE, ONWARD, LIE = range(4)
LAYOUT: Final = struct.Struct("=IIQQQQ512s")
NEVER: Final = 1 << 60


class Fault(NamedTuple):
    """An errno, for one call only or for that call and all later ones."""

    name: str
    error: int
    mode: int


FAULTS: Final = (
    Fault("EIO once", errno.EIO, ONCE),
    Fault("EIO from then on", errno.EIO, ONWARD),
    Fault("ENOSPC from then on", errno.ENOSPC, ONWARD),
)


class Control:
    """The memory that this process shares with every process in which the shim is loaded."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), LAYOUT.size)

    @classmethod
    def make(cls, path: Path, mode: int = OFF) -> Control:
        path.write_bytes(LAYOUT.pack(mode, 0, NEVER, 0, 0, 0, b""))
        return cls(path)

    @classmethod
    def ours(cls) -> Control | None:
        """The control of the shim in this process; None where it is not loaded."""
        path = os.environ.get("FAULT_CONTROL")
        return cls(Path(path)) if path else None

    @contextmanager
    def armed(self, fault: Fault, at: int) -> Iterator[None]:
        """Fail the call number `at`; afterwards the counts tell what was struck."""
        self._set(fault.mode, fault.error, at)
        try:
            yield
        finally:
            struct.pack_into("=I", self._memory, 0, OFF)

    def _set(self, mode: int, error: int, at: int) -> None:
        self._memory[: LAYOUT.size] = LAYOUT.pack(mode, error, at, 0, 0, 0, b"")

    @property
    def calls(self) -> int:
        return self._read()[3]

    @property
    def hits(self) -> int:
        return self._read()[4]

    @property
    def synced(self) -> int:
        """How many times refs/heads was synced since the shim was armed."""
        return self._read()[5]

    @property
    def what(self) -> str:
        return self._read()[6].rstrip(b"\0").decode("utf-8", "replace")

    def _read(self) -> tuple[int, int, int, int, int, int, bytes]:
        return LAYOUT.unpack(self._memory[: LAYOUT.size])


def missing() -> str:
    """Why the shim cannot be made here; empty where it can."""
    if not sys.platform.startswith("linux"):
        return "the shim is for Linux"
    return "" if shutil.which("gcc") else "there is no gcc to compile the shim with"


def again(campaign: str, count: int, seed: int, mode: int = OFF) -> Result:
    """Run a campaign in a process of its own that has the shim loaded, for files below FAULT_PREFIX."""
    with tempfile.TemporaryDirectory(prefix="inforce-shim-") as name:
        place = Path(name).resolve()
        library, control = place / "shim.so", place / "control"
        source = Path(__file__).with_suffix(".c")
        subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        Control.make(control, mode)
        below = place / "below"
        below.mkdir()
        loaded = {"LD_PRELOAD": str(library), "FAULT_CONTROL": str(control), "FAULT_PREFIX": f"{below}/"}
        command = [sys.executable, "-m", "tests.faults", campaign, "--json"]
        command += ["--count", str(count), "--seed", str(seed)]
        done = subprocess.run(command, env={**os.environ, **loaded}, stdout=subprocess.PIPE, text=True, check=False)
        return Result.of(done.stdout.strip().splitlines()[-1])


def prefix() -> Path:
    """The folder below which calls can be made to fail."""
    return Path(os.environ["FAULT_PREFIX"])
