"""Writes the score card as JSON and as one HTML page with its pictures, and compares two cards."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from engines.files import replacing
from streamer.core.errors import MediaError
from streamer.core.frames import ByteArray
from streamer.measure.card.measure import VIEWS, Row, Speaker
from streamer.measure.head_motion import REAL

FORMAT = 1
_LARGEST = 4 << 20  # bytes of a card to read
_STYLE = (
    "body{font:15px/1.45 system-ui,sans-serif;margin:2em;max-width:100em;color:#222}table{border-collapse:collapse}"
    "td,th{padding:.2em .6em;text-align:right;border-bottom:1px solid #ddd}th:first-child,td:first-child,"
    "td:nth-child(2),th:nth-child(2){text-align:left}.out{color:#b00020}"
    "figure{display:inline-block;margin:.5em 1em .5em 0}"
    "img{display:block;max-width:100%}figcaption{font-size:.85em;color:#555}"
)


@dataclass(frozen=True)
class Column:
    """A figure of a row: its heading, its path in the JSON, and a test for good values, if a range is known."""

    title: str
    path: tuple[str, ...]
    good: Callable[[float], bool] | None = None


def _between(low: float, high: float) -> Callable[[float], bool]:
    return lambda value: low <= value <= high


COLUMNS = (
    Column("lips r", ("follows", "r"), lambda r: r >= 0.5),
    Column("lag ms", ("follows", "lag_ms"), _between(-40, 40)),
    Column("spread", ("follows", "spread"), _between(0.85, 1.15)),
    Column("sync conf.", ("sync", "confidence")),
    Column("sync dist.", ("sync", "distance")),
    Column("sync ms", ("sync", "offset_ms"), _between(-80, 80)),
    Column("blinks/min", ("eyes", "per_minute"), _between(5, 40)),
    Column("blink ms", ("eyes", "ms"), _between(60, 240)),
    Column("shut to", ("eyes", "least"), lambda x: x <= 0.4),
    Column("pitch sd", ("head", "pitch_spread"), _between(*REAL["pitch_spread"])),
    Column("yaw sd", ("head", "yaw_spread"), _between(*REAL["yaw_spread"])),
    Column("roll sd", ("head", "roll_spread")),
    Column("yaw °/s", ("head", "yaw_speed"), _between(*REAL["yaw_speed"])),
    Column("loudness r", ("head", "loudness_r"), _between(*REAL["loudness_r"])),
    Column("beats", ("head", "beats")),
    Column("jitter", ("jitter",)),
    Column("like, rest", ("likeness", "rest")),
    Column("like, motion", ("likeness", "motion")),
    Column("sharp, rest", ("likeness", "sharp_rest")),
    Column("sharp, motion", ("likeness", "sharp_motion")),
    Column("ms sound", ("milliseconds", "sound")),
    Column("ms picture", ("milliseconds", "picture")),
)


def card_of(about: Mapping[str, str], rows: Sequence[Row], phones: Sequence[str]) -> dict[str, Any]:
    """Return the card's JSON. about: version, engines, machine; phones: lines of the phone table."""
    return {"format": FORMAT, "about": dict(about), "rows": [asdict(row) for row in rows], "phones": list(phones)}


def read_card(path: Path) -> dict[str, Any]:
    """Read a card's JSON. Raises MediaError: the file is not a score card."""
    try:
        if path.stat().st_size > _LARGEST:
            raise MediaError(f"{path}: {path.stat().st_size} bytes are too many for a score card")
        card = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise MediaError(f"{path}: no score card ({error})") from error
    if not isinstance(card, dict) or card.get("format") != FORMAT or not isinstance(card.get("rows"), list):
        raise MediaError(f"{path}: no score card of format {FORMAT}; `make score` writes one")
    return card


def write_page(
    path: Path, card: Mapping[str, Any], speakers: Sequence[Speaker], before: Mapping[str, Any] | None
) -> None:
    """Write the HTML page atomically."""
    about = ", ".join(f"{key} {value}" for key, value in card["about"].items())
    parts = [f"<h1>Score card</h1><p>{html.escape(about)}</p>", _table(card["rows"])]
    if before is not None:
        then = ", ".join(f"{key} {value}" for key, value in before["about"].items())
        parts.append(
            f"<h2>Change since {html.escape(then)}</h2>{_table(changes(before['rows'], card['rows']), signed=True)}"
        )
    if card["phones"]:
        parts.append(f"<h2>Phones</h2><pre>{html.escape(chr(10).join(card['phones']))}</pre>")
    parts.append("<h2>Pictures</h2>")
    parts += [_figures(speaker) for speaker in speakers]
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Score card</title><style>{_STYLE}</style>'
    with replacing(path) as partial:
        partial.write_text(f"{head}<body>{''.join(parts)}</body></html>", "utf-8")


def changes(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return rows of differences for the faces and sounds in both cards; figures missing in either are left out."""
    known = {(row["face"], row["sound"]): row for row in before}
    found = []
    for row in after:
        old = known.get((row["face"], row["sound"]))
        if old is None:
            continue
        change: dict[str, Any] = {"face": row["face"], "sound": row["sound"]}
        for column in COLUMNS:
            now, then = _value(row, column.path), _value(old, column.path)
            if now is not None and then is not None:
                _put(change, column.path, round(now - then, 3))
        found.append(change)
    return found


def _table(rows: Sequence[Mapping[str, Any]], signed: bool = False) -> str:
    shown = [c for c in COLUMNS if any(_value(row, c.path) is not None for row in rows)]
    head = "".join(f"<th>{html.escape(title)}</th>" for title in ("face", "sound", *(c.title for c in shown)))
    lines = []
    for row in rows:
        cells = f"<td>{html.escape(str(row['face']))}</td><td>{html.escape(str(row['sound']))}</td>"
        lines.append(f"<tr>{cells}{''.join(_cell(_value(row, c.path), c, signed) for c in shown)}</tr>")
    return f"<table><tr>{head}</tr>{''.join(lines)}</table>"


def _cell(value: float | None, column: Column, signed: bool) -> str:
    if value is None:
        return "<td></td>"
    bad = not signed and column.good is not None and not column.good(value)
    return f"<td{' class=out' if bad else ''}>{value:{'+g' if signed else 'g'}}</td>"


def _value(row: Mapping[str, Any], path: tuple[str, ...]) -> float | None:
    found: Any = row
    for part in path:
        found = found.get(part) if isinstance(found, Mapping) else None
    return float(found) if isinstance(found, int | float) else None


def _put(row: dict[str, Any], path: tuple[str, ...], value: float) -> None:
    for part in path[:-1]:
        row = row.setdefault(part, {})
    row[path[-1]] = value


def _figures(speaker: Speaker) -> str:
    turned = " ".join(f"{yaw:+g}°" for yaw in VIEWS)
    name = html.escape(f"{speaker.row.face}, {speaker.row.sound}")
    return _figure(speaker.pictures, f"{name}: portrait, at rest, widest, farthest") + _figure(
        speaker.views, f"yaw {turned}"
    )


def _figure(pictures: Sequence[ByteArray], caption: str) -> str:
    strip = np.concatenate(list(pictures), axis=1)
    done, data = cv2.imencode(".jpg", np.ascontiguousarray(strip[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 88])
    if not done:
        raise MediaError("a picture of the card could not be encoded")
    text = base64.b64encode(data.tobytes()).decode()
    return (
        f'<figure><img alt="{caption}" src="data:image/jpeg;base64,{text}"><figcaption>{caption}</figcaption></figure>'
    )
