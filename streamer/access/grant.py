"""What whoever asks may do."""

from __future__ import annotations

from dataclasses import dataclass

TALK, WATCH, PUSH, PHOTOS, ADMIN = "talk", "watch", "push", "photos", "admin"
SCOPES = (TALK, WATCH, PUSH, PHOTOS, ADMIN)


@dataclass(frozen=True)
class Grant:
    """What one token allows.

    owner: whose sessions and photos it is for; "" is whoever runs the server. token: its id, for quotas and the log.
    avatars: names of those it may be, None for all. expires: Unix seconds. sessions: at once; minutes: of conversation,
    all together; photos: kept at a time. None is no limit.
    """

    owner: str
    token: str
    scopes: frozenset[str]
    avatars: frozenset[str] | None = None
    expires: float | None = None
    sessions: int | None = None
    minutes: float | None = None
    photos: int | None = None

    @property
    def rules(self) -> bool:
        """Whether everything is allowed, with everybody's."""
        return ADMIN in self.scopes

    def may(self, *scopes: str) -> bool:
        """Whether one of these scopes is granted; all of them are to who rules."""
        return self.rules or not self.scopes.isdisjoint(scopes)

    def owns(self, owner: str) -> bool:
        """Whether what belongs to `owner` may be looked at and ended."""
        return self.rules or owner == self.owner

    def shows(self, avatar: str, owner: str) -> bool:
        """Whether an avatar may be chosen: those of the server are everybody's."""
        named = self.avatars is None or avatar in self.avatars
        return self.rules or (owner == self.owner != "") or (owner == "" and named)


EVERYTHING = Grant("", "", frozenset({ADMIN}))  # on a server that asks for no tokens, and of the secret itself
