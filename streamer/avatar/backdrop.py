"""Replace the background of an avatar's pictures, using the matte computed once from its portrait.

The matte roughly follows the head by its keypoints. Only in a band around the outline is alpha then computed per pixel,
from the picture itself: the portrait's background does not move, so a pixel is a mixture of that background and of the
person's colour nearby, and the share of each can be solved for. The same share gives the person's colour without the
old background, which would otherwise shine around the hair.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.avatar.background import BLUR, TRANSPARENT, colour_of
from streamer.avatar.bundle import Avatar
from streamer.avatar.matte import matte_of
from streamer.avatar.matte_motion import MatteMotion
from streamer.core.frames import ByteArray, FloatArray
from streamer.core.pictures import scaled

BLUR_RADIUS = 0.035  # of the picture's side
BAND = 5 / 256  # of the side: distance from the outline, inside and outside, in which alpha is computed per pixel
FULLY = 0.08  # distance of the local matte mean from 0 or 1 for full weight in the band; a hard edge would flicker
HOLE = 2 / 256  # of the side: half a hole's size
WELL_WITHIN = (0.85, 0.95)  # local means of the matte between which closing holes fades in
NEARBY = 6 / 256  # of the side: over which the person's colour is averaged
LEAST_REACH = 3  # smallest averaging radius in pixels: it limits how far the picture is scaled down for this
TOO_ALIKE, ALIKE = 10.0, 20.0  # of 255: colour distances of person and background for no weight, and for about half
SEEN = 0.02  # share of certain person pixels nearby from which their colour is trusted
NOBODY, SOMEBODY = 0.08, 0.80  # solved shares taken as 0 and 1: hair and skin are not of one colour
SOLVED = (0.2, 0.6)  # shares of the person at which solving for its colour starts, and applies fully
LEAST_SHARE = 0.15
PLATE = 256  # side in pixels at which the background behind the person is filled in


@dataclass(frozen=True, eq=False)
class _Band:
    """The pixels around the outline: their flat indices in the picture, the person's shares and colours.

    within: how far each is inside the person by the matte, 0..1.
    """

    places: NDArray[np.intp]
    within: FloatArray
    shares: FloatArray
    colours: FloatArray


class Backdrop:
    """Puts one background behind the pictures of one avatar."""

    def __init__(
        self, portrait: ByteArray, matte: FloatArray, background: str, motion: MatteMotion | None = None
    ) -> None:
        """Prepare the background.

        portrait: uint8 [S, S, 3]; matte: float32 [S, S], 1 on the person; background: from `background.read`;
        motion: moves the matte with the head; without it, the head must be as in the portrait.
        """
        self._matte = matte
        self._motion = motion
        self._clean = clean_plate(portrait, matte)
        self._transparent = background == TRANSPARENT
        if background == BLUR:
            soft = cv2.GaussianBlur(self._clean, (0, 0), BLUR_RADIUS * portrait.shape[0])
            self._behind = np.asarray(soft + np.float32(0.5), np.float32).astype(np.uint8)
        elif not self._transparent:
            self._behind = np.full(portrait.shape, colour_of(background), np.uint8)
        self._width = 2 * max(1, round(BAND * portrait.shape[0])) + 1
        hole = 2 * max(1, round(HOLE * portrait.shape[0])) + 1
        self._disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (hole, hole))

    @classmethod
    def of(cls, avatar: Avatar, background: str, size: int) -> Backdrop:
        """Make the backdrop for pictures of `size` pixels a side. Raises BundleError: the matte is damaged."""
        motion = MatteMotion(avatar.constants, size)
        return cls(scaled(avatar.photo, size), matte_of(avatar, size), background, motion)

    def put(self, rgb: ByteArray, keypoints: FloatArray | None = None) -> ByteArray:
        """Return the picture on the background, uint8 [S, S, 3]; [S, S, 4] with straight alpha if it is transparent.

        keypoints: of the frame, [K, 3]; None for the portrait itself.
        """
        matte = self._matte
        if self._motion is not None and keypoints is not None:
            matte = self._motion.follow(matte, keypoints)
        band = self._band(rgb, matte)
        share = self._shares(matte, band)
        person = rgb.copy()
        person.reshape(-1, 3)[band.places] = (band.colours + np.float32(0.5)).astype(np.uint8)
        if self._transparent:
            return np.dstack([person, (share * 255 + np.float32(0.5)).astype(np.uint8)])
        return np.asarray(cv2.blendLinear(person, self._behind, share, 1 - share), np.uint8)

    def _shares(self, matte: FloatArray, band: _Band) -> FloatArray:
        share = matte.copy()
        flat = share.reshape(-1)
        flat[band.places] = band.shares
        if band.within.any():  # a person has no holes, even where a highlight looks like the background
            closed = cv2.morphologyEx(share, cv2.MORPH_CLOSE, self._disc, borderType=cv2.BORDER_REPLICATE).reshape(-1)
            flat[band.places] += (closed[band.places] - band.shares) * band.within
        return share

    def _band(self, rgb: ByteArray, matte: FloatArray) -> _Band:
        about = cv2.blur(matte, (self._width, self._width))
        # The places that the head left or entered count, too: it may have moved less than estimated.
        doubt = np.maximum(np.minimum(about, 1 - about) / FULLY, np.abs(matte - self._matte))
        places = np.flatnonzero(doubt > 0.02)
        known = matte.reshape(-1).take(places)
        nearby, sure = self._nearby(rgb, matte, places)
        behind = self._clean.reshape(-1, 3).take(places, 0)
        seen = rgb.reshape(-1, 3).take(places, 0).astype(np.float32)
        person = seen + (nearby - seen) * sure[:, None]
        apart = person - behind
        square = np.einsum("ij,ij->i", apart, apart)
        found = np.einsum("ij,ij->i", seen - behind, apart) / (square + 1)
        found = ((found - NOBODY) / (SOMEBODY - NOBODY)).clip(0, 1)
        doubt = np.minimum(doubt.reshape(-1).take(places), 1)
        told = doubt * sure * np.maximum(square - TOO_ALIKE**2, 0) / (square + ALIKE**2)
        shares = known + (found - known) * told
        part = shares[:, None]
        solved = ((seen - (1 - part) * behind) / np.maximum(part, LEAST_SHARE)).clip(0, 255)
        trust = ((part - SOLVED[0]) / (SOLVED[1] - SOLVED[0])).clip(0, 1)
        colours = np.asarray(person + (solved - person) * trust, np.float32)
        low, high = WELL_WITHIN
        within = ((about.reshape(-1).take(places) - low) / (high - low)).clip(0, 1)
        return _Band(places, np.asarray(within, np.float32), np.asarray(shares, np.float32), colours)

    def _nearby(self, rgb: ByteArray, matte: FloatArray, places: NDArray[np.intp]) -> tuple[FloatArray, FloatArray]:
        """Return the person's colour near each place, [n, 3], from pixels of the person only, and its confidence, [n].

        For speed, it works on a picture as small as the blur allows.
        """
        size = rgb.shape[0]
        reduced = max(2, int(NEARBY * size / LEAST_REACH))
        small = (size // reduced, size // reduced)
        alone = (cv2.resize(matte, small, interpolation=cv2.INTER_AREA) > 0.97).astype(np.float32)
        colours = cv2.resize(rgb, small, interpolation=cv2.INTER_AREA).astype(np.float32)
        reach = NEARBY / reduced * size
        summed = cv2.GaussianBlur(np.dstack([colours * alone[..., None], alone]), (0, 0), reach)
        whole = np.asarray(cv2.resize(summed, (size, size), interpolation=cv2.INTER_LINEAR), np.float32)
        found = whole.reshape(-1, 4).take(places, 0)
        return found[:, :3] / (found[:, 3:] + np.float32(1e-6)), (found[:, 3] / SEEN).clip(0, 1)


def clean_plate(portrait: ByteArray, matte: FloatArray) -> FloatArray:
    """Return the portrait's background, [S, S, 3] in 0..255, with the person filled in from nearby pixels."""
    side = portrait.shape[0]
    if side > PLATE:  # the filled part is smooth, so it is computed small; visible background keeps its detail
        small = cv2.resize(matte, (PLATE, PLATE), interpolation=cv2.INTER_AREA)
        made = cv2.resize(clean_plate(scaled(portrait, PLATE), np.asarray(small, np.float32)), (side, side))
        seen = (1 - cv2.dilate(matte, np.ones((5, 5))) / 0.02).clip(0, 1)
        return np.asarray(cv2.blendLinear(portrait.astype(np.float32), made, seen, 1 - seen), np.float32)
    known = (cv2.dilate(matte, np.ones((3, 3))) < 0.02).astype(np.float32)
    if not known.any():
        known = (matte <= matte.min()).astype(np.float32)
    seen = portrait * known[..., None]
    plate, covered, reach = seen.copy(), known.copy(), 1.5
    while covered.min() < 0.999 and reach < 2 * portrait.shape[0]:
        total = cv2.GaussianBlur(known, (0, 0), reach)
        share = (20 * total).clip(0, 1) * (1 - covered)
        plate += (share / (total + 1e-6))[..., None] * cv2.GaussianBlur(seen, (0, 0), reach)
        covered += share
        reach *= 2
    return np.asarray(plate / np.maximum(covered, 1e-3)[..., None], np.float32)
