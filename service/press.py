"""The process that `paper` starts: HTML on standard input, a tagged PDF/UA on standard output, no network."""

from __future__ import annotations

import mimetypes
import sys
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from weasyprint import HTML
from weasyprint.urls import URLFetcher, URLFetcherResponse

STATIC: Final = (Path(__file__).parent / "static").resolve()
BASE: Final = "https://page.invalid/"
"""Nothing is fetched from there: it is an address against which our own can be resolved."""


class OurFiles(URLFetcher):  # type: ignore[misc]
    """Gives a page the files of our own static folder, and nothing else."""

    def fetch(self, url: str, headers: Any = None) -> URLFetcherResponse:
        path = (STATIC / urlsplit(url).path.removeprefix("/static/")).resolve()
        if not url.startswith(BASE) or STATIC not in path.parents or not path.is_file():
            raise ValueError(f"{url} is not ours")
        return URLFetcherResponse(url, path.read_bytes(), {"Content-Type": mimetypes.guess_type(path.name)[0] or ""})


def main() -> None:
    html = HTML(string=sys.stdin.buffer.read().decode("utf-8"), base_url=BASE, url_fetcher=OurFiles())
    sys.stdout.buffer.write(html.write_pdf(pdf_variant="pdf/ua-1"))


if __name__ == "__main__":
    main()
