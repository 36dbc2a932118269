"""Names for terminals and folders, made from titles."""

from __future__ import annotations

import re
import unicodedata

LONGEST = 40


def plain_name(text: str) -> str:
    """Reduce a text to a-z, digits, _ and -, at most `LONGEST` characters; may be empty."""
    letters = unicodedata.normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9_-]+", "-", letters).strip("-_")[:LONGEST].rstrip("-_")
