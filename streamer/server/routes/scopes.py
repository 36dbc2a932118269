"""The token scopes that each route requires, if the server requires tokens."""

from __future__ import annotations

from streamer.access.grant import ADMIN, PHOTOS, PUSH, TALK, WATCH
from streamer.server.assets import ASSETS
from streamer.web.access import Scopes

_SESSION = (TALK, PUSH)

SCOPES: Scopes = {
    **{("GET", path): () for path in ASSETS},  # public, because the page asks for the token
    ("GET", "/healthz"): (),
    ("GET", "/openapi.json"): (),
    ("GET", "/metrics"): (ADMIN,),
    ("GET", "/ice"): (TALK, PUSH, WATCH),
    ("GET", "/avatars"): (TALK, PUSH, PHOTOS),
    ("GET", "/avatars/{name}.png"): (TALK, PUSH, PHOTOS),
    ("POST", "/avatars"): (PHOTOS,),
    ("PATCH", "/avatars/{name}"): (PHOTOS,),
    ("DELETE", "/avatars/{name}"): (PHOTOS,),
    ("POST", "/voice"): (TALK,),
    ("POST", "/session"): _SESSION,
    ("GET", "/session/{token}"): _SESSION,
    ("DELETE", "/session/{token}"): _SESSION,
    ("GET", "/session/{token}/control"): _SESSION,
    ("GET", "/session/{token}/numbers"): _SESSION,
    ("GET", "/session/{token}/speech"): (PUSH,),
    ("POST", "/session/{token}/say"): (PUSH,),
    ("DELETE", "/session/{token}/say"): _SESSION,
    ("POST", "/whip"): (TALK,),
    ("GET", "/whip/{token}"): (TALK,),
    ("PATCH", "/whip/{token}"): (TALK,),
    ("DELETE", "/whip/{token}"): (TALK,),
    ("POST", "/whep"): (WATCH,),
    ("POST", "/whep/{watch}"): (WATCH,),
    ("GET", "/whep/viewer/{viewer}"): (WATCH,),
    ("PATCH", "/whep/viewer/{viewer}"): (WATCH,),
    ("DELETE", "/whep/viewer/{viewer}"): (WATCH,),
}
