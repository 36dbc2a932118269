"""Removal of inactive media sections (port 0, RFC 8829 section 5.2.2) from an offer; the answer rejects them.

aiortc accepts a section with port 0, receives its packets and queues them although nothing reads them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

BUNDLE_ONLY = "a=bundle-only"
ANY_PORT = 9  # "discard": placeholder of an active section whose port does not matter
_HEAD = re.compile(r"m=(\S+) +(\d+)(?:/\d+)? +(.*)")


def with_ports(text: str) -> str:
    """Set a placeholder port in sections that share another's port (a=bundle-only, RFC 9143 section 6)."""
    return "".join(
        re.sub(r"\Am=(\S+) +0 ", rf"m=\1 {ANY_PORT} ", part) if BUNDLE_ONLY in part.split() else part
        for part in _parts(text)
    )


def without_video(text: str) -> str:
    """Set the port of video sections to 0, so that they are rejected."""
    return re.sub(r"^m=video +\d+", "m=video 0", text, flags=re.MULTILINE)


def ufrag_of(text: str) -> str:
    """Return the first ICE user fragment of an offer or a part of one, or ""."""
    found = re.search(r"^a=ice-ufrag:(\S+)", text, re.MULTILINE)
    return "" if found is None else found[1]


@dataclass(frozen=True)
class Offer:
    """An offer for aiortc; `rejected` holds the answer lines of the removed sections, by index."""

    text: str
    rejected: dict[int, str]

    @classmethod
    def of(cls, text: str) -> Offer:
        """Remove the sections of `text` whose port is 0."""
        session, *sections = _parts(text)
        rejected: dict[int, str] = {}
        kept: list[str] = []
        mids: set[str] = set()
        for place, section in enumerate(sections):
            head = _HEAD.match(section)
            if head is None or int(head[2]):
                kept.append(section)
                continue
            mid = re.search(r"^a=mid:(\S+)", section, re.MULTILINE)
            lines = [f"m={head[1]} 0 {head[3].strip()}", "c=IN IP4 0.0.0.0", "a=inactive"]
            if mid is not None:
                mids.add(mid[1])
                lines.append(f"a=mid:{mid[1]}")
            rejected[place] = "\r\n".join(lines) + "\r\n"
        return cls(_unbundled(session, mids) + "".join(kept), rejected)

    def answer(self, text: str) -> str:
        """Insert the rejected sections into the answer at their original positions."""
        session, *sections = _parts(text)
        for place, section in sorted(self.rejected.items()):
            sections.insert(place, section)
        return session + "".join(sections)


def _parts(text: str) -> list[str]:
    """Return the session's lines, then the lines of each section, with CRLF line ends as SDP requires."""
    lines = "".join(f"{line}\r\n" for line in text.splitlines())
    return re.split(r"^(?=m=)", lines, flags=re.MULTILINE)


def _unbundled(session: str, mids: set[str]) -> str:
    def without(line: re.Match[str]) -> str:
        return " ".join([line[1], *(mid for mid in line[2].split() if mid not in mids)])

    return re.sub(r"^(a=group:BUNDLE)((?: +\S+)*)", without, session, flags=re.MULTILINE)
