"""Where DeepDiff sees a difference. A room of its own, since DeepDiff takes long to load."""

from __future__ import annotations

from collections.abc import Mapping

from deepdiff import DeepDiff


def differing(old: Mapping[str, str], new: Mapping[str, str]) -> set[str]:
    """The names of the texts that differ or stand on one side only.

    Texts lie side by side, not within each other, since DeepDiff copies the whole way down to each difference.
    """
    report = DeepDiff(old, new, threshold_to_diff_deeper=0, view="tree", multiprocessing_workers=1)
    return {level.path(output_format="list")[0] for levels in report.values() for level in levels}
