"""How changes are told: many rules, a usual pair of versions, long texts, the whole register, a page."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from statistics import median
from typing import Any, Final

import orjson
from deepdiff import DeepDiff

from benchmarks import figures
from benchmarks.figures import AT_MOST, Figure
from benchmarks.generator import FIRST, LAST, Shape, document
from benchmarks.ground import ACT, RECORDED, Ground
from guidance import changes, journal
from guidance.archive import Archive
from guidance.model import canonical
from guidance.redline import redline
from service import comparing
from service.answers import Question, Register
from service.app import create_app
from service.config import Config

Json = Any

RULES: Final = 10_000
WORDS: Final = 5_000
AGAIN: Final = 7
"""How often what takes a millisecond is done, the least being taken: what else the machine does only adds."""


def rules(ground: Ground) -> Iterator[Figure]:
    """Versions of many rules of which 5% changed, beside hashing both sides and DeepDiff on the changed pairs."""
    count = min(RULES, 5 * ground.questions)
    old, new = many_rules(count, count // 20)
    pairs = [(a, b) for a, b in zip(old["rules"], new["rules"], strict=True) if a is not b]

    def against() -> object:
        return [sha256(canonical(side)).hexdigest() for side in (old, new)], [DeepDiff(a, b) for a, b in pairs]

    found, ours, theirs = figures.ratio(2 * ground.rounds - 1, lambda: changes.compare(old, new), against)
    detail = f"{ours * 1000:.0f} ms beside {theirs * 1000:.0f} ms"
    yield Figure(f"{count} rules, 5% changed, of hashing and DeepDiff on those", found, AT_MOST, 2, detail=detail)
    half = many_rules(count // 2, count // 40)
    found, whole, part = figures.ratio(
        2 * ground.rounds - 1, lambda: changes.compare(old, new), lambda: changes.compare(*half)
    )
    detail = f"{whole * 1000:.0f} ms beside {part * 1000:.0f} ms"
    yield Figure("twice the rules and twice the changes, of the time", found, AT_MOST, 2.5, detail=detail)


def many_rules(count: int, touched: int) -> tuple[Json, Json]:
    """A version of so many rules, and the same with some of them changed in text, in force and in a threshold."""
    _, (old, *_) = document(Shape(1, 2, count), 0)
    chance = random.Random(count)
    rules = list(old["rules"])
    for place in chance.sample(range(len(rules)), touched):
        rules[place] = _touched(rules[place], chance)
    return old, {**old, "rules": rules}


def _touched(rule: Json, chance: random.Random) -> Json:
    words = rule["text"].split(" ")
    words[chance.randrange(len(words))] = "seldom"
    threshold = {"what": "prior-courses", "operator": ">=", "value": chance.randint(200, 300), "unit": "1"}
    population = {"age": {"from": 21}, "include": [{"id": "adults", "text": "adults"}]}
    return {**rule, "text": " ".join(words), "thresholds": [threshold], "population": population}


def pair(ground: Ground) -> Iterator[Figure]:
    """Two versions of one document, each pair of the corpus and of some generated documents: processor time."""
    real = [_cpu_of(old, new) for old, new in _corpus_pairs()]
    made = [
        _cpu_of(old, new)
        for place in range(min(40, ground.questions // 10))
        for _, versions in [document(Shape(1000, 3, ground.shape.rules), place)]
        for old, new in itertools.pairwise(versions)
    ]
    for what, taken in (("of the corpus", real), ("of generated documents", made)):
        detail = f"median of {len(taken)}; the largest {max(taken):.1f} ms"
        yield Figure(f"a pair of versions {what}, processor time", median(taken), AT_MOST, 2, "ms", detail)


def _corpus_pairs() -> Iterator[tuple[Json, Json]]:
    for folder in sorted(journal.CORPUS.glob("documents/*/*/versions")):
        bodies = [orjson.loads(file.read_bytes()) for file in sorted(folder.glob("*.json"))]
        yield from itertools.combinations(bodies, 2)


def _cpu_of(old: Json, new: Json) -> float:
    return _cpu(lambda: changes.compare(old, new), AGAIN) * 1000


def _cpu(work: Callable[[], object], times: int) -> float:
    """The least processor time of a piece of work."""
    taken = []
    for _ in range(times):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return min(taken)


def texts(ground: Ground) -> Iterator[Figure]:
    """A redline of long texts: words changed here and there, a sentence moved now and then."""
    old, new = long_text(WORDS, random.Random(5))
    (taken,) = figures.in_turn(3 * ground.rounds, lambda: redline(old, new))
    segments = redline(old, new)
    detail = f"{len(old.split())} words, {len(segments)} segments, {len({s.move for s in segments} - {None})} moved"
    yield Figure("redline of two long texts", taken * 1000, AT_MOST, 25, "ms", detail)


def long_text(words: int, chance: random.Random) -> tuple[str, str]:
    """A text of so many words, and the same with one word in fifty another and one sentence in fifty elsewhere."""
    found: list[str] = []
    for place in itertools.count():
        found += [rule["text"] for rule in document(Shape(1000, 1, 40), place)[1][0]["rules"]]
        if sum(len(text.split()) for text in found) >= words:
            break
    later = [" ".join(_reworded(word, chance) for word in text.split(" ")) for text in found]
    for _ in range(len(later) // 50):
        later.insert(chance.randrange(len(later)), later.pop(chance.randrange(len(later))))
    return " ".join(found), " ".join(later)


def _reworded(word: str, chance: random.Random) -> str:
    return "seldom" if chance.random() < 0.02 else word


def across(ground: Ground) -> Iterator[Figure]:
    """What changed in the whole register between two days, between which one document in a hundred may have changed."""
    archive = ground.archive(ground.shape)
    archive.tip()
    seen = Register.look(archive, Question(), datetime.now(UTC), "EU")
    first, last = _days_of_one_in_a_hundred(seen, ground)
    given = {"from": first.isoformat(), "to": last.isoformat()}
    (taken,) = figures.in_turn(2 * ground.rounds - 1, lambda: orjson.dumps(comparing.across(seen, given)))
    told = comparing.across(seen, given)
    work = _cpu(lambda: comparing.across(seen, given), 3 * ground.rounds) * 1000
    archive.close()
    counts = f"{len(told['documents'])} documents, {told['summary']['changes']} changes, {(last - first).days} days"
    detail = f"{counts}; processor {work:.0f} ms"
    what = f"the whole register of {ground.shape.documents} documents between two days"
    yield Figure(what, taken * 1000, AT_MOST, 150, "ms", detail)


def _days_of_one_in_a_hundred(seen: Register, ground: Ground) -> tuple[date, date]:
    """Two days between which just so many documents may have changed; the first such pair after the middle."""
    wanted = ground.shape.documents // 100
    middle = FIRST + (LAST - FIRST) / 2
    for first in (middle + timedelta(later) for later in range((LAST - middle).days)):
        for last in (first + timedelta(days) for days in range(1, (LAST - first).days)):
            found = len(seen.archive.index.turning(first.toordinal(), last.toordinal(), seen.position))
            if found == wanted:
                return first, last
            if found > wanted:
                break
    raise RuntimeError("too little changes in the register that was generated")


def page(ground: Ground) -> Iterator[Figure]:
    """The page that compares, everything but the network: nothing of it is kept ready."""
    folder = ground.folder / "corpus"
    if not (folder / "register.git").exists():
        with_corpus = Archive.init(folder)
        with_corpus.take_in(journal.CORPUS / "documents", ACT, RECORDED)
        with_corpus.close()
    client = create_app(Config(data=folder, cache_bytes=0)).test_client()
    for what, address in (
        ("two versions, 22 changes", "/documents/ema/lemtrada/compare?from=@2&to=@3"),
        ("the same side by side", "/documents/ema/lemtrada/compare?from=@2&to=@3&view=sides"),
        ("two days, by place", "/documents/mhra/valproate/compare?from=2023-12-01&to=2025-03-01"),
    ):
        client.get(address)
        (taken,) = figures.in_turn(3 * ground.rounds, lambda a=address: client.get(a).data)  # type: ignore[misc]
        detail = f"{len(client.get(address).data) // 1024} KiB"
        yield Figure(f"page: {what}", taken * 1000, AT_MOST, 100, "ms", detail)
