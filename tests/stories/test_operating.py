"""What docs/operating.md has people do, to the letter: a copy of a register in use, and the register brought back."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from guidance.archive import Archive, Proposal
from guidance.audit import verify
from guidance.store import Act
from service import config, delivery, signing, subscriptions, ticker, tokens
from service.addresses import Policy
from service.state import opened
from tests.guidance import bodies

PAGE = Path(__file__).parents[2] / "docs" / "operating.md"
Acts = Callable[..., Act]


def follow(heading: str, **environment: Path) -> str:
    """Do what stands in the page under a heading; what was said meanwhile."""
    section = PAGE.read_text("utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    (steps,) = re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("INFORCE_")}
    folders = {name: str(folder) for name, folder in environment.items()}
    path = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{clean['PATH']}"}
    done = subprocess.run(
        ["sh", "-c", steps], env={**clean, **folders, **path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_copy_of_a_register_in_use_can_be_brought_back(corpus: Archive, tmp_path: Path, act: Acts) -> None:
    kept = shutil.ignore_patterns("state.sqlite*", "secret.key")
    live = Archive(Path(shutil.copytree(corpus.folder, tmp_path / "live", ignore=kept)))
    settings = config.load({"data": str(live.folder)}, {})
    log = opened(settings)
    _, token = tokens.create(log, "a program", "owner", ("subscribe",))
    asked = {"url": "https://hooks.example/", "filter": {}}
    subscriptions.create(log, signing.vault(settings), Policy.set_by(settings), "owner", asked)
    enough, first = threading.Event(), threading.Event()

    def busy() -> None:
        archive, number = Archive(live.folder), 0
        while not enough.is_set():
            number += 1
            name = f"ema/made-{number}"
            made = Proposal(bodies.document(name)), Proposal(bodies.version(1, document=name))
            archive.publish(made, act(), datetime.now(UTC))
            ticker.tick(archive, log, datetime.now(UTC))
            first.set()
        archive.close()

    publishing = threading.Thread(target=busy)
    publishing.start()
    try:
        assert first.wait(60)
        follow("Back up", INFORCE_DATA=live.folder, COPY=tmp_path / "copy")
    finally:
        enough.set()
        publishing.join(60)
    assert "revisions agree" in follow("Bring back", INFORCE_DATA=tmp_path / "back", COPY=tmp_path / "copy")
    log.close()
    _in_order(tmp_path / "back", token, act)
    live.close()


def _in_order(folder: Path, token: str, act: Acts) -> None:
    """A register that was brought back holds all that its state tells of, tells the rest, and goes on."""
    back, settings = Archive(folder), config.load({"data": str(folder)}, {})
    log = opened(settings)
    told = [event for _, event in log.events(limit=10_000)]
    assert told
    assert all(back.index.position_of(event["revision"]["id"]) for event in told if event.get("revision"))
    assert tokens.authenticate(log, token, "somewhere", "subscribe").owner == "owner"
    assert delivery.unopened(log, signing.vault(settings)) == []
    back.publish([Proposal(bodies.document("ema/made-after"))], act(), datetime.now(UTC))
    ticker.tick(back, log, datetime.now(UTC))
    assert ticker.anew(back, log, datetime.now(UTC)) == 0
    assert verify(back.store, back.index) > 17
    log.close()
    back.close()
