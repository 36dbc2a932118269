"""Listening and thinking behaviour of a silent face: eyes, brows and nods.

Listeners look at the speaker most of the time and nod at the ends of phrases (Kendon 1967, "Some functions of gaze
direction in social interaction"; Dittmann & Llewellyn 1968, "Relationship between vocalizations and head nods as
listener responses"); a person about to answer looks away, mostly up or aside (Glenberg et al. 1998, "Averting the gaze
disengages the environment and facilitates remembering"). Strengths and frequencies were tuned by eye.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Literal

from streamer.audio.format import AUDIO_PTIME_MS
from streamer.stages.life.steering import Gaze, Gesture

STEP_S = AUDIO_PTIME_MS / 1000
NOD_AT_PAUSE = 0.7  # probability
NOD_STRENGTH = (0.3, 0.65)
NOD_REST_S = (1.6, 3.0)  # minimum between two nods
NOD_ANYWAY_S = (4.0, 7.0)  # interval of nods when no pause is heard
AT_SPEAKER_S, AWAY_S = (3.0, 6.0), (0.5, 1.1)
THOUGHT_S = (0.9, 1.9)  # looking at one point
THOUGHT_X, THOUGHT_Y = (0.5, 1.0), (0.5, 0.9)  # aside and up
GREET_S = 0.8  # looking at the listener when starting to speak
ATTENTIVE, PENSIVE = 0.35, (0.6, 1.0)  # strength of the brows, and of the thoughtful look, on entering the state


class Manner:
    """Listening and thinking behaviour of one face. `steer`: receives its gazes and gestures.

    on: whether it is enabled. gaze_free: whether it may move the gaze, because no client has set one.
    """

    def __init__(self, steer: Callable[[Gaze | Gesture], None], seed: int) -> None:
        self.on = True
        self.gaze_free = True
        self._steer = steer
        self._random = random.Random(seed)
        self._state = "idle"
        self._paused = False
        self._at_speaker = True
        self._look_s = self._nod_s = 0.0  # seconds until the next look, and nod
        self._rest_s = 0.0  # seconds until a nod is allowed

    def step(self, state: str, pausing: bool) -> None:
        """Advance 20 ms in a state of `control_protocol.State`. `pausing`: the user is between two phrases."""
        if not self.on:
            state = "idle"
        if state != self._state:
            self._enter(state, before=self._state)
            self._state = state
        self._look_s -= STEP_S
        self._nod_s -= STEP_S
        self._rest_s -= STEP_S
        if state == "listening":
            self._listen(pausing and not self._paused)
        elif state == "thinking" and self._look_s <= 0:
            self._look_away()
        elif self._look_s <= 0 < self._look_s + STEP_S:
            self._look("free")
        self._paused = pausing

    def _enter(self, state: str, before: str) -> None:
        if state == "listening":
            self._nod_s = self._between(NOD_ANYWAY_S)
            self._rest_s = NOD_REST_S[0]
            self._at_speaker, self._look_s = True, self._between(AT_SPEAKER_S)
            self._look("camera")
            self._steer(Gesture("brows", ATTENTIVE))
        elif state == "thinking":
            self._look_away()
            self._steer(Gesture("ponder", self._between(PENSIVE)))
        elif before in ("listening", "thinking"):
            self._look_s = GREET_S if state == "speaking" else STEP_S / 2
            self._look("camera")

    def _listen(self, phrase_ended: bool) -> None:
        wanted = phrase_ended and self._random.random() < NOD_AT_PAUSE
        if (wanted and self._rest_s <= 0) or self._nod_s <= 0:
            self._steer(Gesture("nod", self._between(NOD_STRENGTH)))
            self._rest_s, self._nod_s = self._between(NOD_REST_S), self._between(NOD_ANYWAY_S)
        if self._look_s <= 0:
            self._at_speaker = not self._at_speaker
            self._look_s = self._between(AT_SPEAKER_S if self._at_speaker else AWAY_S)
            self._look("camera" if self._at_speaker else "free")

    def _look_away(self) -> None:
        self._look_s = self._between(THOUGHT_S)
        side = self._random.choice((-1, 1))
        self._look((side * self._between(THOUGHT_X), self._between(THOUGHT_Y)))

    def _look(self, at: tuple[float, float] | Literal["camera", "free"]) -> None:
        if self.gaze_free:
            self._steer(Gaze(at))

    def _between(self, limits: tuple[float, float]) -> float:
        return self._random.uniform(*limits)
