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

    clients: int = 0  # connections so far
    utterances: int = 0  # begun
    clears: int = 0
    refused: int = 0  # refused messages
    heard_ms: int = 0  # ms played, as reported to the clients

    _of_this: int = 0  # ms reported of the current utterance

    def note(self, told: Told) -> None:
        """Count a report, even without a client to receive it."""
        if isinstance(told, Played):
            self.heard_ms += told.position_ms - self._of_this
            self._of_this = 0 if told.final else told.position_ms


class SpeechPort:
    """Port through which one client pushes speech. `pushed`: its queue, which waits until the conversation begins.

    The rate limits `messages` and `bytes` belong to the session, so a client cannot reset them by reconnecting.
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
        """Also call `tell` with every report, for any client, until `unwatch`."""
        self._watchers.append(tell)

    def unwatch(self, tell: Callable[[Told], None]) -> None:
        """Stop calling `tell`."""
        self._watchers.remove(tell)

    def attach(self, tell: Callable[[Told], None], interrupted: Callable[[], None] | None = None) -> None:
        """Connect a client; `tell` is called with each of its reports.

        interrupted: called on an interruption, before the report of the position played.

        Raises:
            SessionError: another client is connected.
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
        self.report(self._conversation.playout.position)  # also before the first packet leaves

    def report(self, position: int) -> None:
        """Send the reports due once everything before `position` has been sent out."""
        for told in self.pushed.progress(position):
            self.counts.note(told)
            for watcher in self._watchers:
                watcher(told)
            if self._tell is not None:
                self._tell(told)
