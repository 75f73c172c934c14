# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documentation points to exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.bluegreen.mesh.plugins.module_utils import _service_endpoints, _watchdog

ROOT = Path(__file__).resolve().parents[2]
COMPARISON = (ROOT / "docs" / "guide-comparison.md").read_text(encoding="utf-8")
ROWS = [line for line in COMPARISON.splitlines() if line.startswith("| ")][1:]
JOURNEYS = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs" / "journeys").glob("*.md"))]
NAMED = sorted(set(re.findall(r"`([\w/.]+)::(\w+)`", "\n".join([COMPARISON, *JOURNEYS]))))


def test_every_step_is_shown_by_a_test_or_not_claimed() -> None:
    assert len(ROWS) > 20 and len(NAMED) > 20
    for row in ROWS:
        step, _guide, ours, shown = (cell.strip() for cell in row.strip("|").split("|"))
        assert re.search(r"`[\w/.]+::\w+`", shown) or ours == "not yet", step


# In prose, and where a page says of all its tests where they are.
BARE = sorted(set(re.findall(r"`(test_\w+?)(?:\.py)?`", "\n".join([COMPARISON, *JOURNEYS]))))
TESTS = [*(ROOT / "tests" / "unit").rglob("test_*.py"), *(ROOT / "extensions" / "molecule").glob("*/tests/test_*.py")]


@pytest.mark.parametrize("name", BARE)
def test_a_test_that_is_named_without_its_file_exists(name: str) -> None:
    """As a function, or as the file itself."""
    defined = re.compile(rf"^def {name}\(", re.M)
    assert any(path.stem == name or defined.search(path.read_text(encoding="utf-8")) for path in TESTS)


SCENARIOS = sorted(set(re.findall(r"scenarios? `(\w+)`(?: and `(\w+)`)?", "\n".join([COMPARISON, *JOURNEYS]))))
NAMED_FILES = sorted(set(re.findall(r"`((?:tests|extensions|plugins|roles)/[\w./]+\.\w+)(?:::\w+)?`", "\n".join(JOURNEYS))))


@pytest.mark.parametrize("names", SCENARIOS, ids="-".join)
def test_a_scenario_that_is_named_exists(names: tuple[str, str]) -> None:
    assert [name for name in names if name and not (ROOT / "extensions/molecule" / name / "molecule.yml").is_file()] == []


@pytest.mark.parametrize("path", NAMED_FILES)
def test_a_file_that_is_named_exists(path: str) -> None:
    assert (ROOT / path).is_file()


@pytest.mark.parametrize(("path", "name"), NAMED, ids=lambda value: str(value).rpartition("/")[2])
def test_a_test_that_is_named_exists(path: str, name: str) -> None:
    assert re.search(rf"^def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.M), f"{path} has no {name}"


def test_the_keepers_deployment_fits_together() -> None:
    """As with the watchdog's Job, whose image it has."""
    page = (ROOT / "docs/balancers/service.md").read_text(encoding="utf-8").partition("### As a Deployment")[2]
    objects = list(yaml.safe_load_all(page.partition("```yaml\n")[2].partition("```")[0]))
    (account,), (kept,), (deployment,) = (
        [body for body in objects if body["kind"] == kind] for kind in ("ServiceAccount", "ConfigMap", "Deployment")
    )
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    files = {
        f"{mount['mountPath']}/{name}"
        for mount in container["volumeMounts"] for volume in pod["volumes"] if volume["name"] == mount["name"]
        for name in (kept["data"] if volume.get("configMap") == {"name": kept["metadata"]["name"]} else [])
    }  # fmt: skip
    settings, kubeconfig = (yaml.safe_load(kept["data"][name]) for name in ("settings.yml", "kubeconfig"))
    like = _watchdog.work("python3", None)
    *command, given, playbook = container["command"]
    assert command == list(like.command[:-2]) and given.removeprefix("--extra-vars=@") in files
    env = {one["name"]: one["value"] for one in container["env"]}
    places = {name: value for name, value in like.env if value.startswith("/")}
    assert env == {"HOME": "/tmp", "USER": "keeper", **places}
    text = (ROOT / "playbooks" / f"{playbook.removeprefix('bluegreen.mesh.')}.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"{{ (mesh_\w+)", text)) == {name for name in settings if name.startswith("mesh_")}
    assert settings["mesh_kubeconfig"] in files
    assert settings["mesh_context"] in [context["name"] for context in kubeconfig["contexts"]]
    (own,) = (volume["projected"]["sources"] for volume in pod["volumes"] if "projected" in volume)
    (token,) = (source["serviceAccountToken"] for source in own if "serviceAccountToken" in source)
    assert 5 * settings["keep_seconds"] < token["expirationSeconds"]
    bindings = [body for body in objects if body["kind"] == "RoleBinding"]
    pairs = _service_endpoints.names_of(settings["mesh_workloads"])
    assert {body["metadata"]["namespace"] for body in bindings} == {one.split("/")[0] for pair in pairs for one in pair}
    role = yaml.safe_load((ROOT / "docs/rbac/cutover.yml").read_text(encoding="utf-8"))["metadata"]["name"]
    subject = {"kind": "ServiceAccount", **account["metadata"]}
    assert all(body["roleRef"]["name"] == role and body["subjects"] == [subject] for body in bindings)
    assert pod["serviceAccountName"] == account["metadata"]["name"]
