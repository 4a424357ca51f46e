"""A page as a tagged PDF, made by WeasyPrint in a process of its own: its memory, time and faults stay out of ours."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

from service.problems import HttpProblem, Problem

SECONDS: Final = 60
LIMIT: Final = 20 * 1024 * 1024
NO_PAPER: Final = Problem("no-pdf", 501, 5, "This server cannot make PDFs")
TOO_LONG: Final = Problem("too-large", 413, 2, "The page is too large for a PDF")


def pdf(html: str) -> bytes:
    """The page as PDF/UA; style sheets come from our own folder and from nowhere else.

    Raises HttpProblem where WeasyPrint or its libraries are missing, or the page takes longer than a minute.
    """
    page = html.encode("utf-8")
    if len(page) > LIMIT:
        raise HttpProblem(TOO_LONG, f"the page has {len(page)} bytes; the limit is {LIMIT}: print it from the browser")
    try:
        made = subprocess.run(
            [sys.executable, "-m", "service.press"], input=page, capture_output=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise HttpProblem(TOO_LONG, f"it took more than {SECONDS} seconds: print the page from the browser") from error
    if made.returncode:
        last = made.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise HttpProblem(NO_PAPER, f"print the page from the browser instead ({' '.join(last)[:300]})")
    return made.stdout
