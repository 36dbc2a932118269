"""Synthesise speech with phoneme times: eSpeak NG through its C library, Flite through its command.

Both return an `Utterance`: 16 kHz samples and phones in IPA with start and end in seconds. A stop's phone covers both
its silent closure and its burst, however the synthesiser counts them, because lips move with the closure.
"""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
import wave
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from engines.errors import AvatarError
from streamer.core.rates import SAMPLE_RATE

SILENCE = ""  # symbol of a pause
BREATH = "↓"  # symbol of a breath drawn through the mouth (extIPA)
VOICELESS_STOPS = ("p", "t", "k", "q", "c", "ʈ")  # and affricates that start with them
LONGEST_CLOSURE = 0.12  # s: a longer quiet stretch before a burst is a pause followed by the closure
QUIET = 0.02  # relative to the utterance's peak RMS; below it a stretch counts as silent
ARPABET_TO_IPA = {
    "pau": SILENCE, "ssil": SILENCE, "brth": SILENCE, "h#": SILENCE,
    "aa": "ɑ", "ae": "æ", "ah": "ʌ", "ao": "ɔ", "aw": "aʊ", "ax": "ə", "axr": "ɚ", "ay": "aɪ", "b": "b", "ch": "tʃ",
    "d": "d", "dh": "ð", "dx": "ɾ", "eh": "ɛ", "el": "l", "em": "m", "en": "n", "er": "ɝ", "ey": "eɪ", "f": "f",
    "g": "ɡ", "hh": "h", "hv": "h", "ih": "ɪ", "ix": "ɪ", "iy": "i", "jh": "dʒ", "k": "k", "l": "l", "m": "m",
    "n": "n", "ng": "ŋ", "nx": "n", "ow": "oʊ", "oy": "ɔɪ", "p": "p", "r": "ɹ", "s": "s", "sh": "ʃ", "t": "t",
    "th": "θ", "uh": "ʊ", "uw": "u", "v": "v", "w": "w", "y": "j", "z": "z", "zh": "ʒ",
}  # fmt: skip


class SpeechError(AvatarError):
    """A synthesiser is missing or refused its input."""


@dataclass(frozen=True)
class Phone:
    """One phoneme: IPA symbol (`SILENCE` for a pause), start and end in seconds."""

    symbol: str
    start: float
    end: float


@dataclass(frozen=True)
class Utterance:
    """Samples [n], float32 in -1..1 at 16 kHz, and the phones that tile them from 0 to the end."""

    samples: NDArray[np.float32]
    phones: tuple[Phone, ...]
    voice: str


class _EventId(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    """`espeak_EVENT` of espeak-ng/speak_lib.h."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))
_LIST_TERMINATED, _PHONEME = 0, 7  # espeak_EVENT_TYPE
_RETRIEVAL = 1  # espeak_AUDIO_OUTPUT: give the samples to the callback, open no sound device
_PHONEME_EVENTS_IPA = 0x0003  # espeakINITIALIZE_PHONEME_EVENTS | _PHONEME_IPA
_RATE, _PITCH, _RANGE = 1, 3, 4  # espeak_PARAMETER
_UTF8 = 1  # espeakCHARS_UTF8
_AS_IPA = 0x02  # phonememode of espeak_TextToPhonemes


class Espeak:
    """The eSpeak NG library; one per process, as its state is global. Raises SpeechError if it is missing."""

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL("libespeak-ng.so.1")
        except OSError as error:
            raise SpeechError("found no libespeak-ng.so.1; install the package libespeak-ng1") from error
        self._rate = int(self._library.espeak_Initialize(_RETRIEVAL, 200, None, _PHONEME_EVENTS_IPA))
        if self._rate <= 0:
            raise SpeechError("eSpeak NG did not start; is its data (package espeak-ng-data) installed?")
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self._parts: list[NDArray[np.int16]] = []
        self._events: list[tuple[float, str]] = []
        self._callback = _Callback(self._receive)  # keep a reference: the library holds only a C pointer to it
        self._library.espeak_SetSynthCallback(self._callback)

    def _receive(self, samples: ctypes._Pointer[ctypes.c_short], count: int, events: ctypes._Pointer[_Event]) -> int:
        if samples and count > 0:
            self._parts.append(np.ctypeslib.as_array(samples, (count,)).copy())
        index = 0
        while events[index].type != _LIST_TERMINATED:
            event = events[index]
            if event.type == _PHONEME:  # up to 8 bytes of UTF-8, not terminated when all 8 are used
                raw = ctypes.string_at(ctypes.addressof(event.id), 8).split(b"\0")[0]
                self._events.append((event.audio_position / 1000, raw.decode("utf-8", "ignore")))
            index += 1
        return 0

    def say(self, text: str, voice: str, rate: int = 165, pitch: int = 50, pitch_range: int = 50) -> Utterance:
        """Speak `text`; `voice` is a language or language+variant, `rate` words a minute, pitch and range 0..100."""
        self._parts.clear()
        self._events.clear()
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise SpeechError(f"eSpeak NG knows no voice {voice!r}; `espeak-ng --voices` lists them")
        for parameter, value in ((_RATE, rate), (_PITCH, pitch), (_RANGE, pitch_range)):
            self._library.espeak_SetParameter(parameter, value, 0)
        data = text.encode()
        self._library.espeak_Synth(data, len(data) + 1, 0, 1, 0, _UTF8, None, None)
        self._library.espeak_Synchronize()
        if not self._parts:
            raise SpeechError(f"eSpeak NG made no sound of {text[:40]!r} with voice {voice!r}")
        samples = resample(_floats(np.concatenate(self._parts)), self._rate)
        phones = _tile([event for event in self._events if not event[1].startswith("(")], len(samples))
        return Utterance(samples, _with_closures(samples, phones), f"espeak:{voice}")

    def phonemes(self, text: str, voice: str) -> str:
        """Return the IPA of `text` without synthesis."""
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise SpeechError(f"eSpeak NG knows no voice {voice!r}; `espeak-ng --voices` lists them")
        rest = ctypes.c_char_p(text.encode())
        parts = []
        while rest.value:  # each call converts one clause
            parts.append(self._library.espeak_TextToPhonemes(ctypes.byref(rest), _UTF8, _AS_IPA).decode())
        return " ".join(parts).strip()


@cache
def shared_espeak() -> Espeak:
    """Return the process's single Espeak: after a second initialisation, the library's next utterance never returns."""
    return Espeak()


def say_flite(text: str, voice: str, stretch: float = 1.0, pitch_hz: float | None = None) -> Utterance:
    """Speak English `text` with a Flite voice (slt, rms, awb, kal); `stretch` > 1 is slower. Raises SpeechError."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        command = ["flite", "-voice", voice, "--setf", f"duration_stretch={stretch:.3f}", "-psdur", "-t", text]
        if pitch_hz is not None:
            command[3:3] = ["--setf", f"int_f0_target_mean={pitch_hz:.1f}"]
        try:
            done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=True, timeout=60)
        except FileNotFoundError as error:
            raise SpeechError("found no flite command; install the package flite") from error
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            raise SpeechError(f"flite failed with voice {voice!r}: {error}") from error
        with wave.open(str(path)) as source:
            pcm = np.frombuffer(source.readframes(source.getnframes()), dtype="<i2")
            samples = resample(_floats(pcm), source.getframerate())
    return Utterance(samples, _flite_phones(done.stdout, len(samples)), f"flite:{voice}")


