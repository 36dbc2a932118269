"""Control of a session's face while it runs: commands in, events out to all watchers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from streamer.audio.format import AUDIO_PTIME_MS, Samples
from streamer.core.errors import ConfigError
from streamer.session.control_protocol import Command, ControlError, Event, Interrupt, Listening, Mute, Pause, State
from streamer.session.conversation import Conversation
from streamer.session.manner import Manner
from streamer.session.speech.speech_line import SpeechLine
from streamer.stages.life.steering import Background, Emotion, Energy, Gaze, Gesture, Shown, Size, Steered, Wear

LOUD = 330  # of 32767, -40 dBFS: above room noise
HOLD_BLOCKS = 400 // AUDIO_PTIME_MS  # of silence before speech counts as ended ...
HOLD_IN_TURN_BLOCKS = 60 // AUDIO_PTIME_MS  # ... while the user speaks or an answer is being prepared

ALWAYS = ("pause", "mute", "listening", "interrupt")


class Control:
    """Control of one session.

    read_look: checks and resolves a requested look (background, size, avatar); raises ConfigError if unavailable.
    seed, lively: random seed of the listening and thinking behaviour, and whether it is enabled.
    """

    def __init__(
        self,
        conversation: Conversation,
        line: SpeechLine,
        read_look: Callable[[Shown], Shown],
        seed: int = 0,
        lively: bool = True,
    ) -> None:
        self._conversation = conversation
        self._line = line
        line.show = self.tell
        self._read_look = read_look
        self._watchers: list[Callable[[Event], None]] = []
        self._quiet = HOLD_BLOCKS  # blocks since the last audible sound
        self._attention: Literal["listening", "thinking"] | None = None
        self._manner = Manner(conversation.steer, seed)
        self._manner.on = lively
        self.clients = 0  # control connections
        self.pausing = False  # the user is between two phrases

    @property
    def state(self) -> State:
        """Current state of the face."""
        speaking = self._quiet < (HOLD_BLOCKS if self._attention is None else HOLD_IN_TURN_BLOCKS)
        now = "speaking" if speaking else self._attention or "idle"
        return State(now, self._conversation.paused, self._conversation.muted)

    def attend(self, attention: Literal["listening", "thinking"] | None) -> None:
        """Set the state shown while the face is not speaking: the user speaks, or an answer is due."""
        before = self.state
        self._attention = attention
        self._tell_change(before)

    def tell(self, event: Event) -> None:
        """Send an event to all watchers."""
        for watcher in self._watchers:
            watcher(event)

    def watch(self, tell: Callable[[Event], None]) -> None:
        """Call `tell` with every event until `unwatch`."""
        self._watchers.append(tell)

    def unwatch(self, tell: Callable[[Event], None]) -> None:
        """Stop calling `tell`."""
        self._watchers.remove(tell)

    def hear(self, samples: Samples) -> None:
        """Take an outgoing packet of sound, int16 [n, 2], to update the state."""
        before = self.state
        self._quiet = 0 if np.abs(samples).max(initial=0) > LOUD else min(self._quiet + 1, HOLD_BLOCKS)
        if self._watchers:
            self._tell_change(before)
        self._manner.step(self.state.state, self.pausing)

    def take(self, command: Command, able: Sequence[str]) -> None:
        """Execute a command. `able`: names of the commands and gestures that this family's faces support.

        Raises:
            ControlError: this face does not support it.
        """
        before = self.state
        match command:
            case Interrupt():
                self._line.interrupt()
            case Pause(on=on):
                self._conversation.paused = on
            case Mute(on=on):
                self._conversation.muted = on
            case Listening(on=on):
                self._manner.on = on
            case Background() | Size() | Wear():
                self._check_able(command, able)
                self._show(command)
            case Emotion() | Energy() | Gaze() | Gesture():
                self._check_able(command, able)
                self._conversation.steer(command)
                if isinstance(command, Gaze):
                    self._manner.gaze_free = command.at == "free"
        self._tell_change(before)

    def _check_able(self, command: Steered | Shown, able: Sequence[str]) -> None:
        name = command.name if isinstance(command, Gesture) else command.__struct_config__.tag
        if name not in able:
            raise ControlError(f"this face has no {name}; it can {', '.join([*able, *ALWAYS])}")

    def _show(self, wanted: Shown) -> None:
        try:
            self._conversation.steer(self._read_look(wanted))
        except ConfigError as error:
            raise ControlError(str(error)) from None
        if isinstance(wanted, Wear):
            self._conversation.playout.forget_still()

    def _tell_change(self, before: State) -> None:
        if (now := self.state) != before:
            self.tell(now)
