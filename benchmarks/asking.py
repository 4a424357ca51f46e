"""How answers are given: over HTTP beside a bare hello, with long histories, all at once, at once after a start."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from statistics import median

import orjson

from benchmarks import figures, serving
from benchmarks.figures import AT_LEAST, AT_MOST, Figure
from benchmarks.generator import FIRST, LAST
from benchmarks.ground import Ground, Questions
from guidance.archive import Archive
from guidance.errors import UnknownDocument
from guidance.register import scope
from service import answers, params
from service.answers import Question, Register


def answer(ground: Ground) -> Iterator[Figure]:
    """As-of answers of one document over HTTP, beside a bare Flask hello on the same server.

    A worker that has one processor to itself gives as many answers in a second as its processor time allows; so the
    ratio is of that time. Who asks may be slower than who answers.
    """
    archive = ground.archive(ground.shape)
    asked = Questions(ground.shape, seed=random.randrange(2**32))
    repeated = [asked.path() for _ in range(100)]
    seen = [asked.path_at(archive) for _ in range(ground.questions)]
    archive.close()
    with serving.apart(), serving.hello() as hello, serving.ours(archive.folder) as ours:
        ground.say("asking until the cache is full")
        for _ in range(ground.warm):
            serving.ask(ours.port, [asked.path() for _ in range(1000)])
        serving.ask(ours.port, repeated)
        serving.ask(hello.port, ["/"] * ground.questions)
        rounds = []
        for turn in range(ground.rounds):
            ground.say(f"asking, round {turn + 1} of {ground.rounds}")
            fresh = [asked.path() for _ in range(ground.questions)]
            part = seen[turn :: ground.rounds]
            again = (repeated * (1 + ground.questions // 50))[: 2 * ground.questions]
            serving.ask(ours.port, repeated)
            rounds.append(
                [
                    _rate(hello, ["/"] * ground.questions),
                    _rate(ours, fresh),
                    _rate(ours, part),
                    _rate(ours, again),
                ]
            )
    yield from _beside_hello(rounds)


def _rate(server: serving.Served, paths: list[str]) -> tuple[float, float]:
    """(answers in a second, microseconds of the worker's processor time for each)."""
    before = server.processor()
    asked = serving.ask(server.port, paths)
    return asked.answers / asked.seconds, (server.processor() - before) / asked.answers * 1e6


def _beside_hello(rounds: list[list[tuple[float, float]]]) -> Iterator[Figure]:
    kinds = (
        ("as-of answer, not asked before, of hello's throughput", 1, 0.7),
        ("the same, seen from an earlier revision (at=…)", 2, 0.7),
        ("as-of answer, asked again, of hello's throughput", 3, 2.0),
    )
    for what, place, target in kinds:
        found = median(turn[0][1] / turn[place][1] for turn in rounds)
        rates = [median(turn[n][0] for turn in rounds) for n in (place, 0)]
        costs = [median(turn[n][1] for turn in rounds) for n in (place, 0)]
        detail = f"{rates[0]:.0f}/s beside {rates[1]:.0f}/s; processor {costs[0]:.0f} µs beside {costs[1]:.0f} µs"
        yield Figure(what, found, AT_LEAST, target, detail=detail)


def history(ground: Ground) -> Iterator[Figure]:
    """The same questions to a register as large, of a tenth of the documents with ten times the versions each."""
    short, long = (ground.archive(shape) for shape in (ground.shape, ground.longer))
    short.tip()
    long.tip()
    pairs = [(short, ground.shape), (long, ground.longer)]
    for what, work in (
        ("lookup, any day, any revision", _lookups),
        ("answer for one place about the last year", partial(_answered, since=LAST - timedelta(300))),
        ("answer for one place about any day", partial(_answered, since=FIRST)),
    ):
        works = [work(archive, Questions(shape, 7), ground.questions) for archive, shape in pairs]
        for warm in works:
            warm()
        found, slow, quick = figures.ratio(max(5, 2 * ground.rounds - 1), works[1], works[0])
        each = [part / ground.questions * 1e6 for part in (slow, quick)]
        detail = f"{each[0]:.0f} µs beside {each[1]:.0f} µs; {ground.longer.versions} beside {ground.shape.versions}"
        yield Figure(f"ten times the versions per document: as-of {what}", found, AT_MOST, 1.2, detail=detail)
    short.close()
    long.close()


def _lookups(archive: Archive, asked: Questions, count: int) -> Callable[[], object]:
    """Look up what is selected, as of any day and any revision that knew the document."""
    index = archive.index
    wanted = []
    for _ in range(count):
        name = asked.document()
        known = [revision.position for revision in index.history(name, 2**62, limit=1000)]
        _, places = index.document_row(name, known[0])
        wanted.append((name, asked.day().toordinal(), asked.chance.choice(known), places[:1]))
    return lambda: [index.spans_on(*question) for question in wanted]


def _answered(archive: Archive, asked: Questions, count: int, since: date) -> Callable[[], object]:
    """Answer about a day since another, from the newest revision, everything but HTTP.

    For one place that has no parts: a longer history speaks of more places, whatever it costs to look one up.
    """
    now = datetime.now(UTC)
    wanted = [(name, asked.day(since), _one_place(archive, name)) for name in (asked.document() for _ in range(count))]

    def work() -> int:
        return sum(len(_told(archive, name, day, now, place)) for name, day, place in wanted)

    return work


def _one_place(archive: Archive, name: str) -> str:
    tip = archive.tip()
    _, named = archive.index.document_row(name, tip.position if tip else 0)
    return next(place for place in named if scope(named, place) == (place,))


def _told(archive: Archive, name: str, day: date, now: datetime, place: str | None = None) -> bytes:
    question = Question(on=params.on(day.isoformat()), jurisdiction=place)
    return orjson.dumps(answers.document(Register.look(archive, question, now, "EU"), name))


def cold(ground: Ground) -> Iterator[Figure]:
    """From the start of the command to the first as-of answer, with an index there; beside hello's start."""
    archive = ground.archive(ground.shape)
    archive.tip()
    archive.close()
    first = Questions(ground.shape, 3).path()
    taken, bare = [], []
    for _ in range(max(3, ground.rounds)):
        with serving.hello() as hello:
            bare.append(hello.waited)
        with serving.ours(archive.folder, first) as server:
            taken.append(server.waited)
    opening = median(figures.seconds(lambda: _opened(ground)) for _ in range(5))
    detail = f"hello {median(bare):.2f} s; opening store and index and a first answer {opening * 1000:.0f} ms of it"
    yield Figure("cold start, command to first answer", median(taken), AT_MOST, 1.0, "s", detail)


def _opened(ground: Ground) -> None:
    archive = Archive(ground.folder / f"{ground.shape.documents}x{ground.shape.versions}")
    asked = Questions(ground.shape, 3)
    try:
        _told(archive, asked.document(), asked.day(), datetime.now(UTC))
    except UnknownDocument as error:
        raise RuntimeError("the register is not the one that was generated") from error
    finally:
        archive.close()


def memory(ground: Ground) -> Iterator[Figure]:
    """What a worker holds after many answers, with its cache full."""
    archive = ground.archive(ground.shape)
    archive.close()
    asked = Questions(ground.shape, 11)
    with serving.hello() as hello, serving.ours(archive.folder) as server:
        start = server.memory()
        for _ in range(4):
            serving.ask(server.port, [asked.path() for _ in range(2 * ground.questions)])
        detail = f"{start:.0f} MiB before the first question; a bare hello {hello.memory():.0f} MiB"
        yield Figure(f"memory after {8 * ground.questions} answers", server.memory(), AT_MOST, 150, "MiB", detail)


def day(ground: Ground) -> Iterator[Figure]:
    """All rules in force on a day, across the register, streamed."""
    archive = ground.archive(ground.shape)
    archive.close()
    with serving.ours(archive.folder) as server:
        serving.stream(server, "/v1/rules?on=2015-06-01")
        read = [serving.stream(server, f"/v1/rules?on=2016-0{month}-01") for month in range(1, 2 + ground.rounds)]
    detail = f"{read[-1].size / 1e6:.0f} MB in {median(one.whole for one in read):.1f} s"
    first = median(one.first for one in read) * 1000
    yield Figure(f"all rules of {ground.shape.documents} documents: first byte", first, AT_MOST, 50, "ms", detail)
    grown = median(one.grown for one in read)
    yield Figure("the same: memory that grew meanwhile", grown, AT_MOST, 8, "MiB", detail)
