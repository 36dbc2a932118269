"""A conversation without network or networks: whose sound it is, and that nothing of a cut survives."""

from __future__ import annotations

import numpy as np

from streamer.audio.format import AUDIO_BLOCK, MS, RATE, Samples
from streamer.core.frames import AudioChunk, ByteArray
from streamer.core.rates import FPS
from streamer.core.rungs import FULL, RUNGS
from streamer.session.conversation import Conversation
from streamer.session.playout import Playout
from streamer.session.speech.speech_format import Pcm
from streamer.session.speech.speech_protocol import Idle, Played, Started, Told
from streamer.session.speech.speech_queue import PushedSpeech
from streamer.stages.life.steering import Shown, Steered

DELAY_MS = 300
STILL = np.zeros((2, 2, 3), np.uint8)


class Notes:
    """A worker that notes what it is given."""

    def __init__(self) -> None:
        self.pushed: list[tuple[int, AudioChunk]] = []
        self.cuts: list[tuple[int, int, int]] = []
        self.origins: list[float] = []

    def begin(self, generation: int, frame: int, origin: float) -> None:
        pass

    def push(self, generation: int, chunk: AudioChunk) -> None:
        self.pushed.append((generation, chunk))

    def cut(self, generation: int, frame: int, resume: int) -> None:
        self.cuts.append((generation, frame, resume))

    def steer(self, wanted: Steered | Shown) -> None:
        pass

    def postpone(self, origin: float) -> None:
        self.origins.append(origin)


class Room:
    """A conversation and its heartbeat: a block of sound every 20 ms, a picture every other time."""

    def __init__(self, gather_ms: int = 0) -> None:
        self.worker, self.speech = Notes(), PushedSpeech()
        self.playout = Playout(DELAY_MS, STILL)
        self.conversation = Conversation(self.worker, self.playout, self.speech, gather_ms)
        self.conversation.begin(0.0)
        self.told: list[Told] = []
        self.block = 0

    def live(self, seconds: float) -> Samples:
        sound = []
        for _ in range(round(seconds * 50)):
            now = self.block * 0.02
            self.conversation.tick(now)
            sound.append(self.playout.pull_audio(self.block))
            if self.block % 2 == 1:
                self.playout.pull_frame(self.shown)
            self.told += self.speech.progress(self.playout.position)
            self.block += 1
        return np.concatenate(sound)

    @property
    def shown(self) -> int:
        return self.block // 2 - DELAY_MS * FPS // 1000

    def say(self, number: int, seconds: float) -> None:
        self.speech.begin(number, Pcm(RATE, 1))
        self.speech.push(np.full(round(seconds * RATE), 1000, "<i2").tobytes())
        self.speech.end()


def picture(value: int) -> ByteArray:
    return np.full((2, 2, 3), value, np.uint8)


def test_pushed_speech_is_heard_after_the_delay_and_the_face_hears_it_too() -> None:
    room = Room()
    room.live(1.0)
    room.say(1, 0.5)
    sound = room.live(1.5)[:, 0]
    voiced = np.flatnonzero(sound)
    # The delay, less the margin that the microphone needs and the tick before; the very first sample fades in from 0.
    assert (voiced[0], len(voiced)) == (220 * MS + 1, 500 * MS - 1)
    assert (sound[voiced[150] : voiced[-1]] == 1000).all()
    face = np.concatenate([chunk.samples for _, chunk in room.worker.pushed])
    assert abs(np.count_nonzero(face > 0.015) - 500 * 16) <= 3 * 16


def test_a_worker_gets_the_same_sound_in_larger_pieces_and_all_of_it_before_a_cut() -> None:
    plain, gathered = Room(), Room(gather_ms=80)
    for room in (plain, gathered):
        room.live(1.0)
        room.say(1, 3.0)
        room.live(0.5)
        room.conversation.interrupt()
        room.live(0.5)
    (few, many), cut = ([chunk for _, chunk in room.worker.pushed] for room in (gathered, plain)), 1
    assert len(few) < len(many) / 3
    assert [chunk.position for chunk in few[1:]] == [chunk.position + chunk.samples.size for chunk in few[:-1]]
    end = few[-1].position + few[-1].samples.size
    gone, wanted = (np.concatenate([chunk.samples for chunk in chunks])[:end] for chunks in (few, many))
    np.testing.assert_array_equal(gone, wanted)
    taken = [
        sum(chunk.samples.size for generation, chunk in room.worker.pushed if generation < cut)
        for room in (gathered, plain)
    ]
    assert taken[0] == taken[1] > 0


