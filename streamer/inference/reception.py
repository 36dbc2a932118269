"""Admission of sessions: a session starts once its face is in memory; its messages wait until then.

A thread builds the faces, so that the pictures of other sessions are not delayed.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from streamer.core.errors import AvatarError
from streamer.inference.faces import Face, Faces
from streamer.inference.messages import (
    Announce,
    Begin,
    Close,
    Cut,
    Load,
    Loaded,
    Open,
    Postpone,
    SessionFailed,
    Sound,
    Steer,
    Unload,
)
from streamer.inference.scheduler import Inference
from streamer.stages.life.steering import Wear

MOST_HELD = 1000  # messages of a session that waits for its face: 20 s of sound

ToSession = Open | Begin | Sound | Cut | Postpone | Steer | Close
Answer = Loaded | SessionFailed


class Reception:
    """Routes messages to the sessions, in order for each session; no method blocks on a face."""

    def __init__(self, inference: Inference, faces: Faces) -> None:
        self._inference = inference
        self._faces = faces
        self._thread = ThreadPoolExecutor(1, "faces")
        self._making: dict[str, Future[Face]] = {}
        self._asked: set[str] = set()  # faces that the server awaits a `Loaded` for
        self._held: dict[int, tuple[str, list[ToSession]]] = {}  # by session: its face, and its waiting messages
        self._swaps: dict[int, tuple[str, Steer]] = {}  # by session: the face to change to

    @property
    def busy(self) -> bool:
        """Whether a face is being built."""
        return bool(self._making)

    def take(self, message: ToSession | Load | Announce | Unload) -> list[Answer]:
        """Handle a message; return the answers that are available at once."""
        match message:
            case Load():
                self._asked.add(message.avatar)
                self._make(message.avatar, anew=True)
            case Announce():
                self._faces.offer(message.avatar)
            case Unload():
                self._faces.remove(message.avatar)
                if self._making.pop(message.avatar, None):
                    return self._settle(message.avatar, f"avatar {message.avatar} was removed")
            case Open():
                return self._open(message)
            case _ if message.session in self._held:
                return self._hold(message)
            case Steer(wanted=Wear(name=name)):
                self._swaps.pop(message.session, None)
                if self._faces.use(name) or name not in self._faces.names:  # a removed face changes nothing
                    return self._hand(message)
                self._swaps[message.session] = name, message
                self._make(name)
            case _:
                if isinstance(message, Close):
                    self._swaps.pop(message.session, None)
                return self._hand(message)
        return []

    def arrivals(self) -> list[Answer]:
        """Start the sessions whose faces have become ready; return the answers to them."""
        answers: list[Answer] = []
        for name in [name for name, making in self._making.items() if making.done()]:
            try:
                self._faces.add(name, self._making.pop(name).result())
                answers += self._settle(name, None)
            except AvatarError as error:
                self._faces.remove(name)
                answers += self._settle(name, str(error))
        return answers

    def close(self) -> None:
        """Stop building faces."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _open(self, message: Open) -> list[Answer]:
        name = message.avatar
        if name not in self._faces.names and name not in self._making:
            return [SessionFailed(message.session, f"no avatar {name}; there are {', '.join(self._faces.names)}")]
        if name not in self._making and self._faces.use(name):
            return self._hand(message)
        self._held[message.session] = name, [message]
        self._make(name)
        return []

    def _make(self, name: str, anew: bool = False) -> None:
        """Build a face in the thread. anew: its files have changed, so a build in progress is outdated."""
        if anew or name not in self._making:
            self._making[name] = self._thread.submit(self._faces.make, name)

    def _hold(self, message: Begin | Sound | Cut | Postpone | Steer | Close) -> list[Answer]:
        name, messages = self._held[message.session]
        if not isinstance(message, Close) and len(messages) < MOST_HELD:
            messages.append(message)
            return []
        del self._held[message.session]
        return [] if isinstance(message, Close) else [SessionFailed(message.session, f"avatar {name} took too long")]

    def _settle(self, name: str, failure: str | None) -> list[Answer]:
        """Resume or fail everything that waited for a face."""
        answers: list[Answer] = []
        if name in self._asked:
            self._asked.remove(name)
            answers.append(Loaded(name, failure))
        for session in [session for session, (wanted, _) in self._held.items() if wanted == name]:
            _, messages = self._held.pop(session)
            if failure is not None:
                answers.append(SessionFailed(session, failure))
                continue
            for message in messages:
                answers += self.take(message)
        for session in [session for session, (wanted, _) in self._swaps.items() if wanted == name]:
            answers += self._hand(self._swaps.pop(session)[1])
        return answers

    def _hand(self, message: ToSession) -> list[Answer]:
        failure = self._inference.handle(message)
        return [] if failure is None else [failure]
