"""The fault campaigns as a command: `python -m tests.faults --help` names them."""

from __future__ import annotations

import sys

from tests.faults.campaigns import main

sys.exit(main())
