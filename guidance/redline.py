"""The same text twice: segments kept, deleted and inserted, which concatenate to exactly the one and the other."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain, count, groupby
from operator import itemgetter
from typing import Any, Final, Literal, NamedTuple

from rapidfuzz.distance import Indel

Op = Literal["kept", "deleted", "inserted"]
Moves = dict[str, int]
"""Moved sentences, without the space around them, each with its number."""

_Block = tuple[bool, int, int, int, int]
"""Whether it is the same, and its pieces: [i1, i2) of the old text and [j1, j2) of the new."""


def _words(*lines: str) -> dict[str, str]:
    """Each word of the lines with the one that stands for it: of several with strokes between, the first."""
    found = [forms.split("/") for line in lines for forms in line.split()]
    return {word: forms[0] for forms in found for word in forms}


_ONES: Final = "zero one two three four five six seven eight nine ten eleven twelve"
_TEENS: Final = "thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_TENS: Final = "twenty thirty forty fifty sixty seventy eighty ninety hundred"
NUMBER_WORDS: Final[dict[str, str]] = {
    **{word: str(number) for number, word in enumerate(_words(_ONES, _TEENS))},
    **{word: str(number) for number, word in zip(range(20, 101, 10), _words(_TENS), strict=True)},
    "once": "1",
    "twice": "2",
    "thrice": "3",
    "half": "0.5",
    "½": "0.5",
    "quarter": "0.25",
    "¼": "0.25",
    "¾": "0.75",
    "double": "2",
}
DECIDING: Final[dict[str, dict[str, str]]] = {
    "numerals": _words("ii iii iv vi vii viii ix xi xii dozen thousand million"),
    "ordinals": _words("first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"),
    "units": _words(
        "kg mg μg mcg ng ml dl iu mmol kilogram gram milligram microgram nanogram litre/liter millilitre/milliliter",
        "percent tablet capsule drop ampoule/ampule vial sachet puff patch/patches syringe spray teaspoon",
        "suppository/suppositories minute hour day night week fortnight month year",
    ),
    "frequencies": _words(
        "hourly daily nightly weekly fortnightly monthly quarterly yearly annually/annual biweekly bimonthly every",
        "always often frequently/frequent sometimes occasionally/occasional rarely/rare seldom continuously/continuous",
    ),
    "times": _words("before after during until since within while earlier later morning evening bedtime"),
    "comparisons": _words(
        "least most more less fewer greater higher lower above below over under up longer shorter minimum maximum",
        "exceed/exceeded/exceeding",
    ),
    "directions": _words(
        "increase/increased/increasing decrease/decreased/decreasing reduce/reduced/reducing raise/raised/raising",
        "rise/rising fall/falling lowered/lowering halve/halved/halving doubled/doubling start/started/starting",
        "stop/stopped/stopping continue/continued/continuing discontinue/discontinued/discontinuing",
        "interrupt/interrupted/interrupting resume/resumed/resuming withhold/withheld/withholding",
    ),
    "negations": _words("not no never none neither nor cannot without except unless nobody nothing"),
    "duties": _words("must should may shall can could might need only contraindicated"),
    "connectives": _words("and or either both"),
}
"""Words that decide what a sentence means, by class. Numbers are such a class too, and are found by their form."""

_CLASSES: Final = ("numbers", *DECIDING)
_CLASS: Final = {word: (what, told) for what, words in DECIDING.items() for word, told in words.items()}
_QUANTITY: Final = re.compile(r"(?<=\w)[\s-]+(?=[^\W\d])")
_PARTS: Final = re.compile(r"[\s/-]+")

_VERBS: Final = (
    *("must", "should", "may", "shall", "can", "could", "will", "would", "do", "does", "did"),
    *("is", "are", "was", "were", "has", "have", "be"),
)


def _any_case(words: Iterable[str]) -> str:
    """A pattern for any of the words, by first letter, so that most text fails at once; capital or not."""
    starts = _by_start(words)
    letters = "".join(starts)
    each = "|".join(f"[{first}{first.upper()}]{_any_of(rest)}" for first, rest in starts.items())
    return f"(?=[{letters}{letters.upper()}])(?:{each})"


def _any_of(words: Iterable[str]) -> str:
    """A pattern for any of the words, letter by letter, so that none is tried of which the start does not fit."""
    each = [first + _any_of(rest) if first else "" for first, rest in _by_start(words, longest=True).items()]
    return each[0] if len(each) == 1 else f"(?:{'|'.join(each)})"


def _by_start(words: Iterable[str], longest: bool = False) -> dict[str, list[str]]:
    """The words without their first letter, by that letter; the longer of two that begin alike first."""
    runs = groupby(sorted(words, reverse=longest), key=lambda word: word[:1])
    return {first: [word[1:] for word in run] for first, run in runs}


_SIMPLE_UNIT: Final = (
    r"(?:%|‰|°C|[×x]\s?ULN|percent|per\scent|times|mmHg|mmol|[µμn]mol|mol|[kmµμn]?g|mcg|[mµμd]?[lL]|[kmc]?m²?|M?IU|U"
    r"|msec|ms|(?:kilo|milli|micro|nano)?grams?|(?:milli)?lit(?:re|er)s?|seconds?|minutes?|min|hours?|h|days?|d|weeks?"
    r"|months?|years?|doses?|tablets?|capsules?|drops?|ampoules?|vials?|sachets?|puffs?|infusions?|courses?|cycles?)"
)
_UNIT: Final = rf"(?:[\s-]?{_SIMPLE_UNIT}(?:/{_SIMPLE_UNIT})*+(?!\w))"
_DIGITS: Final = r"\d++(?:[.,:/]\d++)*+"
_SIGN: Final = r"(?:[<>]=?|[≤≥=±~])\s*"
_NUMBER: Final = rf"(?=[\d<>≤≥=±~])(?:{_SIGN})?{_DIGITS}(?:\s?[-–]\s?{_DIGITS})?(?:{_UNIT}|(?!\w))"
_NUMBER_WORD: Final = rf"{_any_case(NUMBER_WORDS)}\b{_UNIT}?"
_DENIED: Final = rf"{_any_case(_VERBS)}\s+not\b"
_WORD: Final = r"\w++(?:['’.,/-]\w++)*+"
_TOKEN: Final = re.compile(rf"(?:{_NUMBER}|{_NUMBER_WORD}|{_DENIED}|{_WORD}|[^\w\s])\s*+|\s++")
_SENTENCE: Final = re.compile(r"(?!\Z)[^.!?;\n]*+(?:[.!?;](?!\s)[^.!?;\n]*+)*+(?:[.!?;]\s+|\n\s*|\Z)")

_TINY: Final = frozenset({"the", "a", "an", "of", "to", "in", "for", ","})
"""What the eye may skip between two changes. No number, negation, connective or word of duty belongs here."""

_MOVABLE: Final = 4
"""The fewest words that make a sentence worth following to another place."""

_HEAVY: Final = 0.6
"""Beyond this share of changed characters a redline word by word is confetti."""


_LARGE: Final = 200_000_000
"""Pairs of pieces beyond which two texts are shown as blocks, since comparing them needs a bit of memory for each."""


class Segment(NamedTuple):
    """A stretch of text that was kept, deleted or inserted; a moved sentence is both, with one `move` number."""

    op: Op
    text: str
    move: int | None = None


def redline(old: str, new: str) -> tuple[Segment, ...]:
    """Segments in reading order: without the inserted ones they spell `old`, without the deleted ones `new`."""
    if not old or not new or old == new:
        op: Op = "kept" if old == new else "deleted" if old else "inserted"
        return (Segment(op, old or new),) if old or new else ()
    before, after = _SENTENCE.findall(old), _SENTENCE.findall(new)
    if len(before) == len(after) == 1:
        return tuple(_stretch(before, after, {}))
    moves = _moves(before, after)
    found: list[Segment] = []
    for same, i1, i2, j1, j2 in _blocks(before, after, moves):
        if same:
            found.append(Segment("kept", "".join(before[i1:i2])))
        else:
            found.extend(_stretch(before[i1:i2], after[j1:j2], moves))
    return tuple(_merged(found))


def tokens(text: str) -> list[str]:
    """Words and marks with their trailing space; a number with its unit is one, and so is a verb with its "not"."""
    return _TOKEN.findall(text)


def moved(old: Sequence[str], new: Sequence[str]) -> set[str]:
    """The fewest names that changed place between two orders of the same names; the same set both ways round."""
    first, second = sorted((tuple(old), tuple(new)))
    if first == second:
        return set()
    place = {name: index for index, name in enumerate(second)}
    stayed = _increasing([place[name] for name in first])
    return {name for index, name in enumerate(first) if index not in stayed}


def contradictions(old: str, new: str) -> tuple[str, ...]:
    """What a claim that only the wording differs cannot explain: numbers, units, frequencies, negations…"""
    before, after = _telling(old), _telling(new)
    sides = ((what, before.get(what, []), after.get(what, [])) for what in _CLASSES)
    return tuple(_difference(what, was, now) for what, was, now in sides if was != now)


def _telling(text: str) -> dict[str, list[str]]:
    """The words that decide a meaning, in order, each class apart."""
    found: dict[str, list[str]] = {}
    for what, word in chain.from_iterable(map(_told, tokens(text.casefold()))):
        found.setdefault(what, []).append(word)
    return found


@lru_cache(maxsize=4096)
def _told(token: str) -> tuple[tuple[str, str], ...]:
    """What one token decides: nothing, a number, or each part of a compound: "and/or", "must not"."""
    word = token.rstrip()
    head, *unit = _QUANTITY.split(word, maxsplit=1)
    if head in NUMBER_WORDS or any(map(str.isnumeric, word)):
        units = (name[:-1] if len(name) > 3 and name.endswith("s") else name for name in unit)
        return (("numbers", " ".join((NUMBER_WORDS.get(head, head), *units))),)
    return tuple(filter(None, map(_decided, _PARTS.split(word))))


def _decided(part: str) -> tuple[str, str] | None:
    """The class of a word, of one or of several, and what is told of it; None for one that decides nothing."""
    if found := _CLASS.get(part) or _CLASS.get(part.removesuffix("s")):
        return found
    return ("negations", "not") if part.endswith(("n't", "n’t")) else None


def _difference(what: str, old: list[str], new: list[str]) -> str:
    gone, come = _beyond(old, new), _beyond(new, old)
    if not gone and not come:
        return f"{what} stand in another order"
    return f"{what}: {', '.join(gone) or 'none'} became {', '.join(come) or 'none'}"


def _beyond(words: list[str], others: list[str]) -> list[str]:
    """The words, each as often as it stands there more often than among the others."""
    left = Counter(others)
    found = []
    for word in words:
        if left.get(word):
            left[word] -= 1
        else:
            found.append(word)
    return found


def _increasing(positions: Sequence[int]) -> set[int]:
    """The indices of a longest increasing subsequence: what stayed in order."""
    tails: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    for index, position in enumerate(positions):
        place = bisect_left(tails, position)
        tails[place : place + 1], ends[place : place + 1] = [position], [index]
        before.append(ends[place - 1] if place else -1)
    stayed: set[int] = set()
    index = ends[-1] if ends else -1
    while index >= 0:
        stayed.add(index)
        index = before[index]
    return stayed


def _moves(before: Sequence[str], after: Sequence[str]) -> Moves:
    """A number for each sentence that stands once in both texts, and in another place among such sentences."""
    shared = _singles(before) & _singles(after)
    orders = [[text for text in map(str.strip, side) if text in shared] for side in (before, after)]
    if orders[0] == orders[1]:
        return {}
    gone = moved(*orders)
    return {text: number for number, text in enumerate((text for text in orders[0] if text in gone), start=1)}


def _singles(sentences: Iterable[str]) -> set[str]:
    counts = Counter(map(str.strip, sentences))
    return {text for text, count in counts.items() if count == 1 and len(text.split()) >= _MOVABLE}


def _blocks(a: Sequence[str], b: Sequence[str], moves: Moves) -> list[_Block]:
    """Opcodes of the longest common subsequence. A moved sentence is common to nothing, so that it shows."""
    if len(a) * len(b) > _LARGE:
        return [(False, 0, len(a), 0, len(b))]
    numbers = dict(zip(chain(a, b), count(), strict=False))
    right = list(map(numbers.__getitem__, b))
    for piece in a if moves else ():
        if piece.strip() in moves:
            numbers[piece] = len(a) + len(b) + moves[piece.strip()]
    left = list(map(numbers.__getitem__, a))
    return _turns(Indel.opcodes(left, right).as_list(), len(a), len(b))


def _turns(opcodes: Iterable[Any], old: int, new: int) -> list[_Block]:
    """What is the same and what is not, by turns, in two lists of so many pieces."""
    found: list[_Block] = []
    i = j = 0
    for op, i1, i2, j1, j2 in opcodes:
        if op == "equal":
            if i < i1 or j < j1:
                found.append((False, i, i1, j, j1))
            found.append((True, i1, i2, j1, j2))
            i, j = i2, j2
    if i < old or j < new:
        found.append((False, i, old, j, new))
    return found


def _stretch(before: Sequence[str], after: Sequence[str], moves: Moves) -> Iterable[Segment]:
    """Sentences that differ, word by word; as two blocks where little but crumbs was kept."""
    a, b = _cut(before, moves), _cut(after, moves)
    blocks = _joined(_blocks(a, b, moves), a)
    if _is_confetti(blocks, a, b):
        blocks = [(False, 0, len(a), 0, len(b))]
    for same, i1, i2, j1, j2 in blocks:
        if same:
            yield Segment("kept", "".join(a[i1:i2]))
            continue
        if i1 < i2:
            yield from _texts("deleted", a[i1:i2], moves)
        if j1 < j2:
            yield from _texts("inserted", b[j1:j2], moves)


def _alternating(blocks: Iterable[_Block]) -> list[_Block]:
    """Neighbours of one sort made one, so that what is the same and what is not take turns."""
    found: list[_Block] = []
    for block in blocks:
        if found and found[-1][0] == block[0]:
            same, i1, _, j1, _ = found[-1]
            found[-1] = (same, i1, block[2], j1, block[4])
        else:
            found.append(block)
    return found


def _cut(sentences: Iterable[str], moves: Moves) -> list[str]:
    """Every sentence as its tokens; one that was moved stays whole."""
    if not moves:
        return tokens("".join(sentences))
    return [piece for text in sentences for piece in ([text] if text.strip() in moves else tokens(text))]


def _joined(blocks: list[_Block], a: Sequence[str]) -> list[_Block]:
    """Blocks in which a tiny common word between two changes belongs to the change."""
    tiny = {block for block in blocks[1:-1] if _is_tiny(a, block)}
    return _alternating((False, *block[1:]) if block in tiny else block for block in blocks) if tiny else blocks


def _is_tiny(a: Sequence[str], block: _Block) -> bool:
    same, i1, i2, _, _ = block
    return same and i2 - i1 <= 2 and _TINY.issuperset([piece.strip().casefold() for piece in a[i1:i2]])


def _is_confetti(blocks: Sequence[_Block], a: Sequence[str], b: Sequence[str]) -> bool:
    """Whether most of the text changed and what was kept lies about in more than two pieces."""
    if len(blocks) < 5:
        return False
    kept = [sum(map(len, a[i1:i2])) for same, i1, i2, _, _ in blocks if same]
    whole = sum(map(len, a)) + sum(map(len, b))
    return len(kept) > 2 and 2 * sum(kept) < (1 - _HEAVY) * whole


def _texts(op: Op, pieces: Sequence[str], moves: Moves) -> Iterable[Segment]:
    """The pieces as one segment, but each moved sentence as its own."""
    if not moves:
        return [Segment(op, "".join(pieces))]
    runs = groupby(pieces, key=lambda piece: moves.get(piece.strip()))
    return [Segment(op, "".join(run), move) for move, run in runs]


def _merged(segments: Iterable[Segment]) -> Iterable[Segment]:
    """Neighbours of one sort made one."""
    for (op, move), run in groupby(segments, key=itemgetter(0, 2)):
        yield Segment(op, "".join([segment.text for segment in run]), move)
