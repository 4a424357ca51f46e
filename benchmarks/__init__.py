"""How fast, how large, how steady: each figure against something measured beside it on the same machine."""
