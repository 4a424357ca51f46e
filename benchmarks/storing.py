"""How things are kept: import, rebuild and publish beside git alone, and what the repository weighs."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson

from benchmarks import figures
from benchmarks.figures import AT_LEAST, AT_MOST, Figure
from benchmarks.generator import Shape
from benchmarks.ground import ACT, RECORDED, Ground, label, take_in
from guidance.archive import Archive, Proposal
from guidance.model import canonical
from guidance.store import BRANCH, COMMITTER, ENVIRONMENT, Entry, Store, Stream, path_of

FAST_IMPORT: Final = ("fast-import", "--quiet", "--done", "--date-format=raw", "--depth=50")


def git(store: Path, *command: str, given: bytes | None = None, **options: Any) -> bytes:
    """What git alone says."""
    environment = {**os.environ, **ENVIRONMENT, "GIT_DIR": str(store)}
    done = subprocess.run(
        ["git", *command], input=given, stdout=subprocess.PIPE, env=environment, check=True, **options
    )
    return done.stdout


# --- import ----------------------------------------------------------------------------------------------


def bulk(ground: Ground) -> Iterator[Figure]:
    """Import (validate, write, index) beside a bare fast-import of the same blobs and commits."""
    lines = ground.lines(ground.shape)
    written = ground.folder / "stream"
    ground.say("writing the same as a bare stream")
    _stream(lines, written)
    heads = [ground.folder / "bare", ground.folder / "imported"]
    rounds = ground.rounds if ground.shape.total <= 20_000 else 1
    taken, ours, bare = figures.ratio(rounds, lambda: _import(lines, heads[1]), lambda: _bare(written, heads[0]))
    detail = f"{ground.shape.total / ours:.0f} versions/s beside {ground.shape.total / bare:.0f}/s"
    if Store(heads[0]).head() != Store(heads[1] / "register.git").head():
        raise RuntimeError("the bare stream did not lead to the same commits")
    written.unlink()
    shutil.rmtree(heads[0])
    shutil.rmtree(ground.folder / label(ground.shape), ignore_errors=True)
    heads[1].rename(ground.folder / label(ground.shape))
    yield Figure("import, of a bare fast-import's speed", 1 / taken, AT_LEAST, 0.6, detail=detail)


def _stream(lines: Path, target: Path) -> None:
    """What `inforce import` would send to git, from the same lines, in a file."""
    with target.open("wb") as file:
        stream = Stream(file, None, RECORDED)
        commits: list[list[tuple[Entry, int]]] = []
        waiting: list[tuple[Entry, int]] = []
        with lines.open("rb") as found:
            for line in found:
                body = orjson.loads(line)
                entry = Entry.of(body.get("document") or body["id"], body.get("number", 0), line)
                waiting.append((replace(entry, content=b""), stream.blob(line)))
                if entry.number:
                    commits.append(waiting)
                    waiting = []
        for entries in commits:
            stream.commit(ACT, entries)
        stream.done()


def _bare(stream: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    Store.init(target)
    with stream.open("rb") as file:
        git(target, *FAST_IMPORT, stdin=file)


def _import(lines: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    archive = Archive.init(target)
    take_in(archive, lines)
    archive.close()


# --- rebuild ---------------------------------------------------------------------------------------------


def rebuild(ground: Ground) -> Iterator[Figure]:
    """The index made again, beside reading and parsing the same objects."""
    archive = ground.archive(ground.shape)
    archive.tip()
    rounds = ground.rounds if ground.shape.total <= 20_000 else 1
    ground.say("rebuilding the index")
    found, ours, bare = figures.ratio(
        rounds, lambda: archive.index.rebuild(archive.store), lambda: _read(archive.store)
    )
    archive.close()
    detail = f"{ours:.1f} s beside {bare:.1f} s for {ground.shape.total} versions"
    yield Figure("rebuilding the index, of streaming and parsing", found, AT_MOST, 3.0, detail=detail)


def _read(store: Store) -> None:
    for _, content in store.read(store.in_pack_order()):
        orjson.loads(content)


# --- what it weighs --------------------------------------------------------------------------------------


def packed(ground: Ground) -> Iterator[Figure]:
    """The packed repository beside the JSON in it."""
    archive = ground.archive(ground.shape)
    archive.maintain()
    raw = ground.lines(ground.shape).stat().st_size
    sizes = dict.fromkeys(("pack", "idx"), 0)
    for file in (archive.store.path / "objects" / "pack").iterdir():
        kind = file.suffix[1:]
        sizes[kind] = sizes.get(kind, 0) + file.stat().st_size
    by_kind = _weights(archive.store.path)
    archive.close()
    total = ground.shape.total
    parts = "; ".join(f"{kind} {size / total:.0f}" for kind, size in {**by_kind, "index": sizes["idx"]}.items())
    detail = f"bytes for each version: {parts}; its JSON {raw / total:.0f}"
    yield Figure("packed repository, of the JSON", sum(sizes.values()) / raw, AT_MOST, 0.15, detail=detail)


def _weights(store: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    told = git(store, "cat-file", "--batch-all-objects", "--batch-check=%(objecttype) %(objectsize:disk)")
    for line in told.decode().splitlines():
        kind, size = line.split()
        found[kind] = found.get(kind, 0) + int(size)
    return found


# --- publish ---------------------------------------------------------------------------------------------


def publish(ground: Ground) -> Iterator[Figure]:
    """A durable publish beside the same plumbing and fsyncs by hand; and in a small register beside a large one."""
    large = _Publisher(ground, ground.shape, "publishing-large")
    small = _Publisher(ground, ground.fewer, "publishing-small")
    plumber = _Plumber(ground, ground.shape)
    count = 5 * ground.rounds
    ground.say(f"publishing {count} times")
    for one in (large, small, plumber):
        one.publish()
    taken = [[figures.seconds(one.publish) for one in (plumber, large, small)] for _ in range(count)]
    hand, ours, less = (sorted(column)[count // 2] for column in zip(*taken, strict=True))
    for one in (large, small, plumber):
        shutil.rmtree(one.folder)
    detail = f"{ours * 1000:.1f} ms beside {hand * 1000:.1f} ms"
    yield Figure("durable publish, of the same plumbing by hand", ours / hand, AT_MOST, 1.5, detail=detail)
    detail = f"{ours * 1000:.1f} ms at {ground.shape.documents}, {less * 1000:.1f} ms at {ground.fewer.documents}"
    yield Figure("durable publish, ten times the documents", ours / less, AT_MOST, 1.3, detail=detail)


class _Publisher:
    """Publishes one next version after another, each of another document."""

    def __init__(self, ground: Ground, shape: Shape, name: str) -> None:
        self.folder = ground.copied(shape, name)
        self.archive = Archive(self.folder)
        self.archive.tip()
        self.versions = _next_versions(self.archive)

    def publish(self) -> None:
        self.archive.publish([Proposal(next(self.versions))], ACT, datetime.now(UTC))


def _next_versions(archive: Archive) -> Iterator[Any]:
    """The next version of each document, which says what the newest says, from a later day on."""
    position = archive.tip().position  # type: ignore[union-attr]
    for place, (name, _) in enumerate(archive.index.documents(position)):
        number, content = archive.index.version_contents(name, position)[-1]
        body = orjson.loads(content)
        start = f"2031-{place % 12 + 1:02d}-01"
        own = {"jurisdictions": ["EU", "UK"], "from": start, "basis": "The next decision."}
        yield {**body, "number": number + 1, "stage": "decided", "status": "standing", "commencements": [own]}


class _Plumber:
    """Does by hand what a publish has git do: one blob, the trees above it, a commit, the ref, and every fsync."""

    def __init__(self, ground: Ground, shape: Shape) -> None:
        self.folder = ground.copied(shape, "plumbing")
        self.store = self.folder / "register.git"
        archive = Archive(self.folder)
        self.versions = _next_versions(archive)

    def publish(self) -> None:
        body = next(self.versions)
        content = canonical(body)
        path = path_of(body["document"], body["number"])
        head = git(self.store, "rev-parse", BRANCH).decode().strip()
        blob = git(self.store, "hash-object", "-w", "--stdin", given=content).decode().strip()
        tree = self._trees(head, path.split("/"), blob)
        message = f"publish {body['document']}@{body['number']}\n\nAct: publish\nReason: {ACT.reason}\n"
        who = {"GIT_AUTHOR": ACT.author, "GIT_COMMITTER": COMMITTER}
        people = {f"{role}_NAME": name.partition(" <")[0] for role, name in who.items()}
        people |= {f"{role}_EMAIL": name.partition(" <")[2][:-1] for role, name in who.items()}
        environment = {**os.environ, **ENVIRONMENT, **people, "GIT_DIR": str(self.store)}
        made = subprocess.run(
            ["git", "commit-tree", tree, "-p", head], input=message.encode(), env=environment, check=True,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        git(self.store, "update-ref", BRANCH, made.stdout.decode().strip(), head)
        folder = os.open(self.store / "refs" / "heads", os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    def _trees(self, head: str, steps: Sequence[str], blob: str) -> str:
        """Each folder on the way written anew, from the innermost out; returns the outermost."""
        mode, kind, name = "100644", "blob", blob
        for depth in range(len(steps) - 1, -1, -1):
            inside = "/".join(steps[:depth])
            rows = git(self.store, "ls-tree", f"{head}:{inside}").decode().splitlines()
            others = [row for row in rows if row.partition("\t")[2] != steps[depth]]
            rows = [*others, f"{mode} {kind} {name}\t{steps[depth]}"]
            name = git(self.store, "mktree", given=("\n".join(rows) + "\n").encode()).decode().strip()
            mode, kind = "040000", "tree"
        return name
