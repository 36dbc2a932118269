"""Table of the parameters and responses of each route, for `/openapi.json`, in the order of docs/api.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from streamer.core.options import EMOTIONS, FRAME_SIZES, MAX_ENERGY, MAX_INTENSITY

SDP, TEXT, JSON, FRAGMENT = "application/sdp", "text/plain", "application/json", "application/trickle-ice-sdpfrag"
Json = dict[str, Any]

STRING: Json = {"type": "string"}
FLAG: Json = {"type": "string", "enum": ["0", "1"]}
ANGLE: Json = {"type": "number", "minimum": -90, "maximum": 90}
SECRET: Json = {"type": "string", "pattern": "^[A-Za-z0-9_-]{16,128}$"}
LANGUAGE: Json = {"type": "string", "default": "en"}
BACKGROUND: Json = {"type": "string", "description": "rrggbb, blur, transparent or none"}

SESSION_QUERY: Mapping[str, Json] = {
    "avatar": STRING,
    "lookahead": {"type": "integer", "minimum": 0, "description": "milliseconds of future that the mouth hears"},
    "background": BACKGROUND,
    "size": {"type": "integer", "enum": list(FRAME_SIZES)},
    "energy": {"type": "number", "minimum": 0, "maximum": MAX_ENERGY},
    "emotion": {"type": "string", "enum": list(EMOTIONS)},
    "intensity": {"type": "number", "minimum": 0, "maximum": MAX_INTENSITY},
    "still": FLAG,
    "pose-style": {"type": "integer", "minimum": 0},
    "expression-scale": {"type": "number", "minimum": 0},
    "yaw": ANGLE,
    "pitch": ANGLE,
    "roll": ANGLE,
    "speech": FLAG,
    "listen": FLAG,
    "pictures": FLAG,
    "key": SECRET,
    "ticket": {"type": "string", "pattern": "^[A-Za-z0-9_-]{16,64}$"},
}


@dataclass(frozen=True)
class Operation:
    """One method of one path.

    name: a unique id for client generators. body: media type of the request body. answers: response media type by
    status, "" for no body. refused: error statuses, each with one line of text; 429 and, if tokens are required, 401
    and 403 are added.
    """

    name: str
    summary: str
    answers: Mapping[int, str]
    query: Mapping[str, Json] | None = None
    body: str = ""
    headers: tuple[str, ...] = ()
    refused: tuple[int, ...] = ()


_OPENED = ("Location", "Avatar-Delay", "Avatar-Watch", "Avatar-Video")
_OFFER = (400, 404, 408, 410, 413, 415, 503)

OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("GET", "/avatars"): Operation(
        "listAvatars", "Who there is, and what this server can do", {200: JSON}, refused=(503,)
    ),
    ("POST", "/avatars"): Operation(
        "addAvatar",
        "Make an avatar of a photo",
        {201: JSON},
        {"title": STRING, "face": {"type": "integer", "minimum": 1}},
        "image/*",
        refused=(409, 413, 422, 503),
    ),
    ("GET", "/avatars/{name}.png"): Operation(
        "getPortrait",
        "A portrait, on a background",
        {200: "image/png"},
        {"background": BACKGROUND},
        refused=(400, 404),
    ),
    ("PATCH", "/avatars/{name}"): Operation(
        "renameAvatar",
        "Another title for one of your own",
        {200: JSON},
        {"title": STRING},
        refused=(400, 404, 409),
    ),
    ("DELETE", "/avatars/{name}"): Operation("removeAvatar", "Remove one of your own", {200: TEXT}, refused=(404, 409)),
    ("POST", "/session"): Operation(
        "openSession",
        "Begin a session: a microphone up, the avatar down",
        {201: SDP},
        SESSION_QUERY,
        SDP,
        _OPENED,
        _OFFER,
    ),
    ("GET", "/session/{token}"): Operation("getSession", "How a session goes, in counts", {200: JSON}, refused=(404,)),
    ("DELETE", "/session/{token}"): Operation("closeSession", "End a session", {200: TEXT}, refused=(404, 410)),
    ("GET", "/session/{token}/speech"): Operation(
        "pushSpeech",
        "WebSocket: push speech (docs/speech.md)",
        {101: ""},
        refused=(404, 409, 426),
    ),
    ("GET", "/session/{token}/control"): Operation(
        "controlSession",
        "WebSocket: steer the face, and learn what it does (docs/control.md)",
        {101: ""},
        refused=(404, 426),
    ),
    ("GET", "/session/{token}/numbers"): Operation(
        "getNumbers",
        "WebSocket: ARKit units and head pose (docs/numbers.md)",
        {101: ""},
        {
            "hz": {"type": "string", "enum": ["25", "30", "50", "60"]},
            "format": {"type": "string", "enum": ["lists", "names"]},
        },
        refused=(400, 404, 409, 426, 503),
    ),
    ("POST", "/session/{token}/say"): Operation(
        "say",
        "Say a text",
        {200: JSON},
        {"language": LANGUAGE, "interrupt": FLAG},
        TEXT,
        refused=(400, 404, 408, 409, 413, 422, 501, 503),
    ),
    ("DELETE", "/session/{token}/say"): Operation("hush", "Silence at once", {200: JSON}, refused=(404,)),
    ("POST", "/whip"): Operation(
        "publish",
        "WHIP (RFC 9725): publish a microphone whose face others watch",
        {201: SDP},
        SESSION_QUERY,
        SDP,
        _OPENED,
        _OFFER,
    ),
    ("GET", "/whip/{token}"): Operation("lookAtPublished", "Whether it is there", {200: ""}, refused=(404,)),
    ("PATCH", "/whip/{token}"): Operation("trickle", "Candidates", {204: ""}, body=FRAGMENT, refused=(404, 415, 422)),
    ("DELETE", "/whip/{token}"): Operation("unpublish", "End it", {200: TEXT}, refused=(404,)),
    ("POST", "/whep"): Operation(
        "watchByKey", "WHEP: watch by the session's key", {201: SDP}, None, SDP, ("Location",), _OFFER
    ),
    ("POST", "/whep/{watch}"): Operation(
        "watch", "WHEP: watch a session", {201: SDP}, None, SDP, ("Location",), (409, *_OFFER)
    ),
    ("GET", "/whep/viewer/{viewer}"): Operation("lookAtViewer", "Whether it is there", {200: ""}, refused=(404,)),
    ("PATCH", "/whep/viewer/{viewer}"): Operation(
        "trickleViewer",
        "Candidates",
        {204: ""},
        body=FRAGMENT,
        refused=(404, 415, 422),
    ),
    ("DELETE", "/whep/viewer/{viewer}"): Operation("leave", "Stop watching", {200: TEXT}, refused=(404,)),
    ("POST", "/voice"): Operation(
        "speak",
        "A short text to speech",
        {200: "audio/wav"},
        {"language": LANGUAGE},
        TEXT,
        refused=(400, 408, 413, 422, 501, 503),
    ),
    ("GET", "/ice"): Operation("listIceServers", "STUN and TURN servers for a call", {200: JSON}),
    ("GET", "/healthz"): Operation("health", "Whether sessions can be opened", {200: TEXT}, refused=(503,)),
    ("GET", "/metrics"): Operation("metrics", "Counts, as Prometheus text", {200: TEXT}),
    ("GET", "/openapi.json"): Operation("openapi", "This document", {200: JSON}),
}
