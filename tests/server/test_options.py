"""Whether a server's pictures bear the badge that says that they are generated."""

from __future__ import annotations

import pytest

from streamer.cli.main import make_parser
from streamer.server.options import ServeOptions


@pytest.mark.parametrize(
    ("host", "asked", "shown"),
    [
        ("localhost", "auto", False),
        ("127.0.0.2", "auto", False),
        ("::1", "auto", False),
        ("0.0.0.0", "auto", True),
        ("::", "auto", True),
        ("192.0.2.7", "auto", True),
        ("avatar.example", "auto", True),
        ("0.0.0.0", "off", False),
        ("localhost", "on", True),
    ],
)
def test_it_is_on_by_itself_where_others_reach_the_server(host: str, asked: str, shown: bool) -> None:
    args = make_parser().parse_args(["serve", "--host", host, "--badge", asked])
    assert ServeOptions(host=args.host, badge=args.badge).shows_badge is shown


def test_another_word_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        make_parser().parse_args(["serve", "--badge", "yes"])
    assert "yes found, on or off or auto expected" in capsys.readouterr().err
