"""Convert timed phones to viseme fields, 25 a second: hand-written mouth shapes and a dominance model.

Every phoneme class has a target per articulator (jaw, lip height, lip contact, rounding, spread, tongue) and a
dominance: its weight. Targets of all neighbours are mixed, weighted by dominance that falls off exponentially
before and after each phone, separately per articulator (Cohen & Massaro 1993, "Modeling coarticulation in synthetic
visual speech"). So rounding spreads over the consonants before it, and /t/ and /k/ take the lip shape of their vowels.
Lip contact (/p b m/) and the tucked lip of /f v/ are not mixed but always fully reached. The figures are hand-chosen
for a rig whose lips meet at neutral, whose jawOpen 1.0 opens them by 0.69 of the mouth's width, and whose pucker is
weak.

Convention: value i of a track is the shape at time (i + 0.5) * 40 ms.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.starter.voices.speech import BREATH, SILENCE, Phone
from streamer.avatar.mouth_fit import TUCKED
from streamer.core.rates import FPS

ARTICULATORS = ("jaw", "height", "round", "spread")
MIXED = {
    "jaw": ("jaw",), "height": ("lower", "upper"), "round": ("pucker", "funnel"), "spread": ("stretch", "smile"),
}  # fmt: skip
# Lips together; lower lip under the upper teeth; silence; tongue between the teeth.
REACHED = ("contact", "tuck", "rest", "tongue")
FIELDS = ("jaw", "lower", "upper", "pucker", "funnel", "stretch", "smile", "tongue", "contact", "tuck", "rest")
# Seconds for an articulator's dominance to fall to 1/e before (anticipation) and after (carry-over) its phone.
AHEAD = {"jaw": 0.060, "height": 0.060, "round": 0.090, "spread": 0.070}
AFTER = {"jaw": 0.065, "height": 0.065, "round": 0.070, "spread": 0.070}
LIP_TRAVEL = 0.080  # s for the lips to meet, and to part
SETTLE = 0.16  # s for a mouth to come to rest after speech
READY = 0.14  # s before speech at which the mouth starts to leave rest
EDGE = 0.2  # share of a phone at either side that is transition, not hold
RELEASE = 0.65  # share of a stop that is closure; the burst follows


@dataclass(frozen=True)
class Viseme:
    """Targets 0..1 and dominances of one phoneme class; a dominance of 0 leaves the articulator to the neighbours."""

    jaw: float = 0.0
    lower: float = 0.0  # mouthLowerDown: shows the lower teeth
    upper: float = 0.0  # mouthUpperUp
    contact: float = 0.0  # 1: lips together
    tuck: float = 0.0  # lower lip under the upper teeth
    rest: float = 0.0  # 1: shut, whatever the other targets
    pucker: float = 0.0
    funnel: float = 0.0
    stretch: float = 0.0
    smile: float = 0.0
    tongue: float = 0.0
    dominance: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    stop: bool = False  # held only until its release


# dominance: jaw, height, round, spread
_VOWEL = (1.0, 1.0, 1.0, 1.0)
_ROUNDED = (1.0, 1.0, 1.8, 1.0)
_LAX = (0.6, 0.6, 0.4, 0.4)
_ALVEOLAR = (0.9, 0.7, 0.15, 0.3)
_SIBILANT = (2.5, 1.5, 0.3, 0.6)
_VELAR = (0.35, 0.2, 0.1, 0.1)
_BILABIAL = (0.7, 0.5, 0.3, 0.3)
_REST = (0.9, 0.9, 0.6, 0.6)

VISEMES: dict[str, Viseme] = {
    "rest": Viseme(rest=1.0, smile=0.06, dominance=_REST),
    "a": Viseme(jaw=0.50, lower=0.40, upper=0.24, stretch=0.06, dominance=_VOWEL),
    "ae": Viseme(jaw=0.42, lower=0.46, upper=0.30, stretch=0.22, smile=0.08, dominance=_VOWEL),
    "aw": Viseme(jaw=0.44, lower=0.26, upper=0.10, funnel=0.42, pucker=0.20, dominance=_ROUNDED),
    "eh": Viseme(jaw=0.32, lower=0.42, upper=0.26, stretch=0.22, smile=0.08, dominance=_VOWEL),
    "e": Viseme(jaw=0.24, lower=0.44, upper=0.26, stretch=0.28, smile=0.12, dominance=_VOWEL),
    "i": Viseme(jaw=0.12, lower=0.46, upper=0.26, stretch=0.34, smile=0.18, dominance=_VOWEL),
    "ih": Viseme(jaw=0.18, lower=0.38, upper=0.22, stretch=0.20, smile=0.08, dominance=_VOWEL),
    "uh": Viseme(jaw=0.24, lower=0.32, upper=0.16, stretch=0.04, dominance=_LAX),
    "uhh": Viseme(jaw=0.36, lower=0.36, upper=0.20, stretch=0.06, dominance=_VOWEL),
    "o": Viseme(jaw=0.28, lower=0.10, funnel=0.64, pucker=0.70, dominance=_ROUNDED),
    "u": Viseme(jaw=0.16, lower=0.02, funnel=0.70, pucker=1.00, dominance=_ROUNDED),
    "uu": Viseme(jaw=0.19, lower=0.06, funnel=0.60, pucker=0.85, dominance=_ROUNDED),
    "y": Viseme(jaw=0.10, lower=0.08, funnel=0.50, pucker=0.90, dominance=_ROUNDED),
    "w": Viseme(jaw=0.12, funnel=0.50, pucker=1.00, dominance=(2.5, 2.5, 2.4, 1.0)),
    "breath": Viseme(jaw=0.30, lower=0.28, upper=0.12, dominance=_VOWEL),
    "m": Viseme(contact=1.0, dominance=_BILABIAL),
    "p": Viseme(contact=1.0, dominance=_BILABIAL, stop=True),
    "f": Viseme(jaw=0.14, upper=0.34, tuck=1.0, dominance=(1.8, 1.8, 0.3, 0.5)),
    "s": Viseme(jaw=0.08, lower=0.52, upper=0.32, stretch=0.20, smile=0.06, funnel=0.06, dominance=_SIBILANT),
    "sh": Viseme(jaw=0.10, lower=0.20, upper=0.14, funnel=0.72, pucker=0.40,
                 dominance=(6.0, 5.0, 3.0, 0.8)),
    "t": Viseme(jaw=0.12, lower=0.38, upper=0.22, stretch=0.10, dominance=_ALVEOLAR),
    "l": Viseme(jaw=0.20, lower=0.34, upper=0.20, stretch=0.06, tongue=0.30, dominance=_ALVEOLAR),
    "th": Viseme(jaw=0.16, lower=0.40, upper=0.20, stretch=0.06, tongue=0.80,
                 dominance=(1.4, 1.0, 0.2, 0.3)),
    "r": Viseme(jaw=0.13, lower=0.18, upper=0.10, funnel=0.46, pucker=0.36,
                dominance=(0.9, 0.9, 0.9, 0.5)),
    "k": Viseme(jaw=0.22, lower=0.30, upper=0.16, dominance=_VELAR),
    "h": Viseme(jaw=0.26, lower=0.32, upper=0.18, dominance=(0.15, 0.15, 0.05, 0.05)),
    "j": Viseme(jaw=0.14, lower=0.40, upper=0.22, stretch=0.26, smile=0.12,
                dominance=(0.8, 0.7, 0.4, 0.6)),
}  # fmt: skip

_CLASS_OF = {
    "a": "aäɑɐ", "ae": "æ", "aw": "ɔɒ", "eh": "ɛ", "e": "e", "i": "i", "ih": "ɪɨ", "uh": "əɜɘɯᵻ", "uhh": "ʌɤɝɚ",
    "o": "oɵ", "u": "u", "uu": "ʊʉ", "y": "yøœʏɶ", "w": "wɥʍ", "m": "m", "p": "pbɓβ", "f": "fvʋɱɸ", "s": "szɕʑ",
    "sh": "ʃʒʂʐ", "t": "tdnɾɽɳʈɖɲȵ", "l": "lɫɭʎɬ", "th": "θð", "r": "ɹɻɚɝ", "k": "kɡgŋqxɣχʁrɢcɟçʀħʕɴ", "h": "hɦʔ?",
    "j": "jʝ", "breath": BREATH,
}  # fmt: skip
CLASS_OF_LETTER = {letter: name for name, letters in _CLASS_OF.items() for letter in letters}
VOWELS = frozenset(("a", "ae", "aw", "eh", "e", "i", "ih", "uh", "uhh", "o", "u", "uu", "y"))


def classify(symbol: str) -> list[str]:
    """Return the classes of an IPA symbol in order: one for most, two for diphthongs, none for a bare modifier.

    An affricate is its fricative: lips take the shape of /ʃ/ already during the closure of /tʃ/.
    """
    if symbol == SILENCE:
        return ["rest"]
    base = [c for c in unicodedata.normalize("NFD", symbol) if not unicodedata.combining(c)]
    classes = [CLASS_OF_LETTER[c] for c in base if c in CLASS_OF_LETTER]
    if len(classes) > 1 and classes[0] == "t" and classes[1] in ("s", "sh"):
        return classes[1:]
    if len(classes) > 1 and classes[1] == "h":  # an aspirated stop
        return classes[:1]
    return classes


@dataclass(frozen=True)
class Segment:
    """A viseme held from `start` to `end` (s); `effort` scales how far vowels open."""

    name: str
    start: float
    end: float
    effort: float = 1.0


def segments(phones: Sequence[Phone], effort: Sequence[float] | None = None) -> list[Segment]:
    """Convert phones to held visemes: split diphthongs, shorten pauses, hold stops until release."""
    held: list[Segment] = []
    for index, phone in enumerate(phones):
        names = classify(phone.symbol)
        length = phone.end - phone.start
        scale = 1.0 if effort is None else effort[index]
        if names == ["rest"]:
            start = phone.start + (SETTLE if index else 0.0)
            end = phone.end - (READY if index + 1 < len(phones) else 0.0)
            if end > start:  # in a shorter pause the mouth moves directly from neighbour to neighbour
                held.append(Segment("rest", start, end))
            continue
        for part, name in enumerate(names):
            start, end = phone.start + length * part / len(names), phone.start + length * (part + 1) / len(names)
            if VISEMES[name].stop:
                held.append(Segment(name, start, start + RELEASE * (end - start), scale))
            else:
                held.append(Segment(name, start + EDGE * (end - start), end - EDGE * (end - start), scale))
    return held or [Segment("rest", 0.0, phones[-1].end if phones else 0.0)]


def _dominance(held: Sequence[Segment], times: NDArray[np.float64], articulator: int) -> NDArray[np.float64]:
    """Compute normalised weights [segment, time] of every segment for one articulator."""
    name = ARTICULATORS[articulator]
    start = np.array([s.start for s in held])[:, None]
    end = np.array([s.end for s in held])[:, None]
    strength = np.array([VISEMES[s.name].dominance[articulator] for s in held])[:, None]
    fall = np.maximum(start - times, 0) / AHEAD[name] + np.maximum(times - end, 0) / AFTER[name]
    fall -= fall.min(axis=0)  # far from all segments the nearest one decides, without underflow
    weight = (strength + 1e-9) * np.exp(-fall)
    return np.asarray(weight / weight.sum(axis=0), dtype=np.float64)


def _mix(
    held: Sequence[Segment], times: NDArray[np.float64], contact_times: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Compute each viseme field over time, before lip contact; fields in REACHED have separate times."""
    mixed = {}
    for index, articulator in enumerate(ARTICULATORS):
        weight = _dominance(held, times, index)
        for field in MIXED[articulator]:
            target = np.array([getattr(VISEMES[s.name], field) for s in held])
            if articulator in ("jaw", "height"):
                target = target * np.array([s.effort if s.name in VOWELS else 1.0 for s in held])
            mixed[field] = target @ weight
    for field in REACHED:
        mixed[field] = _reach(held, field, contact_times)
    return mixed


