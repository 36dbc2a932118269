"""Two cards: figures that both have are subtracted, faces that only one has are left out."""

from __future__ import annotations

from pathlib import Path

from streamer.core.files import write_json
from streamer.measure.card.report import changes, read_card, write_page


def row(face: str, r: float, like: float | None) -> dict[str, object]:
    likeness = None if like is None else {"rest": like}
    return {"face": face, "sound": "a.wav", "follows": {"r": r}, "jitter": 2.0, "likeness": likeness}


def test_changes_are_of_faces_and_figures_that_are_in_both() -> None:
    before = [row("ada", 0.4, None), row("eve", 0.9, 0.5)]
    after = [row("ada", 0.5, 0.8), row("bob", 0.1, 0.1)]
    assert changes(before, after) == [{"face": "ada", "sound": "a.wav", "follows": {"r": 0.1}, "jitter": 0.0}]


def test_a_page_shows_a_change_with_its_sign_and_escapes_names(tmp_path: Path) -> None:
    card = {"format": 1, "about": {"version": "<2>"}, "rows": [row("a&b", 0.5, 0.8)], "phones": ["p < b"]}
    write_json(tmp_path / "old.json", card | {"rows": [row("a&b", 0.75, 0.8)]})
    write_page(tmp_path / "card.html", card, [], read_card(tmp_path / "old.json"))
    page = (tmp_path / "card.html").read_text()
    assert "-0.25" in page
    assert "a&amp;b" in page
    assert "<2>" not in page
    assert "p &lt; b" in page
