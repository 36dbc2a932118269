"""Matting of a person in a portrait without a dedicated network: from position, colour and edges.

Position is relative to the face; colours are those that only the person or only the background has. Several hypotheses
about hair and shoulders are evaluated at small size, each in rounds of learning colours and diffusing the result. The
hypothesis whose outline follows edges of the picture is usually right. Then, at full size, follow a graph cut in a band
around its outline (Rother et al. 2004, "GrabCut") and a guided filter for a soft edge.
"""

from __future__ import annotations

import cv2
import numpy as np

from streamer.core.errors import PhotoError
from streamer.core.frames import ByteArray, FloatArray
from streamer.vision.landmarks import shared_landmarker
from streamer.vision.matting_prior import BROAD_SHOULDERS, NARROW_SHOULDERS, FacePlace, Mask, log_odds
from streamer.vision.matting_tools import Doubles, Mixture, guided_filter, local_log_density, random_walk

SMALL = 128  # pixels per side at which hypotheses are evaluated
SUPPOSED = (
    (NARROW_SHOULDERS, 0.0, 1.0),
    (NARROW_SHOULDERS, 0.5, 1.0),
    (BROAD_SHOULDERS, 0.0, 1.0),
    (BROAD_SHOULDERS, 1.0, 1.0),
    (BROAD_SHOULDERS, -0.5, 1.35),
)
ROUNDS = 6
FIRST_ROUNDS = 2  # rounds that learn the person's colours only from places that surely belong to the person
SAMPLES = 3000
FOREGROUND, BACKGROUND = 8, 6  # clusters of colour
PLACE_WEIGHT = (12.0, 5.0)  # of x and y (shares of the side) relative to L, a, b: backgrounds vary across the picture
UNSEEN = (0.10, 0.05)  # share of unseen colours, for person and background: an unusual colour counts as the person
SURE_PLACE = 1.8
REACH, LEAST_VARIANCE = 0.08, 8.0  # of the known background's colour
COLOUR_WEIGHT, MOST_EVIDENCE = 0.7, 5.0
TRUST = 0.1
BAND = 0.05  # of the side: the largest shift of the outline by the graph cut
BODY = 0.9  # face heights below its middle: from here down to the picture's edge, all is clothes
HOLE = 0.02  # of the picture: holes in the person up to this size are filled
SOFT_BAND, SOFT_RADIUS, SMOOTHNESS = 0.02, 1 / 64, 3e-4


def cut_out(picture: ByteArray, landmarks: FloatArray | None = None) -> FloatArray:
    """Return the matte, float32 [S, S] in 0..1, of the person in a portrait uint8 [S, S, 3].

    The face is always opaque. landmarks: [478, 2+] in the picture's pixels; detected if not given.
    """
    size = picture.shape[0]
    face = _find_face(picture) if landmarks is None else FacePlace.of(landmarks)
    small = np.asarray(cv2.resize(picture, (SMALL, SMALL), interpolation=cv2.INTER_AREA), np.uint8)
    guess = _best_guess(small, face.scaled(SMALL / size))
    person = cv2.resize(guess.astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC) > 0.5
    surely = face.inside(size)
    person = _in_one_piece(_graph_cut(picture, person | surely, surely), surely)
    person = _to_the_edge(person, face)
    return _soft_edge(picture, person, surely)


def _find_face(picture: ByteArray) -> FacePlace:
    try:
        faces = shared_landmarker().find(picture)
    except PhotoError:  # the landmark models are not installed
        faces = []
    return FacePlace.of(faces[0].points) if faces else FacePlace.usual(picture.shape[0])


def _best_guess(picture: ByteArray, face: FacePlace) -> Doubles:
    lab = np.asarray(cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2Lab), np.float32)
    guesses = [_follow(lab, face, *supposed) for supposed in SUPPOSED]
    return max(guesses, key=lambda guess: _contrast(lab, guess))


def _follow(lab: FloatArray, face: FacePlace, shoulders: tuple[float, ...], doubt: float, mane: float) -> Doubles:
    """Return the probability of the person, [S, S], under one hypothesis."""
    size = lab.shape[0]
    across, up = face.coordinates(size)
    place = log_odds(across, up, shoulders, doubt, mane)
    surely = face.inside(size)
    y, x = np.mgrid[:size, :size] / size
    features = np.dstack([lab, x * PLACE_WEIGHT[0], y * PLACE_WEIGHT[1]]).reshape(-1, 5).astype(np.float64)
    behind = rim = _rim(place, up)
    inside = (place > SURE_PLACE) + 0.5 * surely
    random = np.random.default_rng(0)
    person: Doubles = inside.astype(np.float64)
    for count in range(ROUNDS):
        weight = inside if count < FIRST_ROUNDS else person**4
        models = [
            Mixture.fit(features[random.choice(size * size, SAMPLES, p=share.ravel() / share.sum())], clusters, 2.0)
            for share, clusters in ((weight, FOREGROUND), (behind, BACKGROUND))
        ]
        evidence = _evidence(lab, features, models, behind)
        odds = np.where(surely, 8, place + evidence)
        likely = 1 / (1 + np.exp(-odds))
        trust = np.where(surely, 10, (2 * likely - 1) ** 2 * TRUST + 1e-4)
        person = random_walk(_unspotted(lab), likely, trust)
        behind = np.maximum(rim * (person < 0.8), (1 - 3 * person).clip(0, 1)) + 1e-9
    return person


