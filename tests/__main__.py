"""Everything that must hold before a change is taken: style, types, architecture, then every test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
AT_ONCE = (os.cpu_count() or 1) + 1
"""One more than there are processors, for one will be waiting: for a server, a browser, a database."""
CHECKS = {
    "style": ["-m", "ruff", "check", "."],
    "layout": ["-m", "ruff", "format", "--check", "."],
    "types": ["-m", "mypy"],
    "architecture": ["-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
    "tests": ["-m", "pytest", "-n", str(AT_ONCE), "--dist", "worksteal", "-q"],
}


def main(names: list[str]) -> int:
    """Run the named checks, or all; returns 0 only where every one of them passed."""
    unknown = [name for name in names if name not in CHECKS]
    if unknown:
        print(f"unknown: {', '.join(unknown)}; known are {', '.join(CHECKS)}", file=sys.stderr)
        return 2
    compiled = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    failed = []
    for name in names or CHECKS:
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, *CHECKS[name]], cwd=ROOT, env=compiled, check=False).returncode:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


sys.exit(main(sys.argv[1:]))
