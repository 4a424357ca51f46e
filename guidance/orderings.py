"""How the newer lies to the older, by structured fields alone: the same, less, more, or apart, which is no order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from math import inf
from typing import Final, Literal

from guidance.model import Body

Order = Literal["same", "less", "more", "apart"]


def of_amounts(old: tuple[float, ...], new: tuple[float, ...]) -> Order:
    return "same" if new == old else "less" if new < old else "more"


def of_sets(old: AbstractSet[str], new: AbstractSet[str]) -> Order:
    return "same" if new == old else "less" if new < old else "more" if new > old else "apart"


def turned(order: Order) -> Order:
    """Where more of the one is less of the other, as conditions are to those who meet them."""
    turns: dict[Order, Order] = {"less": "more", "more": "less"}
    return turns.get(order, order)


def together(*orders: Order) -> Order:
    """The order of things that are ordered in several respects at once."""
    found = set(orders) - {"same"}
    if not found:
        return "same"
    return found.pop() if len(found) == 1 else "apart"


_DURATION: Final = re.compile(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?")


def of_durations(old: str, new: str) -> Order:
    """ISO 8601 durations, a month being 28 to 31 days long; what that leaves open is apart."""
    before, after = _DURATION.fullmatch(old), _DURATION.fullmatch(new)
    if not before or not after:
        return "apart"
    (old_months, old_minutes), (new_months, new_minutes) = _length(before), _length(after)
    months, minutes = new_months - old_months, new_minutes - old_minutes
    least, greatest = sorted((months * 28 * 1440 + minutes, months * 31 * 1440 + minutes))
    return "same" if least == greatest == 0 else "more" if least > 0 else "less" if greatest < 0 else "apart"


def _length(duration: re.Match[str]) -> tuple[int, int]:
    """Months, and minutes beside them."""
    years, months, weeks, days, hours, minutes = (int(part or 0) for part in duration.groups())
    return years * 12 + months, ((weeks * 7 + days) * 24 + hours) * 60 + minutes


def of_modalities(old: str, new: str) -> Literal["strengthened", "weakened", "crossed"]:
    """Along one chain, or from the chain of duties to that of prohibitions or back."""
    chain = {"must-not": -2, "should-not": -1, "may": 0, "should": 1, "must": 2}
    if (chain[old] < 0) != (chain[new] < 0):
        return "crossed"
    return "strengthened" if abs(chain[new]) > abs(chain[old]) else "weakened"


def of_cohorts(old: str, new: str) -> Order:
    both = frozenset({"initiation", "continuation"})
    return of_sets(both if old == "everyone" else {old}, both if new == "everyone" else {new})


def of_populations(old: Body, new: Body) -> Order:
    """Who is meant: criteria by id, ages, sex. Absent parts do not narrow."""
    (low, high), (new_low, new_high) = _ages(old), _ages(new)
    return together(
        turned(of_sets(ids(old.get("include")), ids(new.get("include")))),
        turned(of_sets(ids(old.get("exclude")), ids(new.get("exclude")))),
        turned(of_amounts((low,), (new_low,))),
        of_amounts((high,), (new_high,)),
        of_sets(_sexes(old), _sexes(new)),
    )


def ids(criteria: Sequence[Body] | None) -> set[str]:
    return {criterion["id"] for criterion in criteria or ()}


def _ages(population: Body) -> tuple[float, float]:
    age = population.get("age", {})
    return age.get("from", 0), age.get("under", inf)


def _sexes(population: Body) -> set[str]:
    return {population["sex"]} if "sex" in population else {"female", "male"}


def of_thresholds(old: Sequence[Body], new: Sequence[Body]) -> dict[str, Order]:
    """By what is measured: whether fewer numbers pass. All thresholds of a rule hold together."""
    found: dict[str, Order] = {}
    for what in sorted({threshold["what"] for threshold in (*old, *new)}):
        before = [threshold for threshold in old if threshold["what"] == what]
        after = [threshold for threshold in new if threshold["what"] == what]
        if before == after:
            continue
        if not before or not after:
            found[what] = "less" if after else "more"
        else:
            found[what] = _of_threshold(before[0], after[0]) if len(before) == len(after) == 1 else "apart"
    return found


def _of_threshold(old: Body, new: Body) -> Order:
    if old["unit"] != new["unit"]:
        return "apart"
    (low, high), (new_low, new_high) = _span(old), _span(new)
    return together(turned(of_amounts(low, new_low)), of_amounts(high, new_high), _of_windows(old, new))


def _span(threshold: Body) -> tuple[tuple[float, int], tuple[float, int]]:
    """The least and the greatest number that pass; the second part is 1 or -1 just beside a number."""
    operator, value = threshold["operator"], threshold["value"]
    low = (value, int(operator == ">")) if operator in {">", ">=", "="} else (-inf, 0)
    high = (value, -int(operator == "<")) if operator in {"<", "<=", "="} else (inf, 0)
    return low, high


def _of_windows(old: Body, new: Body) -> Order:
    """The time within which it is counted: in less time fewer reach a least number, and more stay below a greatest."""
    before, after = old.get("within"), new.get("within")
    if before == after:
        return "same"
    if before is None or after is None:
        order: Order = "less" if after else "more"
    else:
        order = of_durations(before, after)
    signs = {old["operator"][0], new["operator"][0]}
    return order if signs == {">"} else turned(order) if signs == {"<"} else "apart"


def of_schedules(old: Body, new: Body) -> dict[str, Order]:
    """By part: whether more is asked. What recurs recurs during the treatment; no `until` asks nothing after it."""
    before, after = _during(old), _during(new)
    return {
        "before": of_amounts((old.get("before", False),), (new.get("before", False),)),
        "during": of_amounts((before,), (after,)),
        "every": _of_intervals(old.get("every"), new.get("every")),
        "until": _of_ends(old, new),
    }


def _during(schedule: Body) -> bool:
    return bool(schedule.get("during", "every" in schedule))


def _of_intervals(old: str | None, new: str | None) -> Order:
    if old is None or new is None:
        return "same" if old == new else "more" if new else "less"
    return turned(of_durations(old, new))


def _of_ends(old: Body, new: Body) -> Order:
    before, after = old.get("until"), new.get("until")
    if before is None and after is None:
        return "same" if old.get("after") == new.get("after") else "apart"
    if before is None or after is None:
        endless = "every" in (new if after is None else old)
        return "apart" if endless else "more" if after else "less"
    return of_durations(before, after) if old.get("after") == new.get("after") else "apart"


def of_scopes(old: Sequence[str] | None, new: Sequence[str] | None, whole: AbstractSet[str]) -> Order:
    """Medicines or jurisdictions by name, where saying nothing means the whole version's."""
    return of_sets(set(old) if old else whole | set(new or ()), set(new) if new else whole | set(old or ()))
