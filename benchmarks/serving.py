"""Servers to ask, and the one who asks them: many connections to 127.0.0.1, a fixed number of questions."""

from __future__ import annotations

import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"
CONNECTIONS: Final = 16
PATIENCE: Final = 300.0
"""Seconds within which a server has to answer its first question."""
SERVE: Final = "from service.cli import main; main()"
SERVERS: Final = [os.sched_getaffinity(0)]
"""The processors for servers, as they are wanted at the moment."""


@dataclass(frozen=True, slots=True)
class Served:
    """A server that runs: where it listens, and the worker that answers."""

    port: int
    process: subprocess.Popen[bytes]
    waited: float
    """Seconds from its start to its first answer."""

    @property
    def worker(self) -> int:
        """The process that answers: the server's child."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[-1])

    def memory(self) -> float:
        """MiB of memory that the worker holds."""
        lines = Path(f"/proc/{self.worker}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))

    def processor(self) -> float:
        """Seconds of processor time that the worker has used: its clock, as clock_getcpuclockid(3) numbers it, for
        /proc counts in hundredths of a second."""
        return time.clock_gettime((~self.worker << 3) | 2)


@contextmanager
def served(*command: str, first: str = "/") -> Iterator[Served]:
    """Start a server with a free port as its last word, wait for its first answer, stop it on leaving."""
    port = _free_port()
    began = time.perf_counter()
    compiled = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with subprocess.Popen([sys.executable, *command, str(port)], stderr=subprocess.DEVNULL, env=compiled) as process:
        os.sched_setaffinity(process.pid, SERVERS[-1])
        try:
            while not _answers(port, first):
                if process.poll() is not None or time.perf_counter() - began > PATIENCE:
                    raise RuntimeError(f"{' '.join(command)} does not answer")
                time.sleep(0.005)
            yield Served(port, process, time.perf_counter() - began)
        finally:
            process.terminate()


@contextmanager
def apart() -> Iterator[None]:
    """Servers that are started inside compute on one processor, and who asks on the others, where there are others: so
    that neither is pushed about by the other."""
    whole = os.sched_getaffinity(0)
    first = min(whole)
    os.sched_setaffinity(0, whole - {first} or whole)
    SERVERS.append({first})
    try:
        yield
    finally:
        SERVERS.pop()
        os.sched_setaffinity(0, whole)


@contextmanager
def hello() -> Iterator[Served]:
    with served("-m", "benchmarks.hello") as server:
        yield server


@contextmanager
def ours(folder: Path, first: str = "/healthz") -> Iterator[Served]:
    words = ("serve", "--data", str(folder), "--deliver", "no", "--port")
    with served("-c", SERVE, *words, first=first) as server:
        yield server


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _answers(port: int, path: str) -> bool:
    try:
        return ask(port, [path], connections=1).seconds > 0
    except OSError:
        return False


# --- asking ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of asking a number of questions."""

    seconds: float
    answers: int


class _Line:
    """One connection: sends a question, reads the answer to its end, and is ready for the next."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((HOST, port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.read, self.wanted = bytearray(), 0

    def send(self, question: bytes) -> None:
        self.read, self.wanted = bytearray(), 0
        self.socket.sendall(question)

    def done(self) -> bool:
        """Take what has come; whether the answer is complete. Raises where it is not a good one."""
        piece = self.socket.recv(1 << 18)
        if not piece:
            raise ConnectionError("the server closed the connection")
        self.read += piece
        if not self.wanted:
            end = self.read.find(b"\r\n\r\n")
            if end < 0:
                return False
            head = bytes(self.read[:end]).lower()
            if not head.startswith(b"http/1.1 200"):
                raise ConnectionError(head.split(b"\r\n", 1)[0].decode())
            self.wanted = end + 4 + int(head.partition(b"content-length: ")[2].split(b"\r\n", 1)[0])
        return len(self.read) >= self.wanted


def ask(port: int, paths: Sequence[str], connections: int = CONNECTIONS) -> Asked:
    """Ask every question once, over some connections at a time; raises OSError where one is not answered well."""
    questions = [f"GET {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\n\r\n".encode() for path in reversed(paths)]
    count = len(questions)
    with selectors.DefaultSelector() as ready:
        for _ in range(min(connections, count)):
            line = _Line(port)
            ready.register(line.socket, selectors.EVENT_READ, line)
        began = time.perf_counter()
        busy = [key.data for key in ready.get_map().values()]
        try:
            for line in busy:
                line.send(questions.pop())
            left = len(busy)
            while left:
                for key, _ in ready.select(PATIENCE):
                    if key.data.done():
                        if questions:
                            key.data.send(questions.pop())
                        else:
                            left -= 1
            return Asked(time.perf_counter() - began, count)
        finally:
            for line in busy:
                line.socket.close()


@dataclass(frozen=True, slots=True)
class Stream:
    """What came of reading one long answer."""

    first: float
    """Seconds to the first byte."""
    whole: float
    size: int
    grown: float
    """MiB by which the worker's memory grew at most while it answered."""


def stream(server: Served, path: str) -> Stream:
    """Read one answer piece by piece and watch the worker's memory meanwhile."""
    before = most = server.memory()
    began = time.perf_counter()
    with socket.create_connection((HOST, server.port), timeout=PATIENCE) as line:
        line.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOST}:{server.port}\r\nConnection: close\r\n\r\n".encode())
        size, first, looked = 0, 0.0, began
        while piece := line.recv(1 << 16):
            now = time.perf_counter()
            first = first or now - began
            size += len(piece)
            if now - looked > 0.05:
                most, looked = max(most, server.memory()), now
    return Stream(first, time.perf_counter() - began, size, max(most, server.memory()) - before)
