"""Reading pages as a browser would: elements, words, and whether anything in them could run or lead away."""

from __future__ import annotations

from html.parser import HTMLParser
from itertools import pairwise
from typing import NamedTuple

from flask.testing import FlaskClient

VOID = {"meta", "link", "input", "br", "wbr", "hr", "img"}
INLINE = {"a", "abbr", "del", "ins", "q", "span", "strong", "time"}
ACCEPT = "text/html,application/xhtml+xml,*/*;q=0.8"


class Element(NamedTuple):
    """One element: its tag, its attributes, and the words in it and in those inside it."""

    tag: str
    attributes: dict[str, str]
    words: list[str]

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self.open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"an attribute stands twice in <{tag}>: {attrs}"
        element = Element(tag, {name: value or "" for name, value in attrs}, [])
        self.elements.append(element)
        self.parted(tag)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()
        self.parted(tag)

    def parted(self, tag: str) -> None:
        """Words of two blocks do not touch."""
        if tag not in INLINE:
            self.handle_data(" ")

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.words.append(data)


class Page:
    """One page as read."""

    def __init__(self, html: str) -> None:
        reader = _Reader()
        reader.feed(html)
        reader.close()
        assert not reader.open, f"never closed: {[element.tag for element in reader.open]}"
        self.html, self.elements = html, reader.elements

    @property
    def text(self) -> str:
        return self.first("body").text

    def first(self, tag: str) -> Element:
        return next(element for element in self.elements if element.tag == tag)

    def all(self, tag: str, **attributes: str) -> list[Element]:
        return [
            element
            for element in self.elements
            if element.tag == tag and all(element.attributes.get(name) == value for name, value in attributes.items())
        ]

    def of_class(self, name: str) -> list[Element]:
        return [element for element in self.elements if name in element.attributes.get("class", "").split()]

    @property
    def main(self) -> Element:
        return self.first("main")

    @property
    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        """Every element with the names of its attributes: what no text may ever change."""
        return [(element.tag, tuple(sorted(element.attributes))) for element in self.elements]

    def links(self) -> list[str]:
        return [element.attributes["href"] for element in self.elements if "href" in element.attributes]


def page(client: FlaskClient, address: str, status: int = 200) -> Page:
    """The page at an address, as a browser asks for it; it is whole, and nothing in it is against the policy."""
    response = client.get(address, headers={"Accept": ACCEPT})
    assert response.status_code == status, f"{address}: {response.status_code}"
    assert response.content_type == "text/html; charset=utf-8"
    read = Page(response.get_data(as_text=True))
    lawful(read)
    return read


def lawful(read: Page) -> None:
    """Nothing inline, nothing that runs, no address but our own paths and http(s); ids once; headings in steps."""
    for element in read.elements:
        assert "style" not in element.attributes, element
        assert not [name for name in element.attributes if name.startswith("on")], element
        assert element.tag not in {"style", "iframe", "object", "embed", "base"}, element
    scripts = read.all("script")
    assert [(one.attributes.get("src"), one.text) for one in scripts] == [("/static/inforce.js", "")]
    for href in read.links():
        assert href.startswith(("/", "#", "http://", "https://")), href
        assert not href.startswith("//"), href
    forms = [element.attributes.get("action", "/") for element in read.all("form")]
    assert all(action.startswith("/") and not action.startswith("//") for action in forms)
    ids = [element.attributes["id"] for element in read.elements if "id" in element.attributes]
    assert len(ids) == len(set(ids)), sorted(one for one in ids if ids.count(one) > 1)
    within = [href[1:] for href in read.links() if href.startswith("#")]
    assert set(within) <= set(ids), set(within) - set(ids)
    assert len(read.all("h1")) == 1
    levels = [int(element.tag[1]) for element in read.elements if element.tag in {"h1", "h2", "h3", "h4", "h5", "h6"}]
    body = levels[levels.index(1) :]
    assert all(later - earlier <= 1 for earlier, later in pairwise(body)), levels
