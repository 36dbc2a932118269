"""The permissions of a caller."""

from __future__ import annotations

from dataclasses import dataclass

TALK, WATCH, PUSH, PHOTOS, ADMIN = "talk", "watch", "push", "photos", "admin"
SCOPES = (TALK, WATCH, PUSH, PHOTOS, ADMIN)


@dataclass(frozen=True)
class Grant:
    """The permissions and limits of one token.

    owner: the user whose sessions and photos it gives access to; "" is the server's operator.
    token: its id, for quotas and the log. avatars: names of the server's avatars it may use; None means all.
    expires: Unix seconds. sessions: the limit at one time. minutes: the limit of conversation in total.
    photos: the limit of photos kept at one time. None means no limit.
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
        """Whether this is an administrator: everything is allowed, on every owner's sessions and photos."""
        return ADMIN in self.scopes

    def may(self, *scopes: str) -> bool:
        """Return whether at least one of these scopes is granted; an administrator has all scopes."""
        return self.rules or not self.scopes.isdisjoint(scopes)

    def owns(self, owner: str) -> bool:
        """Return whether the caller may inspect and end resources of `owner`."""
        return self.rules or owner == self.owner

    def shows(self, avatar: str, owner: str) -> bool:
        """Return whether the caller may choose this avatar; those with owner "" are the server's, shared by all."""
        named = self.avatars is None or avatar in self.avatars
        return self.rules or (owner == self.owner != "") or (owner == "" and named)


EVERYTHING = Grant("", "", frozenset({ADMIN}))  # on a server without tokens, and for the holder of the secret