def _rim(place: FloatArray, up: FloatArray) -> Doubles:
    """Return the region known to be background: at the picture's edge, beside and above the head."""
    size = place.shape[0]
    edge = np.zeros(place.shape, bool)
    width = size // 10
    edge[:width] = edge[:, :width] = edge[:, -width:] = True
    rim = (place < -1.5) & edge & (up > -0.35)
    if rim.mean() < 0.01:  # the face fills the picture
        rim = place <= np.quantile(place, 0.05)
    return rim.astype(np.float64)


def _evidence(lab: FloatArray, features: Doubles, models: list[Mixture], behind: Doubles) -> Doubles:
    """Return the log odds of the person by colour."""
    volume = np.log(100 * 80 * 80 * PLACE_WEIGHT[0] * PLACE_WEIGHT[1])
    person, background = (
        np.logaddexp(model.log_density(features) + np.log(1 - unseen), np.log(unseen) - volume).reshape(lab.shape[:2])
        for model, unseen in zip(models, UNSEEN, strict=True)
    )
    nearby = local_log_density(lab, np.asarray(behind**2, np.float32), REACH * lab.shape[0], LEAST_VARIANCE)
    background = np.logaddexp(background, nearby - np.log(PLACE_WEIGHT[0] * PLACE_WEIGHT[1]))
    return np.asarray(COLOUR_WEIGHT * (person - background)).clip(-MOST_EVIDENCE, MOST_EVIDENCE)


def _unspotted(lab: FloatArray) -> FloatArray:
    return np.asarray(cv2.GaussianBlur(lab, (0, 0), 0.6), np.float32)


def _contrast(lab: FloatArray, guess: Doubles) -> float:
    """Return how much the colour changes across the outline, 0..1; the picture's edge does not count."""
    reach = lab.shape[0] / 64
    person = (guess > 0.5).astype(np.float32)

    def mean(weight: FloatArray) -> FloatArray:
        total = cv2.GaussianBlur(weight, (0, 0), reach)[..., None] + np.float32(1e-3)
        return np.asarray(cv2.GaussianBlur(lab * weight[..., None], (0, 0), reach) / total, np.float32)

    change = np.linalg.norm(mean(person) - mean(1 - person), axis=-1)
    outline = (person > 0) & (cv2.erode(person, np.ones((3, 3))) == 0)
    outline[[0, -1]] = outline[:, [0, -1]] = False
    return float((change[outline] / 15).clip(0, 1).mean()) if outline.any() else 0.0


def _graph_cut(picture: ByteArray, person: Mask, surely: Mask) -> Mask:
    size = picture.shape[0]
    inner, outer = _band(person, max(2, round(BAND * size)))
    marks = np.where(person, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    marks[inner | surely] = cv2.GC_FGD
    marks[~outer] = cv2.GC_BGD
    if outer.all() or not (marks == cv2.GC_PR_BGD).any():
        return person
    cv2.setRNGSeed(0)
    bgr = np.ascontiguousarray(picture[..., ::-1])
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(bgr, marks, (0, 0, size, size), *models, 3, cv2.GC_INIT_WITH_MASK)
    return np.isin(marks, (cv2.GC_FGD, cv2.GC_PR_FGD))


def _band(person: Mask, radius: int) -> tuple[Mask, Mask]:
    """Return the person without and with a band around the outline; the mask extends beyond the picture's edge."""
    wider = cv2.copyMakeBorder(person.astype(np.uint8), *(4 * (radius,)), cv2.BORDER_REPLICATE)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    inner, outer = (change(wider, disc)[radius:-radius, radius:-radius] > 0 for change in (cv2.erode, cv2.dilate))
    return inner, outer


def _in_one_piece(person: Mask, surely: Mask) -> Mask:
    """Keep only the parts connected to the face, and fill holes."""
    labels = cv2.connectedComponents(person.astype(np.uint8), connectivity=4)[1]
    whole = np.isin(labels, np.unique(labels[surely & person]))
    count, labels, stats, _ = cv2.connectedComponentsWithStats((~whole).astype(np.uint8), connectivity=4)
    size = person.shape[0]
    for label in range(1, count):
        left, top, width, height, area = stats[label]
        enclosed = left > 0 and top > 0 and left + width < size and top + height < size
        if area < (HOLE if enclosed else HOLE / 16) * person.size:
            whole[labels == label] = True
    return whole


def _to_the_edge(person: Mask, face: FacePlace) -> Mask:
    """Count everything below the shoulders as the body."""
    _, up = face.coordinates(person.shape[0])
    return person | np.logical_or.accumulate(person & (up < -BODY), axis=0)


def _soft_edge(picture: ByteArray, person: Mask, surely: Mask) -> FloatArray:
    size = picture.shape[0]
    inner, outer = _band(person, max(2, round(SOFT_BAND * size)))
    guide = picture.astype(np.float32) / np.float32(255)
    soft = guided_filter(guide, person.astype(np.float32), max(2, round(SOFT_RADIUS * size)), SMOOTHNESS)
    matte = np.where(outer & ~inner, ((soft - 0.1) / 0.8).clip(0, 1), person)
    return np.asarray(np.where(surely, 1, matte), np.float32)