def _floats(pcm: NDArray[np.int16]) -> NDArray[np.float32]:
    return np.asarray(pcm, np.float32) / np.float32(32768)


def resample(samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Resample `samples` from `rate` Hz to 16 kHz, polyphase."""
    if rate == SAMPLE_RATE:
        return samples
    common = int(np.gcd(rate, SAMPLE_RATE))
    return np.asarray(resample_poly(samples, SAMPLE_RATE // common, rate // common), dtype=np.float32)


def _tile(events: list[tuple[float, str]], count: int) -> tuple[Phone, ...]:
    """Convert events (start in s, symbol) to phones without gaps, from 0 to the end of the samples."""
    end = count / SAMPLE_RATE
    starts = [0.0, *(min(start, end) for start, _ in events[1:]), end]
    symbols = [symbol for _, symbol in events]
    phones = (Phone(symbol, starts[i], starts[i + 1]) for i, symbol in enumerate(symbols))
    return tuple(phone for phone in phones if phone.end > phone.start)


def _flite_phones(listing: str, count: int) -> tuple[Phone, ...]:
    """Parse Flite's `-psdur` output (`name:end name:end ...`) to phones."""
    phones, start, last = [], 0.0, count / SAMPLE_RATE
    for item in listing.split():
        name, _, end = item.rpartition(":")
        if name not in ARPABET_TO_IPA:
            raise SpeechError(f"flite named a phone {name!r} that has no IPA symbol in ARPABET_TO_IPA")
        stop = min(float(end), last)
        if stop > start:
            phones.append(Phone(ARPABET_TO_IPA[name], start, stop))
        start = stop
    if start < last:
        phones.append(Phone(SILENCE, start, last))
    return tuple(phones)


def _with_closures(samples: NDArray[np.float32], phones: tuple[Phone, ...]) -> tuple[Phone, ...]:
    """Add the silence before its burst to each voiceless stop: eSpeak assigns it to the phone or pause before."""
    hop = SAMPLE_RATE // 200  # 5 ms
    level = np.sqrt((samples[: len(samples) // hop * hop].reshape(-1, hop) ** 2).mean(axis=1))
    quiet = level < QUIET * max(float(level.max(initial=0.0)), 1e-6)
    moved = list(phones)
    for index in range(1, len(moved)):
        phone, before = moved[index], moved[index - 1]
        if not phone.symbol.startswith(VOICELESS_STOPS):
            continue
        frame = min(round(phone.start * 200), len(quiet) - 1)
        first = frame
        while first > 0 and quiet[first - 1] and frame - first < LONGEST_CLOSURE * 200:
            first -= 1
        start = max(first / 200, before.start)
        moved[index - 1] = Phone(before.symbol, before.start, start)
        moved[index] = Phone(phone.symbol, start, phone.end)
    return tuple(phone for phone in moved if phone.end > phone.start)
