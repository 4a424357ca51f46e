"""Faults on purpose: kills, power cuts, failing writes and readers in the midst of it; `python -m tests.faults`."""
