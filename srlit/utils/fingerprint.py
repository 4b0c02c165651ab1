"""Digests of plain values."""

import hashlib
import json
from typing import Any


def fingerprint(*parts: Any) -> str:  # noqa: ANN401 - whatever JSON can hold
    """A name for plain values: equal ones have the same, others another."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
