"""EIO and ENOSPC at every call that writes: a success that was told is there, and after an error a retry is safe."""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from guidance.archive import Archive, Proposal, Receipt
from guidance.errors import GuidanceError, StoreError
from guidance.model import Json, canonical, sha256
from tests.faults import inspection, material, shim
from tests.faults.crew import children
from tests.faults.ledger import Ack, Told
from tests.faults.report import Result, progress
from tests.faults.shim import FAULTS, NEVER, ONCE, Control, Fault

NAME: Final = material.NAMES[0]
KEY: Final = "the-same-key"


class Case(NamedTuple):
    """What is being done when the calls fail: on which register, and which JSON; none is maintenance."""

    name: str
    prepare: Callable[[Path], None]
    bodies: tuple[Json, ...]
    verb: str = "publish"


def _new(folder: Path) -> None:
    Archive.init(folder).close()


def _begun(folder: Path) -> None:
    material.register(folder, (NAME, material.PROBE))


def _unindexed(folder: Path) -> None:
    _begun(folder)
    for path in folder.glob("index.sqlite*"):
        path.unlink()


def _grown(folder: Path) -> None:
    _begun(folder)
    archive = Archive(folder)
    for number in range(2, 6):
        body = material.version(NAME, number, "before")
        archive.publish([Proposal(body)], material.act(), material.now())
    archive.close()


Point = tuple[Case, Fault, int]
"""One strike: in which case, with which fault, at the call of which number."""
COUNTED: Final = ("calls failed", "told as an error", "got over", "recorded all the same")
MANY: Final = tuple(
    body for name in material.NAMES for body in (material.document(name), material.version(name, 1, "of many"))
)
"""More than a hundred objects: git keeps those as a pack instead of one by one."""
CASES: Final = (
    Case("the first publish", _new, (material.document(NAME), material.version(NAME, 1, "first"))),
    Case("a publish", _begun, (material.version(NAME, 2, "next"),)),
    Case("a correction", _begun, (material.version(NAME, 1, "corrected"),), "correct"),
    Case("a publish without an index", _unindexed, (material.version(NAME, 2, "next"),)),
    Case("a publish of many", _new, MANY),
    Case("maintenance", _grown, (), "maintain"),
)


def do(case: Case, archive: Archive) -> Receipt | None:
    """The act of a case, each time with the same key."""
    if case.verb == "maintain":
        archive.maintain()
        return None
    if case.verb == "correct":
        return archive.correct(Proposal(case.bodies[0]), material.act(KEY), material.now())
    return archive.publish([Proposal(body) for body in case.bodies], material.act(KEY), material.now())


def acks(case: Case, receipt: Receipt) -> list[Ack]:
    return [
        Ack(KEY, body["document"], body["number"], sha256(canonical(body)), receipt.revision.id)
        for body in case.bodies
        if "number" in body
    ]


# --- the sweep -------------------------------------------------------------------------------------------


def run(count: int, seed: int) -> Result:
    """Fail so many calls, spread over all cases, faults and calls; all of them where there are no more than that."""
    why = shim.missing()
    if why:
        return Result("errors", skipped=why)
    control = Control.ours()
    return shim.again("errors", count, seed) if control is None else Sweep(control, shim.prefix()).run(count, seed)


