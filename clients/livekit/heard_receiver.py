"""LiveKit's receiver of an agent's speech, which tells the agent what was really heard of it."""

from __future__ import annotations

from livekit.agents.voice.avatar import DataStreamAudioReceiver

from clients.speech import Event


class HeardReceiver(DataStreamAudioReceiver):
    """`lk.playback_started` and `lk.playback_finished` by the events of the face.

    The runner tells of what it forwards, which counts the silence between words and what an interruption dropped; that
    is left out.
    """

    def report(self, event: Event) -> None:
        """Take an event of the face."""
        if event["type"] == "started":
            super().notify_playback_started()
        elif event["type"] == "played" and event["final"]:
            super().notify_playback_finished(event["position_ms"] / 1000, event["interrupted"])

    def notify_playback_started(self) -> None:
        """Leave out what the runner tells."""

    def notify_playback_finished(self, playback_position: float, interrupted: bool) -> None:
        """Leave out what the runner tells."""
