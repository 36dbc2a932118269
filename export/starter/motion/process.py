"""Head motion from speech with known phones: a parametric process in 46 styles.

Its rules follow publications on head motion in conversation:

- heads move almost all the time during speech and little during silence; speech after a long pause begins with a wide,
  straight movement, a phrase ends with one of medium size, loud peaks come with sharp ones (Hadar et al. 1983,
  "Kinematics of head movements accompanying speech during conversation", and later reports);
- pitch accents come with nods, some with an overshoot, some as a swing to a side (Graf et al. 2002, "Visual prosody:
  facial movements accompanying speech"), and the head follows the voice's level and pitch (Munhall et al. 2004, "Visual
  prosody and speech intelligibility"; Busso et al. 2007, "Rigid head motion in expressive speech animation");
- nods come at the last syllable before a strong boundary, tilts at weak ones (Ishi et al. 2014, "Analysis of
  relationship between head motion events and speech in dialogue conversations").

Amplitude and speed are set so that the styles cover the ranges measured on real speakers: standard deviations of 0.7 to
9.9 degrees of yaw and 2.2 to 6.8 degrees of pitch, 95 % of yaw speeds below 21 to 86 degrees/s, and a correlation of
0.28 to 0.64 between pitch and loudness. No recording is used. The process knows the future sound; the network trained
on it does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from export.starter.motion.prosody import Phrase, Prosody
from streamer.core.rates import FPS
from streamer.stages.life.idle_pose import LIMITS

STYLES = 46
PITCH, YAW, ROLL, TX, TY, TZ = range(6)
STRONG_PAUSE = 0.55  # s: a pause of this length is a strong boundary
SILENT_TURNS = 0.25  # turns a second during silence
SILENT_SPREAD = 0.45  # spread during silence, relative to that during speech
_SEED = 46  # of the styles, which are part of the network's interface and never change

Track = NDArray[np.float64]


@dataclass(frozen=True)
class Style:
    """How a person moves: degrees, seconds, probabilities.

    spread: standard deviation of a turn's target, in pitch, yaw and roll. turns: number a second of speech. quickness:
    of a turn; 1 takes 0.4 s for 5 degrees. lift: rise of the head in degrees from silence to full voice. nod: depth;
    nods: probability at an accent. ends: probability of a nod at a strong boundary; tilts: of a tilt at a weak one.
    swing: share of the nods that go to a side. bias: mean pitch, yaw and roll. sway: amplitude of the slow drift.
    """

    spread: tuple[float, float, float]
    turns: float
    quickness: float
    lift: float
    nod: float
    nods: float
    ends: float
    tilts: float
    swing: float
    bias: tuple[float, float, float]
    sway: float


AVERAGE = Style((2.6, 4.8, 1.6), 1.1, 1.35, 8.0, 4.2, 0.6, 0.5, 0.35, 0.3, (0.0, 0.0, 0.0), 0.5)


def styles() -> tuple[Style, ...]:
    """Return the styles: first the average person, then people spread evenly over the ranges (a Latin hypercube)."""
    rng = np.random.default_rng(_SEED)
    ranks = np.stack([rng.permutation(STYLES - 1) for _ in range(14)], axis=1)
    people = [_person((row + 0.5) / (STYLES - 1)) for row in ranks]
    return (AVERAGE, *people)


def _person(u: Track) -> Style:
    def between(index: int, low: float, high: float) -> float:
        return float(low + (high - low) * u[index])

    return Style(
        (between(0, 1.6, 4.2), between(1, 1.4, 8.5), between(2, 0.6, 2.6)),
        between(3, 0.6, 1.5),
        between(4, 0.9, 1.9),
        between(5, 5.0, 12.0),
        between(6, 2.0, 6.0),
        between(7, 0.3, 0.9),
        between(8, 0.2, 0.8),
        between(9, 0.1, 0.7),
        between(10, 0.0, 0.6),
        (between(11, -1.2, 1.2), between(12, -2.0, 2.0), between(13, -1.6, 1.6)),
        between(0, 0.3, 0.8),
    )


def motion(rng: np.random.Generator, style: Style, said: Prosody) -> Track:
    """Compute one person's pose through a take: [n, 6], degrees and fractions of half the picture's width."""
    count = len(said.level)
    pose = np.zeros((count, 6))
    _turn(rng, style, said, pose)
    _sway(rng, style, said, pose)
    _lift(rng, style, said, pose)
    for at in said.accents:
        if rng.random() < style.nods:
            _nod(rng, style, at, pose)
    for phrase in said.phrases:
        _end(rng, style, phrase, pose)
    return LIMITS * np.tanh(pose / LIMITS)


def _turn(rng: np.random.Generator, style: Style, said: Prosody, pose: Track) -> None:
    """Turn the head from one random target to the next along minimum-jerk paths (Flash and Hogan 1985)."""
    spread, bias = np.array(style.spread), np.array(style.bias)
    at, now = 0.0, np.zeros(3)
    begins = [p.start for p in said.phrases if p.before > STRONG_PAUSE]
    while at < len(pose) / FPS:
        speaking = any(p.start - 0.2 <= at < p.end for p in said.phrases)
        wide = any(abs(at - b) < 0.01 for b in begins)
        scale = (1.25 if wide else 1.0) if speaking else SILENT_SPREAD
        target = bias + scale * spread * np.clip(rng.standard_normal(3), -2, 2)
        target[0] *= 0.6 if target[0] > 0 else 1.0  # a lowered head looks stern
        target[2] += 0.22 * target[1]  # a turning head tilts a little
        _move(pose, at, target - now, style.quickness * (1.0 if speaking else 0.6))
        now = target
        later = at + max(0.3, float(rng.exponential(1 / (style.turns if speaking else SILENT_TURNS))))
        starts = [b for b in begins if at + 0.01 < b - float(rng.uniform(0.0, 0.01)) <= later]
        at = starts[0] if starts else later


def _move(pose: Track, at: float, change: Track, quickness: float) -> None:
    """Add a step of `change` that begins at `at` seconds; large ones take longer."""
    seconds = (0.22 + 0.036 * float(np.abs(change).max())) / quickness
    u = np.clip((np.arange(len(pose)) / FPS - at) / seconds, 0, 1)
    pose[:, :3] += (u**3 * (10 - 15 * u + 6 * u * u))[:, None] * change


def _sway(rng: np.random.Generator, style: Style, said: Prosody, pose: Track) -> None:
    """Add slow noise below 1 Hz: a head is never quite still, and the trunk carries it along."""
    count = len(pose)
    noise = gaussian_filter1d(rng.standard_normal((count + 200, 6)), 0.35 * FPS, axis=0)[100:-100]
    noise /= max(float(noise.std()), 1e-6)
    busy = 0.5 + 0.5 * gaussian_filter1d(said.level, 0.5 * FPS)
    pose += busy[:, None] * noise * np.array([*(style.sway * np.array([0.8, 1.0, 0.6])), 0.006, 0.004, 0.006])


def _lift(rng: np.random.Generator, style: Style, said: Prosody, pose: Track) -> None:
    """Raise the head with the voice's loudness, slightly before or after it."""
    lift = np.roll(gaussian_filter1d(said.loudness, 0.11 * FPS), int(rng.integers(-1, 2)))
    usual = gaussian_filter1d(said.loudness, 1.4 * FPS)  # in a long silence the head returns to its mean pose
    pose[:, PITCH] -= style.lift * float(rng.uniform(0.8, 1.2)) * (lift - usual)