def _reach(held: Sequence[Segment], field: str, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute a field over time: its full target while a segment that has one is held, falling to 0 over LIP_TRAVEL
    before and after. Closures are always fully reached."""
    reached = np.zeros_like(times)
    for segment in held:
        if target := getattr(VISEMES[segment.name], field):
            away = np.maximum(segment.start - times, 0) + np.maximum(times - segment.end, 0)
            reached = np.maximum(reached, target * smoothstep(0.0, 1.0, 1 - away / LIP_TRAVEL))
    return reached


def smoothstep(low: float, high: float, value: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 0 below `low`, 1 above `high`, smooth between."""
    x = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(x * x * (3 - 2 * x), dtype=np.float64)


def mouth_fields(
    phones: Sequence[Phone],
    frames: int,
    effort: Sequence[float] | None = None,
    lead: float = 0.0,
    contact_lead: float | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Compute viseme fields over time: one array [frames] for each of FIELDS.

    Args:
        phones: the speech, with times in seconds.
        frames: number of frames; value i is for (i + 0.5) / 25 s, plus `lead` seconds.
        effort: opening factor of vowels, one per phone (1 = plain).
        lead: lead of the mouth over the sound, in seconds.
        contact_lead: lead of lip contact and the tucked lip, in seconds; None means `lead`.
    """
    middles = (np.arange(frames) + 0.5) / FPS
    contact_times = middles + (lead if contact_lead is None else contact_lead)
    return _mix(segments(phones, effort), middles + lead, contact_times)


# A field is an articulator's position between its extremes in speech. The matching unit value depends on the rig: with
# these, the gaps between rendered lips match those of speakers, about 0.15 of the mouth's width for "sh", 0.3 for "a".
# JAW_YIELDS: in running speech the jaw misses wide targets by far more than narrow ones (Lindblom 1963, "Spectrographic
# study of vowel reduction"), and the lips part without it.
JAW, JAW_YIELDS, LIPS, PUCKER, STRETCH, TONGUE = 1.8, 2.5, 1.6, 1.35, 1.35, 0.9
# mouthFunnel alone opens the lips by 0.27; CLOSED_FUNNEL of mouthClose undoes that and leaves them round. Fully
# puckered lips, as in u and w, are nearly shut.
CLOSED_FUNNEL, CLOSED_PUCKER = 0.44, 0.06


def units(field: Mapping[str, Any]) -> dict[str, Any]:
    """Convert viseme fields to face units named without Left/Right, with closed lips at full contact.

    Uses plain arithmetic only: it works on numpy arrays and on tensors inside the exported graph.
    """
    tuck, speaking = field["tuck"], 1 - field["rest"]
    contact = field["contact"] * (1 - tuck)  # a lip at the teeth does not touch the other lip
    apart = speaking * (1 - contact)
    jaw = _bounded(JAW * field["jaw"] / (1 + JAW_YIELDS * field["jaw"]))
    jaw = (jaw * (1 - tuck) + TUCKED["jawOpen"] * tuck) * speaking * (1 - 0.85 * contact)
    funnel = field["funnel"] * apart * (1 - tuck)
    pucker = _bounded(PUCKER * field["pucker"]) * speaking
    return {
        "jawOpen": jaw,
        # On this rig, mouthClose equal to jawOpen exactly undoes jawOpen's parting of the lips.
        "mouthClose": jaw * contact + CLOSED_FUNNEL * funnel + CLOSED_PUCKER * pucker * pucker * apart * (1 - tuck),
        "mouthLowerDown": _bounded(LIPS * field["lower"]) * apart * (1 - tuck),
        "mouthUpperUp": (_bounded(LIPS * field["upper"]) * (1 - tuck) + TUCKED["mouthUpperUp"] * tuck) * apart,
        "mouthFunnel": funnel,
        "mouthPucker": pucker,
        "mouthPress": 0.30 * contact,
        "mouthRollLower": 0.16 * contact + TUCKED["mouthRollLower"] * tuck,
        "mouthRollUpper": 0.12 * contact,
        "mouthShrugLower": 0.12 * contact + TUCKED["mouthShrugLower"] * tuck,
        "mouthStretch": _bounded(STRETCH * field["stretch"]) * speaking * (1 - 0.6 * contact),
        "mouthSmile": field["smile"],
        "tongueOut": TONGUE * field["tongue"] * apart,
    }


def _bounded(value: Any) -> Any:
    """Limit to 1 by plain arithmetic."""
    return (value + 1 - abs(value - 1)) / 2


def unsided(name: str) -> str:
    """Strip the side from a unit's name: speech moves both sides alike."""
    return name.removesuffix("Left").removesuffix("Right")
