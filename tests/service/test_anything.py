"""Whatever people ask of a page, they get an answer or are told why not: nothing that can be asked fails."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st

from guidance.archive import Archive, Proposal
from guidance.store import Act
from tests.guidance import bodies
from tests.guidance.bodies import awaited, rule, since
from tests.service.doors import door

FULL: Final = not settings.default.derandomize
WHEN: Final = ("on", "at", "jurisdiction")
SIDES: Final = ("from", "to", "from_at", "to_at", "on", "at", "jurisdiction", "format")
ASKED: Final = {
    "/": (*WHEN, "after"),
    "/about": WHEN,
    "/about/severity": WHEN,
    "/changes": (*SIDES, "medicine", "authority"),
    "/coming": WHEN,
    "/documents": (*WHEN, "after", "authority", "medicine"),
    "/documents/<authority>/<name>": WHEN,
    "/documents/<authority>/<name>/compare": (*SIDES, "view"),
    "/documents/<authority>/<name>/history": (*WHEN, "before"),
    "/documents/<authority>/<name>/rules/<rule>": WHEN,
    "/documents/<authority>/<name>/times": WHEN,
    "/documents/<authority>/<name>/versions/<number>": WHEN,
    "/medicines": (*WHEN, "after"),
    "/medicines/<inn>": WHEN,
    "/problems/<name>": (),
    "/search": (*WHEN, "q"),
}
"""Every page, with what may be asked of it."""
COMPARISONS: Final = (
    ("from", "to"),
    ("from", "to", "jurisdiction"),
    ("from_at",),
    ("from_at", "to_at"),
    ("from_at", "on"),
    ("from_at", "to_at", "on", "jurisdiction"),
)
"""What is asked together of pages that compare."""
DAYS: Final = ("0001-01-01", "2019-12-31", "2020-01-15", "2020-01-16", "2020-02-29", "2023-11-24", "9999-12-31")
MOMENTS: Final = ("2000-01-01", "2019-11-05", "2020-01-16T09:00:00Z", "2024-06-01", "2026-01-20", "2026-01-31")
FOUND: Final = {
    "on": DAYS,
    "from": (*DAYS, "@1", "@2", "@3"),
    "to": (*DAYS, "@1", "@2", "@3"),
    "at": MOMENTS,
    "from_at": MOMENTS,
    "to_at": MOMENTS,
    "jurisdiction": ("EU", "UK", "GB", "NI", "DE", "HR", "CH", "FR"),
    "medicine": ("alemtuzumab", "valproate", "nothing"),
    "authority": ("ema", "mhra", "nice", "nobody"),
    "after": ("ema/lemtrada", "zzz/zzz", "m"),
    "before": ("1", "3", "99"),
    "view": ("redline", "sides", "fields", "changes"),
    "q": ("stroke", '"', "a* OR (b", "é", "x" * 300),
}
PATHS: Final = {
    "rule": ("stroke", "one", "two", "never"),
    "number": ("1", "2", "3", "9"),
    "inn": ("alemtuzumab", "valproate", "hydroxyethyl-starch", "nothing"),
}
DOCUMENTS: Final = ("ema/lemtrada", "ema/hes", "mhra/valproate", "ema/example", "ema/nothing")


def _odd(archive: Archive) -> None:
    """A document in which much is unusual: places and rules of their own, days that are not known, corrections."""
    began = datetime(2026, 1, 20, tzinfo=UTC)
    late = rule("two", commencements=[awaited("EU"), since("2020-02-29", "EU", "GB")], jurisdictions=["GB", "EU"])
    first = bodies.version(1, since("2019-12-31", at_latest=True), awaited("CH", expected="2020"), rules=[late])
    second = bodies.version(2, since("2020-01-16", "EU", "UK", to="2023-11"), rules=[rule("one"), late])
    third = bodies.version(3, since("2030-01-01", "NI"), stage="recommended")
    renamed = bodies.document("ema/example", "UK", "EU", title="Another title")
    withdrawn = {**second, "status": "withdrawn", "rules": [rule("two")]}
    act = Act("publish", "Ada Pharmacist <ada@example.org>", "because it was decided")
    for days, body in enumerate((bodies.document(), first, second, third)):
        archive.publish([Proposal(body)], act, began + timedelta(days=days))
    for days, body in enumerate((renamed, withdrawn), start=5):
        archive.correct(Proposal(body), replace(act, verb="correct"), began + timedelta(days=days))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, replayed: Archive) -> Iterator[FlaskClient]:
    archive = Archive(shutil.copytree(replayed.folder, tmp_path_factory.mktemp("anything") / "data"))
    _odd(archive)
    yield door(archive)
    archive.close()


@st.composite
def questions(draw: st.DrawFn) -> tuple[str, dict[str, str]]:
    """(path, parameters), most of which mean something."""
    page = draw(st.sampled_from(sorted(ASKED)))
    names = draw(st.lists(st.sampled_from(ASKED[page]), unique=True, max_size=4)) if ASKED[page] else []
    if page == "/changes" or page.endswith("/compare"):
        view = draw(st.sampled_from([(), ("view",), ("medicine",)]))
        names = [*draw(st.sampled_from(COMPARISONS)), *(name for name in view if name in ASKED[page])]
    document = draw(st.sampled_from(DOCUMENTS))
    path = page.replace("<authority>/<name>", document).replace("<name>", "unknown-document")
    for part, values in PATHS.items():
        path = path.replace(f"<{part}>", draw(st.sampled_from(values)))
    return path, {name: draw(st.sampled_from(FOUND[name])) for name in names if name in FOUND}


def test_every_page_is_asked(client: FlaskClient) -> None:
    rules = client.application.url_map.iter_rules()
    pages = {one.rule for one in rules if one.endpoint.partition(".")[0] in ("pages", "review")}
    assert pages == ASKED.keys()


@given(questions())
@settings(max_examples=5000 if FULL else 400)
def test_whatever_is_asked_of_a_page_nothing_fails(client: FlaskClient, question: tuple[str, dict[str, Any]]) -> None:
    path, asked = question
    response = client.get(path, query_string=asked, headers={"Accept": "text/html"})
    said = response.get_data(as_text=True)
    assert response.status_code in (200, 302, 303, 400, 404), said
    assert "Traceback" not in said