def _nod(rng: np.random.Generator, style: Style, at: float, pose: Track) -> None:
    """Nod down and up at an accent, often with an overshoot, or as a swing to a side if the style has it."""
    depth = style.nod * float(rng.uniform(0.5, 1.4))
    width = float(rng.uniform(0.09, 0.15)) / style.quickness**0.5
    t = (np.arange(len(pose)) / FPS - at - float(rng.uniform(0.0, 0.08))) / width
    bump = np.exp(-0.5 * t * t)
    if rng.random() < 0.6:
        bump -= 0.5 * np.exp(-0.5 * (t + 2.2) ** 2)
    if rng.random() < style.swing:
        side = float(rng.choice((-1.0, 1.0)))
        pose[:, YAW] += 0.8 * side * depth * bump
        pose[:, ROLL] += 0.3 * side * depth * bump
        depth *= 0.4
    pose[:, PITCH] += depth * bump


def _end(rng: np.random.Generator, style: Style, phrase: Phrase, pose: Track) -> None:
    """Nod at the last syllable before a strong boundary, or tilt the head for a while at a weak one."""
    if phrase.after >= STRONG_PAUSE:
        if rng.random() < style.ends:
            _nod(rng, style, phrase.end - 0.1, pose)
    elif rng.random() < style.tilts:
        tilt = float(rng.choice((-1.0, 1.0))) * style.spread[2] * float(rng.uniform(0.8, 1.8))
        _move(pose, phrase.end - 0.2, np.array([0.0, 0.0, tilt]), 1.0)
        _move(pose, phrase.end + float(rng.uniform(0.6, 1.6)), np.array([0.0, 0.0, -tilt]), 1.0)
