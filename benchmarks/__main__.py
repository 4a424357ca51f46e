"""`python -m benchmarks [names]`: measure, and say for each figure whether it is as good as it has to be."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks import asking, comparing, figures, storing, telling
from benchmarks.figures import Figure
from benchmarks.generator import Shape
from benchmarks.ground import Ground

MEASURES: Final[dict[str, Callable[[Ground], Iterator[Figure]]]] = {
    "import": storing.bulk,
    "rebuild": storing.rebuild,
    "answer": asking.answer,
    "history": asking.history,
    "day": asking.day,
    "memory": asking.memory,
    "cold": asking.cold,
    "publish": storing.publish,
    "packed": storing.packed,
    "diff-rules": comparing.rules,
    "diff-pair": comparing.pair,
    "diff-text": comparing.texts,
    "diff-across": comparing.across,
    "diff-page": comparing.page,
    "fan": telling.fan,
    "deliver": telling.deliver,
    "visible": telling.visible,
    "waiting": telling.waiting,
}


def main(given: Sequence[str] | None = None) -> int:
    """Exit 1 where a target was missed and --strict was said."""
    options = _options().parse_args(given)
    with tempfile.TemporaryDirectory(prefix="inforce-benchmarks-") as passing:
        folder = options.keep or Path(passing)
        folder.mkdir(parents=True, exist_ok=True)
        shape = Shape(options.documents, options.versions, options.rules)
        ground = Ground(folder, shape, options.rounds, options.questions, _say)
        found = [figure for name in options.names or MEASURES for figure in _measured(name, ground)]
    figures.show(found)
    if options.markdown:
        options.markdown.write_text(figures.markdown(found), "utf-8")
    return int(options.strict and not all(figure.met for figure in found))


def _measured(name: str, ground: Ground) -> list[Figure]:
    ground.say(name)
    return list(MEASURES[name](ground))


def _say(what: str) -> None:
    print(f"… {what}", file=sys.stderr, flush=True)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *MEASURES], metavar="name", help=", ".join(MEASURES))
    parser.add_argument("--documents", type=int, default=300, help="documents of the register (full size: 10000)")
    parser.add_argument("--versions", type=int, default=10, help="versions of each document")
    parser.add_argument("--rules", type=int, default=15, help="rules of a version, on average")
    parser.add_argument("--rounds", type=int, default=3, help="how often each thing is measured, in turn")
    parser.add_argument("--questions", type=int, default=2000, help="questions asked in each round")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="folder that keeps the registers for the next time")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table to a file as well")
    parser.add_argument("--strict", action="store_true", help="exit 1 where a target was missed")
    return parser


if __name__ == "__main__":
    sys.exit(main())
