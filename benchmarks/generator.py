"""A register of any size that looks like a real one: valid by the schemas, the same for the same seed.

Each document goes through its versions as guidance does: most rules stay, a few are reworded, one comes or goes.
Some start on different days in Great Britain and Northern Ireland, some rules hold for less than their version,
some versions are pending, some have ended.
"""

from __future__ import annotations

import calendar
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

from guidance.model import canonical

Json = Any

FIRST: Final = date(2004, 3, 1)
LAST: Final = date(2026, 3, 1)
"""Versions start between these days, evenly apart whatever their number."""
AUTHORITIES: Final = {"ema": "EU", "mhra": "UK", "nice": "UK", "swissmedic": "CH", "ec": "EU"}
"""Who issues, and the home of what they issue."""
PUBLISHERS: Final = {
    "ema": "European Medicines Agency",
    "mhra": "Medicines and Healthcare products Regulatory Agency",
    "nice": "National Institute for Health and Care Excellence",
    "swissmedic": "Swissmedic",
    "ec": "European Commission",
}
KINDS: Final = ("indication", "contraindication", "restriction", "monitoring", "precaution", "posology", "supply")
SECTIONS: Final = dict(zip(KINDS, ("4.1", "4.3", "4.4", "4.4", "4.4", "4.2", "6.5"), strict=True))
OPENINGS: Final = {
    "must": ("Before every course", "In every patient", "At each visit", "Without exception"),
    "should": ("Where possible", "As a rule", "In most patients", "During treatment"),
    "may": ("If benefit continues", "Under specialist care", "After a full assessment", "On a named-patient basis"),
    "should-not": ("Outside a clinical study", "Beyond the recommended course", "In the elderly", "As a first choice"),
    "must-not": ("In those at risk", "During pregnancy", "With a strong inhibitor", "After a serious reaction"),
}
VERBS: Final = {
    "must": ("measure", "confirm", "record", "exclude", "review"),
    "should": ("consider", "repeat", "discuss", "check", "monitor"),
    "may": ("continue", "restart", "offer", "extend", "substitute"),
    "should-not": ("extend", "combine", "repeat", "start", "increase"),
    "must-not": ("give", "start", "continue", "supply", "restart"),
}
THINGS: Final = (
    "liver enzymes", "serum creatinine", "a full blood count", "thyroid function", "an electrocardiogram",
    "blood pressure", "the informed consent", "a pregnancy test", "effective contraception", "the infusion",
    "the maintenance dose", "the loading dose", "a signed acknowledgement of risk", "the patient card",
    "immunoglobulin levels", "bone mineral density", "visual acuity", "a magnetic resonance image",
    "the serum potassium", "the cardiac assessment", "the vaccination record", "a screening for latent tuberculosis",
    "renal function", "the platelet count", "the neutrophil count", "a dermatological examination",
)  # fmt: skip
WHO: Final = (
    "adults with relapsing disease", "women of childbearing potential", "patients over 65 years",
    "patients with hepatic impairment", "patients with a history of stroke", "children and adolescents",
    "patients treated with anticoagulants", "patients with uncontrolled hypertension", "carriers of hepatitis B",
    "patients with severe renal impairment", "patients with a prolonged QT interval", "newly treated patients",
    "patients who have had two courses", "patients with autoimmune disease", "patients with epilepsy",
)  # fmt: skip
WHY: Final = (
    "because fatal reactions have been reported", "since the benefit was not shown in the trials",
    "as serious liver injury has occurred", "because the effect may last for months after the last dose",
    "as recovery was incomplete in some of the cases", "because interactions raise the exposure twofold",
    "since cardiovascular events occurred within three days", "as malformations were seen in one child in ten",
    "because immune reactions can appear years later", "as the risk rises with the cumulative dose",
)  # fmt: skip
UNTIL: Final = (
    "until {n} months after the last dose", "every {n} weeks during the first year", "within {n} days of the start",
    "for at least {n} hours after each infusion", "no more than {n} times in a course", "once every {n} months",
    "at intervals of {n} days", "and again after {n} weeks",
)  # fmt: skip
EXTRA: Final = (
    "Tell the patient what to watch for.", "Record the result and the date.", "Refer to a specialist where in doubt.",
    "The decision is reviewed each year.", "The pharmacist checks that the form is complete.",
    "Report every suspected reaction.", "See also the section on interactions.", "This was not studied in children.",
    "The package leaflet says so in plain words.", "Stop at once if a value is out of range.",
)  # fmt: skip
SYLLABLES: Final = ("al", "be", "cor", "da", "em", "flu", "gli", "ibo", "ka", "lo", "mi", "nor", "oxa", "pri", "ra")
STEMS: Final = ("mab", "tinib", "oxacin", "prazole", "sartan", "statin", "olol", "gliptin", "parin", "retin")
MEDICINES: Final = tuple(a + b + stem for stem in STEMS for a in SYLLABLES for b in SYLLABLES if a != b)


