"""The Helm chart: its values are checked, its templates use those there are, its commands exist."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
from typing import Any

import jsonschema
import pytest
import yaml

from streamer.cli.main import make_parser
from tests import ROOT

CHART = ROOT / "deploy" / "helm" / "avatar"
KEY = "avk_" + "x" * 43
VALUES: dict[str, Any] = {"accessKey": KEY, **yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))}
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
TEMPLATES = sorted((CHART / "templates").iterdir())
HELM = shutil.which("helm")


def value_of(path: str) -> Any:
    found: Any = VALUES
    for name in path.split("."):
        found = found[name]
    return found


def test_its_values_fit_their_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(VALUES, SCHEMA)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("accessKey", None),
        ("accessKey", "avs_" + "x" * 43),  # the secret itself belongs on no cluster
        ("workers.most", 0),
        ("workers.memory", "lots"),
        ("image.pullPolicy", "never"),
        ("service.port", 70_000),
        ("gateway", {}),
    ],
)
def test_a_wrong_value_is_refused(path: str, value: Any) -> None:
    values = copy.deepcopy(VALUES)
    *folders, name = path.split(".")
    place = values
    for folder in folders:
        place = place[folder]
    place[name] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(values, SCHEMA)


def test_templates_use_values_that_there_are_and_all_of_them() -> None:
    used = {name for path in TEMPLATES for name in re.findall(r"\.Values\.([\w.]+)", path.read_text(encoding="utf-8"))}
    for name in used:
        value_of(name)
    assert {name.split(".")[0] for name in used} == set(VALUES)


def test_a_gateway_runs_a_command_that_exists() -> None:
    text = (CHART / "templates" / "gateway.yaml").read_text(encoding="utf-8").replace("{{ .Release.Name }}", "talk")
    filled = re.sub(r"\{\{ \.Values\.([\w.]+) \}\}", lambda found: str(value_of(found[1])), text)
    command = re.findall(r"^ {12}- (\S+)$", filled.split("command:")[1].split("env:")[0], re.MULTILINE)
    assert command[0] == "avatar"
    asked = make_parser().parse_args(command[1:])
    assert (asked.token, asked.workers, asked.worker_cores) == (KEY, (1, 20), 4)
    assert asked.attach == "talk-head-svc:6379"


@pytest.mark.process
@pytest.mark.skipif(HELM is None, reason="NO HELM: the chart is not rendered on this machine")
def test_helm_renders_it() -> None:
    given = ["--set", f"accessKey={KEY}", "--set", "workers.nodeSelector.disk=fast"]
    subprocess.run([str(HELM), "lint", "--strict", str(CHART), *given], check=True, timeout=60)
    rendered = subprocess.run([str(HELM), "template", "talk", str(CHART), *given], capture_output=True, timeout=60)
    kinds = [part["kind"] for part in yaml.safe_load_all(rendered.stdout) if part]
    assert sorted(kinds) == ["Deployment", "RayCluster", "Service"]
    refused = subprocess.run([str(HELM), "template", str(CHART)], capture_output=True, timeout=60)
    assert refused.returncode != 0
    assert b"accessKey" in refused.stderr
