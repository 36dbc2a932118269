"""A machine that is to be in a cluster, before Ray is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("ray", reason="THE CLUSTER ON RAY ITSELF IS NOT TESTED: there is no wheel of Ray here")

from streamer.cluster.nodes.ray_nodes import connect, has_token, make_token, node
from streamer.core.errors import ConfigError

pytestmark = pytest.mark.slow


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder in which nothing is."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    return tmp_path


def test_a_machine_without_a_token_is_told_where_to_get_one(fresh: Path) -> None:
    with pytest.raises(ConfigError, match="no token for a cluster; copy"):
        connect("127.0.0.1:1")
    with pytest.raises(ConfigError, match="no token for a cluster"), node("127.0.0.1:1", None, {}, None):
        pass


def test_the_first_machine_makes_a_token_once_that_only_its_user_reads(fresh: Path) -> None:
    make_token()
    path = fresh / ".ray" / "auth_token"
    token = path.read_text()
    assert len(token) == 64
    assert (path.stat().st_mode & 0o77, has_token()) == (0, True)
    make_token()
    assert path.read_text() == token