class Sweep:
    """One pass over the calls of every case, each on a fresh copy of the register it needs."""

    def __init__(self, control: Control, place: Path) -> None:
        self.control, self.place = control, place
        self.result = Result("errors")
        self.what = ""
        self.cases: Sequence[Case] = CASES
        self.counts: Counter[str] = Counter()
        self.lengths: dict[str, int | float | str] = {}

    def run(self, count: int, seed: int) -> Result:
        rng = random.Random(seed)
        self.cases = CASES if count >= len(CASES) else rng.sample(CASES, count)
        points = list(self._points())
        if count < len(points):
            points = sorted(rng.sample(points, count), key=points.index)
        before: dict[str, int] = {}
        for done, (case, fault, at) in enumerate(points, start=1):
            found = self._strike(case, fault, at)
            self.result.add([f"{case.name}, {fault.name}, call {at} ({self.what}): {why}" for why in found])
            before = before or _open()
            if done % 25 == 0 or done == len(points):
                progress("errors", done, len(points), f"{len(self.result.findings)} findings")
        grown = [name for name, count in _open().items() if count > before.get(name, count)]
        self.result.add([f"there are more {name} than at the beginning" for name in grown])
        self.result.figures = {name: self.counts[name] for name in COUNTED} | self.lengths
        return self.result

    def _points(self) -> Iterator[Point]:
        """Every (case, fault, number of a call), as counted in a run in which nothing fails."""
        for case in self.cases:
            self._copy(case)
            archive = Archive(self.data)
            with self.control.armed(FAULTS[0], NEVER):
                do(case, archive)
            archive.close()
            self.lengths[f"calls of {case.name}"] = self.control.calls
            yield from ((case, fault, at) for fault in FAULTS for at in range(1, self.control.calls + 1))

    @property
    def data(self) -> Path:
        return self.place / "data"

    def _copy(self, case: Case) -> None:
        template = self.place / f"template-{CASES.index(case)}"
        if not template.exists():
            case.prepare(template)
        shutil.rmtree(self.data, ignore_errors=True)
        shutil.copytree(template, self.data)

    def _strike(self, case: Case, fault: Fault, at: int) -> list[str]:
        """One failing call: what was told, what is there, what a retry says, and whether all goes on."""
        self._copy(case)
        archive = Archive(self.data)
        told = Told()
        try:
            receipt, error = self._attempt(case, archive, fault, at)
            found = self._judged(case, receipt, error, told)
            if self.control.hits:
                self._count(case, archive, error)
                found += self._retried(case, archive, receipt, told)
        finally:
            archive.close()
        return found + inspection.whole(self.data, told, self.place)

    def _attempt(self, case: Case, archive: Archive, fault: Fault, at: int) -> tuple[Receipt | None, Exception | None]:
        receipt, error = None, None
        with self.control.armed(fault, at):
            try:
                receipt = do(case, archive)
            except Exception as raised:
                error = raised
        self.what = self.control.what
        return receipt, error

    def _judged(self, case: Case, receipt: Receipt | None, error: Exception | None, told: Told) -> list[str]:
        """What is wrong with how an attempt ended."""
        found = [f"the child process {child} is left of it" for child in children(os.getpid())]
        if error and not isinstance(error, StoreError):
            found.append(f"told as {type(error).__name__}, which is no StoreError: {error}")
        if receipt:
            told.acks += acks(case, receipt)
            found += [] if self.control.synced else ["acknowledged before refs/heads was synced"]
        return found

    def _count(self, case: Case, archive: Archive, error: Exception | None) -> None:
        self.counts["calls failed"] += 1
        self.counts["told as an error" if error else "got over"] += 1
        if error and case.bodies and KEY in inspection.history(archive.store.path)[0].values():
            self.counts["recorded all the same"] += 1

    def _retried(self, case: Case, archive: Archive, first: Receipt | None, told: Told) -> list[str]:
        """The same again on a sound disk, with the same key and by the same process."""
        try:
            with self.control.armed(Fault("none", 0, ONCE), NEVER):
                receipt = do(case, archive)
        except GuidanceError as error:
            return [f"a retry fails: {type(error).__name__}: {error}"]
        if receipt is None:
            return []
        told.acks += acks(case, receipt)
        found = [] if self.control.synced else ["a retry is acknowledged before refs/heads was synced"]
        if first and first.revision.id != receipt.revision.id:
            found.append("a retry after an acknowledgement names another revision")
        return found


def _open() -> dict[str, int]:
    return {"open files": len(list(Path("/proc/self/fd").iterdir())), "child processes": len(children(os.getpid()))}
