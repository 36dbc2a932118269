"""Names for terminals and folders, made of what people call things."""

from __future__ import annotations

import re
import unicodedata

LONGEST = 40


def plain_name(text: str) -> str:
    """Letters a-z, digits, _ and - of a text, at most `LONGEST`; empty where it has none."""
    letters = unicodedata.normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9_-]+", "-", letters).strip("-_")[:LONGEST].rstrip("-_")
