"""Where speech enters a session: one client at a time, which is told how its speech goes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

from streamer.core.errors import SessionError
from streamer.core.limits import SpeechLimits
from streamer.session.conversation import Conversation
from streamer.session.speech_protocol import Allowance, Played, Told


@dataclass
class SpeechCounts:
    """What was spoken for a session so far."""

    clients: int = 0  # connections
    utterances: int = 0  # begun
    clears: int = 0
    refused: int = 0  # messages
    heard_ms: int = 0  # as the clients were told

    _of_this: int = 0  # ms, of the utterance that is heard now

    def note(self, told: Told) -> None:
        """A client was told this, or would have been."""
        if isinstance(told, Played):
            self.heard_ms += told.position_ms - self._of_this
            self._of_this = 0 if told.final else told.position_ms


class SpeechPort:
    """`pushed` is what the client pushed into a conversation. Before that begins, it waits.

    `messages` and `bytes` are the session's, not a connection's: who is sent away and comes again has no more of them.
    """

    def __init__(self, limits: SpeechLimits, conversation: Conversation, now: float) -> None:
        self.limits = limits
        self.counts = SpeechCounts()
        self.messages = Allowance(limits.messages_per_s, limits.burst_messages, now)
        self.bytes = Allowance(limits.bytes_per_s, limits.burst_bytes, now)
        self.pushed = conversation.speech
        self._conversation = conversation
        self._tell: Callable[[Told], None] | None = None

    @property
    def is_taken(self) -> bool:
        """Whether a client is connected."""
        return self._tell is not None

    def attach(self, tell: Callable[[Told], None]) -> None:
        """Somebody speaks from now on; `tell` is called with all that there is to tell.

        Raises:
            SessionError: somebody does already.
        """
        if self._tell is not None:
            raise SessionError("another client speaks for this session already")
        self._tell = tell
        self.counts.clients += 1

    def detach(self) -> None:
        """Whoever spoke has gone, and with it what was in flight: whoever speaks next is told nothing of it."""
        self._tell = None
        self.interrupt()
        self.report(sys.maxsize)  # all that was not cut off is in the packet that leaves next

    def interrupt(self) -> None:
        """Drop what was pushed, wherever it is; the mouth eases shut."""
        self._conversation.interrupt()
        self.report(self._conversation.playout.position)  # also while no packet leaves yet

    def report(self, position: int) -> None:
        """Everything before `position` was sent to be heard: tell what there is to tell."""
        for told in self.pushed.progress(position):
            self.counts.note(told)
            if self._tell is not None:
                self._tell(told)
