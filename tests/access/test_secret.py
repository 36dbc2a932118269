"""Secrets: kept for their owner, read from files, known by the public key that they lead to."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from streamer.access.secret import FILE, leads_to, new_secret, own_secret, public_text, read
from streamer.core.errors import ConfigError


def test_the_own_secret_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = own_secret(home)
    assert own_secret(home) == first
    assert stat.S_IMODE((home / FILE).stat().st_mode) == 0o600


def test_a_public_key_tells_its_secret_from_others() -> None:
    secret = new_secret()
    assert leads_to(secret, public_text(secret))
    assert not leads_to(new_secret(), public_text(secret))


def test_keys_come_from_a_text_or_from_the_lines_of_a_file(tmp_path: Path) -> None:
    secret, public = new_secret(), public_text(new_secret())
    file = tmp_path / "keys"
    file.write_text(f"{secret}\n\n{public}\n")
    assert read(secret) == [secret]
    assert read(public) == [public]
    assert read(str(file)) == [secret, public]


@pytest.mark.parametrize(
    "text",
    ["", "password", "avs_short", f"{new_secret()}\npassword", "\n".join([new_secret()] * 5)],
    ids=["nothing", "password", "short", "password-after", "five"],
)
def test_a_file_with_anything_else_is_refused_without_repeating_it(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys"
    file.write_text(text)
    with pytest.raises(ConfigError, match="expected a file with a secret") as refused:
        read(str(file))
    assert "password" not in str(refused.value)
    assert "avs_s" not in str(refused.value)


def test_a_secret_with_a_typing_error_is_not_shown_as_the_name_of_a_file() -> None:
    with pytest.raises(ConfigError) as refused:
        read(new_secret() + "x")
    assert "avs_" not in str(refused.value).replace("(avs_...)", "")
