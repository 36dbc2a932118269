"""Machine-readable marks of generated media (EU AI Act, Regulation 2024/1689, Article 50.2)."""

from __future__ import annotations

# IPTC NewsCodes: a person's photo or a rendered character, animated by trained networks.
DIGITAL_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
LABEL = "AI-generated"  # the visible text
COMMENT = f"{LABEL}; {DIGITAL_SOURCE_TYPE}"  # metadata "comment" of video files and streams
# For HTTP responses that open a session: draft-abaris-aicdh-01, "AI Content Disclosure Header".
HEADERS = {"AI-Disclosure": "mode=ai-originated"}
