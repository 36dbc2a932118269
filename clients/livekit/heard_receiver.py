"""LiveKit's receiver of an agent's speech, changed to report to the agent how much was really heard."""

from __future__ import annotations

from livekit.agents.voice.avatar import DataStreamAudioReceiver

from clients.speech import Event


class HeardReceiver(DataStreamAudioReceiver):
    """Sends `lk.playback_started` and `lk.playback_finished` from the events of the face.

    The runner's own reports are ignored: they count all forwarded sound, including silence between words and speech
    that an interruption dropped.
    """

    def report(self, event: Event) -> None:
        """Report an event of the face to the agent."""
        if event["type"] == "started":
            super().notify_playback_started()
        elif event["type"] == "played" and event["final"]:
            super().notify_playback_finished(event["position_ms"] / 1000, event["interrupted"])

    def notify_playback_started(self) -> None:
        """Ignore the runner's report."""

    def notify_playback_finished(self, playback_position: float, interrupted: bool) -> None:
        """Ignore the runner's report."""