@dataclass(frozen=True, slots=True)
class Shape:
    """How large a register is, and the seed of its chance."""

    documents: int
    versions: int
    """Versions of each document."""
    rules: int = 15
    """Rules of a version, on average."""
    seed: int = 20191105

    @property
    def total(self) -> int:
        return self.documents * self.versions


def name_of(shape: Shape, place: int) -> str:
    """The id of the document at a place among all, by id."""
    by_authority = sorted(AUTHORITIES)
    authority = by_authority[place * len(by_authority) // shape.documents]
    return f"{authority}/guidance-{place:0{len(str(shape.documents))}d}"


def register(shape: Shape) -> Iterator[tuple[Json, list[Json]]]:
    """Each document and its versions, by id."""
    for place in range(shape.documents):
        yield document(shape, place)


def document(shape: Shape, place: int) -> tuple[Json, list[Json]]:
    """One document and its versions."""
    return _Guidance(shape, name_of(shape, place)).told()


def write(shape: Shape, path: Path) -> int:
    """Write a register as JSON lines for `inforce import`; returns how many bytes of JSON there are."""
    size = 0
    with path.open("wb") as lines:
        for document, versions in register(shape):
            for body in (document, *versions):
                size += lines.write(canonical(body))
    return size


class _Guidance:
    """One document on its way through its versions."""

    def __init__(self, shape: Shape, name: str) -> None:
        self.shape, self.name = shape, name
        self.authority = name.partition("/")[0]
        self.home = AUTHORITIES[self.authority]
        self.chance = random.Random(f"{shape.seed} {name}")  # seeded by its own name: any one can be made alone
        self.medicines = self.chance.sample(MEDICINES, self.chance.choice((1, 1, 1, 2, 3)))
        self.parted = self.home == "UK" and self.chance.random() < 0.3
        """Whether Great Britain and Northern Ireland start on days of their own."""
        self.count = 0
        self.rules: list[Json] = []

    def told(self) -> tuple[Json, list[Json]]:
        size = max(1, self.shape.rules + self.chance.randint(-4, 4))
        self.rules = [self._rule() for _ in range(size)]
        days = self._days()
        return self._document(), [self._version(number, days) for number in range(1, self.shape.versions + 1)]

    def _document(self) -> Json:
        return {
            "id": self.name,
            "authority": self.authority,
            "title": f"{self.medicines[0].capitalize()}: conditions of use ({self.name.rpartition('-')[2]})",
            "about": f"Who may be treated with {' or '.join(self.medicines)}, and what is watched.",
            "jurisdictions": [self.home, "UK"] if self.home == "EU" and self.chance.random() < 0.2 else [self.home],
        }

    def _days(self) -> list[date]:
        """The day on which each version starts: apart by about as much, never on the same day."""
        step = (LAST - FIRST).days / self.shape.versions
        return [FIRST + timedelta(int((n + 0.6 * self.chance.random()) * step)) for n in range(self.shape.versions)]

    def _version(self, number: int, days: list[date]) -> Json:
        if number > 1:
            self._revise(number)
        start, newest = days[number - 1], number == self.shape.versions
        pending = newest and self.chance.random() < 0.06
        after = days[number] if not newest else start + timedelta(400)
        return {
            "document": self.name,
            "number": number,
            "title": f"Version {number} of the conditions of use of {self.medicines[0]}",
            "stage": self.chance.choice(("recommended", "adopted", "decided")) if pending else "decided",
            "status": "withdrawn" if not newest and self.chance.random() < 0.01 else "standing",
            "commencements": list(self._pending() if pending else self._commencements(start, after, newest)),
            "milestones": self._milestones(start),
            "medicines": [self._medicine(inn) for inn in self.medicines],
            "rules": [self._narrowed(rule, start, after) for rule in self.rules],
            "sources": self._sources(number, start),
        }

    # --- days ------------------------------------------------------------------------------------------------

    def _commencements(self, start: date, after: date, newest: bool) -> Iterator[Json]:
        basis = f"{PUBLISHERS[self.authority]}, decision of {start - timedelta(20)}."
        ended = newest and self.chance.random() < 0.04
        end = {"to": self._end(start), "ends": self.chance.choice(("expired", "repealed"))} if ended else {}
        if self.parted:
            late = start + (after - start) / 4
            yield {"jurisdictions": ["GB"], "from": start.isoformat(), "basis": basis, "source": "decision", **end}
            yield {"jurisdictions": ["NI"], "from": late.isoformat(), "basis": basis, "source": "decision"}
        else:
            places = [self.home, "UK"] if self.home == "EU" and start < date(2020, 2, 1) else [self.home]
            yield {"jurisdictions": places, "from": start.isoformat(), "basis": basis, "source": "decision", **end}

    def _end(self, start: date) -> str:
        """A day, or only a month."""
        end = start + timedelta(self.chance.randint(200, 900))
        return end.isoformat() if self.chance.random() < 0.7 else end.isoformat()[:7]

    def _pending(self) -> Iterator[Json]:
        expected = f"2026-{self.chance.randint(6, 12):02d}"
        trigger = "the decision that follows the recommendation"
        yield {"jurisdictions": [self.home], "expected": expected, "trigger": trigger, "basis": "Not decided yet."}

    def _milestones(self, start: date) -> list[Json]:
        body = PUBLISHERS[self.authority]
        steps = (("recommended", 75), ("adopted", 48), ("decided", 20), ("published", 12))
        kept = steps[self.chance.randint(1, 3) :]
        return [
            {"act": act, "date": (start - timedelta(days)).isoformat(), "by": body, "source": "decision"}
            for act, days in kept
        ]

    # --- rules -----------------------------------------------------------------------------------------------

    def _rule(self) -> Json:
        self.count += 1
        kind, modality = self.chance.choice(KINDS), self.chance.choice(tuple(OPENINGS))
        rule = {
            "id": f"rule-{self.count}",
            "kind": kind,
            "section": f"SmPC {SECTIONS[kind]}",
            "title": f"{self._one(VERBS[modality]).capitalize()} {self._one(THINGS)}",
            "text": self._text(modality),
            "modality": modality,
            "cohort": self.chance.choice(("initiation", "continuation", "everyone", "everyone")),
            "source": {"ref": self.chance.choice(("decision", "product-information"))},
        }
        return {**rule, **self._structure(kind)}

    def _text(self, modality: str) -> str:
        no = "do not " if modality.endswith("not") else ""
        said = f"{self._one(OPENINGS[modality])}, {no}{self._one(VERBS[modality])} {self._one(THINGS)}"
        parts = (
            (0.5, f" in {self._one(WHO)}"),
            (0.4, f" {self._one(UNTIL).format(n=self.chance.randint(1, 60))}"),
            (0.2, f", {self._one(WHY)}"),
        )
        said += "".join(part for odds, part in parts if self.chance.random() < odds)
        return f"{said}. {self._one(EXTRA)}" if self.chance.random() < 0.2 else f"{said}."

    def _structure(self, kind: str) -> dict[str, Json]:
        """What programs compare: a threshold, a schedule, a population, in some rules."""
        found: dict[str, Json] = {}
        if kind == "monitoring":
            every = self.chance.choice(("P1M", "P2W", "P3M", "P6M"))
            found["schedule"] = {"before": True, "during": True, "every": every}
        if self.chance.random() < 0.2:
            value = self.chance.randint(1, 120)
            found["thresholds"] = [{"what": "prior-courses", "operator": ">=", "value": value, "unit": "1"}]
        if self.chance.random() < 0.3:
            found["population"] = {"age": {"from": self.chance.choice((12, 16, 18, 65))}}
        return found

    def _revise(self, number: int) -> None:
        """What happens from one version to the next: a few rules reworded, sometimes one more or one less."""
        for place in self.chance.sample(range(len(self.rules)), min(len(self.rules), self.chance.randint(1, 3))):
            rule = self.rules[place]
            self.rules[place] = {**rule, "text": self._text(rule["modality"])}
        if self.chance.random() < 0.25:
            self.rules.append(self._rule())
        if len(self.rules) > self.shape.rules and self.chance.random() < 0.5:
            self.rules.pop(self.chance.randrange(len(self.rules)))

    def _narrowed(self, rule: Json, start: date, after: date) -> Json:
        """Now and then a rule that holds for less than its version does."""
        drawn = self.chance.random()
        if drawn < 0.004 and self.home == "UK":
            return {**rule, "jurisdictions": [self.chance.choice(("GB", "NI"))]}
        if drawn < 0.008:
            late = (start + (after - start) / 3).isoformat()
            own = {"jurisdictions": [self.home], "from": late, "basis": "The decision gives this rule a later day."}
            return {**rule, "commencements": [own]}
        return rule

    # --- the rest --------------------------------------------------------------------------------------------

    def _medicine(self, inn: str) -> Json:
        code = f"L{MEDICINES.index(inn) % 90 + 10}AA{len(inn):02d}"
        return {"inn": inn, "brands": [inn[:4].capitalize() + "ra"], "codes": [{"system": "atc", "code": code}]}

    def _sources(self, number: int, start: date) -> list[Json]:
        publisher = PUBLISHERS[self.authority]
        month = calendar.month_name[start.month]
        return [
            {
                "id": "decision",
                "title": f"Decision of {month} {start.year} on {self.medicines[0]}",
                "publisher": publisher,
                "tier": "primary",
                "date": (start - timedelta(20)).isoformat(),
                "reference": f"{self.authority.upper()}/{self.name.rpartition('-')[2]}/{number:03d}",
                "link": f"https://example.org/{self.name}/{number}",
            },
            {"id": "product-information", "title": "Product information", "publisher": publisher, "tier": "primary"},
        ]

    def _one(self, choices: tuple[str, ...]) -> str:
        return self.chance.choice(choices)
