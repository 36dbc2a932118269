"""The files for operators agree with the program: its options, its metrics, its files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from streamer.cli.main import make_parser
from streamer.core.histogram import ANSWER_S, STAGE_S, Histogram
from streamer.inference.messages import Pulse
from streamer.server.metrics import ServerCounts, SessionCounts, render
from tests import ROOT

DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
DOCKERFILES = ("Dockerfile", "Dockerfile.cuda")


def metrics() -> set[str]:
    """Names on GET /metrics."""
    fields = ServerCounts.__dataclass_fields__
    server = ServerCounts(**{name: 0 for name in fields if name != "ready"}, ready=True)
    pulse = Pulse(latencies={"render": Histogram(STAGE_S)})
    text = render(server, SessionCounts(), pulse, {("GET", "/", "2xx"): Histogram(ANSWER_S)})
    return set(re.findall(r"^(avatar_\w+)", text, re.MULTILINE))


@pytest.mark.parametrize("file", ["grafana/dashboards/avatar.json", "prometheus/alerts.yml"])
def test_every_metric_that_is_watched_exists(file: str) -> None:
    text = (DEPLOY / file).read_text(encoding="utf-8")
    found = json.loads(text) if file.endswith(".json") else yaml.safe_load(text)
    expressions = re.findall(r"'expr': '([^']*)'|'expr': \"([^\"]*)\"", str(found))
    watched = {name for pair in expressions for name in re.findall(r"avatar_\w+", "".join(pair))}
    assert len(watched) >= 4
    assert watched <= metrics()


def test_panels_do_not_overlap_and_have_their_own_numbers() -> None:
    panels = json.loads((DEPLOY / "grafana/dashboards/avatar.json").read_text(encoding="utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len({(p["gridPos"]["x"], p["gridPos"]["y"]) for p in panels})
    assert len(panels) == len({panel["title"] for panel in panels})


@pytest.mark.parametrize("name", DOCKERFILES)
def test_an_image_starts_the_server_as_a_user_without_rights(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    (command,) = re.findall(r"^CMD (\[.*\])$", text, re.MULTILINE)
    assert make_parser().parse_args(json.loads(command)).command == "serve"
    assert re.search(r"^USER 10001$", text, re.MULTILINE)  # a number: Kubernetes tells by it that it is not root
    assert text.index("useradd --system --uid 10001") < text.index("USER 10001") < text.index("ENTRYPOINT")
    (health,) = re.findall(r"^    CMD (\[.*\])$", text, re.MULTILINE)
    assert json.loads(health)[0] == "python3"


def test_the_build_context_has_what_the_package_needs() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert all((ROOT / name).exists() for name in kept)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    packages = re.findall(r'"(\w+)\*"', project.split("packages.find]")[1].split("\n\n")[0])
    assert {*packages, "pyproject.toml", "README.md", "LICENSE", "NOTICE"} <= kept


def test_compose_runs_commands_that_exist_with_files_that_are_there() -> None:
    command = [
        re.sub(r"\$\{DOMAIN[^}]*\}", "avatar.example", part) for part in COMPOSE["services"]["avatar"]["command"]
    ]
    asked = make_parser().parse_args(command)
    assert asked.public_url == "https://avatar.example/"
    assert str(asked.turn_secret) == "/run/secrets/turn-secret"
    mounted = [volume for service in COMPOSE["services"].values() for volume in service.get("volumes", [])]
    for source in (volume.split(":")[0] for volume in mounted):
        assert (DEPLOY / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]
    secrets = {name for service in COMPOSE["services"].values() for name in service.get("secrets", [])}
    assert secrets == set(COMPOSE["secrets"])


def test_the_service_runs_a_command_that_exists() -> None:
    text = (DEPLOY / "systemd/avatar.service").read_text(encoding="utf-8")
    (line,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    assert make_parser().parse_args(line.split()[1:]).command == "serve"


PLAIN = [path.relative_to(DEPLOY) for path in sorted(DEPLOY.rglob("*.y*ml")) if path.parent.name != "templates"]


@pytest.mark.parametrize("path", PLAIN, ids=str)
def test_every_file_of_yaml_can_be_read(path: Path) -> None:
    assert list(yaml.safe_load_all((DEPLOY / path).read_text(encoding="utf-8")))
