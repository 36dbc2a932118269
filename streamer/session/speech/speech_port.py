"""Entry of pushed speech into a session: one client at a time, which receives playback reports."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

from streamer.core.errors import SessionError
from streamer.core.limits import SpeechLimits
from streamer.session.conversation import Conversation
from streamer.session.speech.speech_protocol import Allowance, Played, Told


@dataclass
class SpeechCounts:
    """Counters of a session's pushed speech."""

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
        self._interrupted: Callable[[], None] | None = None
        self._watchers: list[Callable[[Told], None]] = []

    @property
    def is_taken(self) -> bool:
        """Whether a client is connected."""
        return self._tell is not None

    def watch(self, tell: Callable[[Told], None]) -> None:
        """Also tell this one, whoever speaks, until `unwatch`."""
        self._watchers.append(tell)

    def unwatch(self, tell: Callable[[Told], None]) -> None:
        """See `watch`."""
        self._watchers.remove(tell)

    def attach(self, tell: Callable[[Told], None], interrupted: Callable[[], None] | None = None) -> None:
        """Somebody speaks from now on; `tell` is called with all that there is to tell.

        interrupted: is called when somebody interrupts, before it is told how far that was heard.

        Raises:
            SessionError: somebody does already.
        """
        if self._tell is not None:
            raise SessionError("another client speaks for this session already")
        self._tell, self._interrupted = tell, interrupted
        self.counts.clients += 1

    def detach(self) -> None:
        """Disconnect the client and drop its speech in flight; the next client receives no report of it."""
        self._tell = self._interrupted = None
        self.interrupt()
        self.report(sys.maxsize)  # everything not cut leaves in the next packet: report it all as played

    def interrupt(self) -> None:
        """Interrupt all pushed speech (barge-in); the mouth eases shut."""
        self._conversation.interrupt()
        if self._interrupted is not None:
            self._interrupted()
        self.report(self._conversation.playout.position)  # also while no packet leaves yet

    def report(self, position: int) -> None:
        """Everything before `position` was sent to be heard: tell what there is to tell."""
        for told in self.pushed.progress(position):
            self.counts.note(told)
            for watcher in self._watchers:
                watcher(told)
            if self._tell is not None:
                self._tell(told)