def test_a_cut_is_silence_from_the_next_packet_on_and_reports_the_position() -> None:
    room = Room()
    room.live(1.0)
    room.say(1, 3.0)
    before = room.live(1.0)
    room.conversation.interrupt()
    after = room.live(1.0)
    heard = np.count_nonzero(before[:, 0]) + np.count_nonzero(after[:, 0])
    assert np.flatnonzero(after[:, 0])[-1] < 10 * MS
    assert abs(heard - room.told[-2].position_ms * MS) <= 2 * MS  # type: ignore[union-attr]
    assert room.told[-2:] == [Played(1, 790, True, True), Idle()]
    room.say(2, 0.1)
    assert np.count_nonzero(room.live(1.0)[:, 0]) == 100 * MS - 1
    assert room.told[-3:] == [Started(2), Played(2, 100, True), Idle()]


def test_pictures_made_before_a_cut_are_not_shown_after_it() -> None:
    room = Room()
    room.live(1.0)
    room.say(1, 3.0)
    room.live(1.0)
    shown, generation = room.shown, room.worker.pushed[-1][0]
    room.conversation.take_picture(generation, shown + 1, picture(1))
    room.conversation.interrupt()
    assert room.worker.cuts == [(generation + 1, room.playout.next_frame, 50)]
    assert room.playout.next_frame <= shown + 1
    room.conversation.take_picture(generation, shown + 2, picture(2))
    room.conversation.take_picture(generation + 1, shown + 2, picture(3))
    assert not room.playout.pull_frame(shown + 1).any()
    assert (room.playout.pull_frame(shown + 2) == 3).all()
    room.live(0.1)
    assert room.worker.pushed[-1][0] == generation + 1


def test_speech_not_yet_played_is_dropped_without_a_report() -> None:
    room = Room()
    room.live(1.0)
    room.say(1, 1.0)
    room.conversation.interrupt()
    assert not room.live(1.0).any()
    assert room.worker.cuts == []
    assert room.told == [Played(1, 0, True, True), Idle()]


def test_when_nothing_is_said_there_is_nothing_to_cut() -> None:
    room = Room()
    room.live(1.0)
    room.conversation.interrupt()
    room.live(0.1)
    assert room.worker.cuts == []
    assert room.told == [Idle()]


def test_the_same_speech_is_cut_once_however_often_it_is_cleared() -> None:
    room = Room()
    room.live(1.0)
    room.say(1, 3.0)
    room.live(1.0)
    for number in range(2, 60):
        room.conversation.interrupt()
        room.say(number, 0.5)
    room.conversation.interrupt()
    assert len(room.worker.cuts) == 1
    after = room.live(1.0)
    assert not after[10 * MS :].any()
    assert Played(1, 790, True, True) in room.told
    assert room.told[-1] == Idle()


def test_the_microphone_is_heard_before_and_after_but_not_while() -> None:
    room = Room()
    microphone = np.full((AUDIO_BLOCK, 2), 50, np.int16)
    sound = []
    for block in range(150):
        if block == 50:
            room.say(1, 0.5)
        room.conversation.hear(block * AUDIO_BLOCK, microphone, block * 0.02 + 0.019)
        sound.append(room.live(0.02))
    heard = np.concatenate(sound)[:, 0]
    loud = np.flatnonzero(heard > 500)
    assert len(loud) == loud[-1] - loud[0] + 1
    assert abs(len(loud) - 500 * MS) < 5 * MS
    assert (heard[loud[0] - 500 * MS : loud[0] - 5 * MS] == 50).all()
    assert (heard[loud[-1] + 45 * MS : loud[-1] + 500 * MS] == 50).all()


def test_the_worker_hears_of_a_delay_that_has_grown() -> None:
    room = Room()
    room.live(1.0)
    delay = next(rung for rung in RUNGS if rung.extra_ms == 160)
    room.conversation.take_rung(delay)
    room.live(2.0)
    assert room.worker.origins[-1] == (DELAY_MS + 160) / 1000
    room.conversation.take_rung(FULL)
    room.live(2.0)
    assert room.worker.origins[-1] == DELAY_MS / 1000
