# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to agree across files: the action group, documentation, pins, and the one schema of settings."""

from __future__ import annotations

import ast
import fnmatch
import json
import re
import typing as t
from importlib import metadata
from pathlib import Path

import ansible_collections
import pytest
import yaml
from ansible.utils.version import SemanticVersion

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted((ROOT / "plugins" / "modules").glob("*.py"))
PLUGINS = sorted((ROOT / "plugins").rglob("*.py"))
SPECS = sorted((ROOT / "roles").glob("*/meta/argument_specs.yml"))


def load(path: str | Path) -> t.Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def strings_of(module: Path) -> dict[str, str]:
    """The module-level string constants: DOCUMENTATION, EXAMPLES, RETURN."""
    return {
        node.targets[0].id: node.value.value
        for node in ast.parse(module.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    }


def documentation(module: Path) -> dict[str, t.Any]:
    return yaml.safe_load(strings_of(module)["DOCUMENTATION"])


def takes_a_cluster(documented: dict[str, t.Any]) -> bool:
    fragments = documented["extends_documentation_fragment"]
    return "bluegreen.mesh.cluster" in fragments or "kubeconfig" in documented.get("options", {})


def pins(path: str) -> dict[str, str]:
    """name -> version of one requirements file; everything in it has to be an exact pin."""
    found = {}
    for line in (ROOT / path).read_text(encoding="utf-8").splitlines():
        if not line or line.startswith(("#", "-r ")):
            continue
        name, separator, version = line.partition("==")
        assert separator and re.fullmatch(r"[0-9][\w.]*", version), f"{path}: not an exact pin: {line}"
        found[canonical(name)] = version
    return found


def canonical(name: str) -> str:
    """PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_there_are_modules_and_roles() -> None:
    """The parametrised tests below must not pass for want of anything to test."""
    assert MODULES
    assert SPECS


def test_action_group_is_exactly_the_modules_that_take_a_cluster() -> None:
    """A module that knows no kubeconfig would fail on the group's module_defaults; one that is missing gets none."""
    group = load("meta/runtime.yml")["action_groups"]["mesh"]
    assert group == [module.stem for module in MODULES if takes_a_cluster(documentation(module))]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_module_is_documented(module: Path) -> None:
    texts = strings_of(module)
    assert {"DOCUMENTATION", "EXAMPLES", "RETURN"} <= texts.keys()
    documented = yaml.safe_load(texts["DOCUMENTATION"])
    assert documented["module"] == module.stem
    assert documented["short_description"] and documented["description"] and documented["author"]
    assert documented["version_added"] == "0.1.0"
    attributes = {"bluegreen.mesh.cluster.attributes", "bluegreen.mesh.cluster.info"}
    assert attributes & set(documented["extends_documentation_fragment"]), "says nothing about check and diff mode"
    assert yaml.safe_load(texts["RETURN"]), "nothing is documented as returned"
    tasks = yaml.safe_load(texts["EXAMPLES"])
    assert any(f"bluegreen.mesh.{module.stem}" in task for task in tasks), "no example calls the module"


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_licence_line(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert any("GNU General Public License v3.0+" in line for line in lines[:20])
    assert (lines[0] == "#!/usr/bin/python") == (path.parent.name == "modules")


def test_what_is_installed_is_what_is_pinned() -> None:
    """Both ways: a pin that is not installed, and something installed (by whatever pulled it in) without a pin."""
    runtime, tools = pins("requirements.txt"), pins("tests/requirements.txt")
    assert not runtime.keys() & tools.keys(), "pinned twice"
    installed = {canonical(d.metadata["Name"]): d.version for d in metadata.distributions()}
    for base in ("pip", "setuptools"):
        installed.pop(base, None)
    # On a machine without Go the lab brings it, of the version that its build names.
    wheel = re.search(r'^GO_WHEEL = "([\w-]+)==([\w.]+)"', (ROOT / "tests/lab/bglab/build.py").read_text(encoding="utf-8"), re.M)
    assert wheel and installed.pop(wheel[1], wheel[2]) == wheel[2]
    assert installed == runtime | tools


def test_collection_pins_agree_with_the_ansible_package_and_with_galaxy() -> None:
    pinned = {entry["name"]: entry["version"] for entry in load("requirements.yml")["collections"]}
    dependencies = load("galaxy.yml")["dependencies"]
    assert pinned.keys() == dependencies.keys()
    for name, version in pinned.items():
        manifests = [Path(p, *name.split("."), "MANIFEST.json") for p in ansible_collections.__path__]
        manifest = next(path for path in manifests if path.exists())
        assert json.loads(manifest.read_text(encoding="utf-8"))["collection_info"]["version"] == version, manifest
        lowest, below = re.fullmatch(r">=([\d.]+),<([\d.]+)", dependencies[name]).groups()
        assert SemanticVersion(lowest) <= SemanticVersion(version) < SemanticVersion(below)


def test_ansible_core_is_the_documented_floor() -> None:
    """The floor that meta/runtime.yml promises is the version that everything here is tested with."""
    floor = load("meta/runtime.yml")["requires_ansible"].removeprefix(">=")
    assert pins("requirements.txt")["ansible-core"].rpartition(".")[0] == floor.rpartition(".")[0]


def test_execution_environment_uses_the_shipped_pins() -> None:
    named = load("meta/execution-environment.yml")["dependencies"]["python"]
    assert (ROOT / named).is_file()
    assert not any(fnmatch.fnmatch(named, pattern) for pattern in load("galaxy.yml")["build_ignore"])


def test_what_is_left_out_of_the_artifact_exists() -> None:
    """A misspelt pattern in build_ignore ignores nothing. What git ignores need not exist here."""
    made = {".cache", ".hypothesis", "__pycache__", "changelogs/.plugin-cache.yaml"}
    assert [p for p in load("galaxy.yml")["build_ignore"] if p not in made and not list(ROOT.glob(p))] == []


def options_of_roles() -> dict[str, dict[str, dict[str, t.Any]]]:
    """option -> role/entry point -> its specification."""
    found: dict[str, dict[str, dict[str, t.Any]]] = {}
    for path in SPECS:
        for entry, spec in load(path)["argument_specs"].items():
            for name, option in spec.get("options", {}).items():
                found.setdefault(name, {})[f"{path.parts[-3]}/{entry}"] = option
    return found


def outline(option: dict[str, t.Any]) -> dict[str, t.Any]:
    """What every role that demands an option says of it. What is inside it is documented once, in the role mesh."""
    return {key: option.get(key) for key in ("description", "type", "elements", "choices")}


@pytest.mark.parametrize("name", sorted(options_of_roles()))
def test_an_option_is_the_same_in_every_role(name: str) -> None:
    """One schema: a phase only says which of its options it can't do without."""
    uses = options_of_roles()[name]
    assert "mesh/main" in uses, f"{name} is not in the schema"
    for role, option in uses.items():
        assert option.get("description") and option.get("type"), f"{name} in {role} has no description or no type"
        assert outline(option) == outline(uses["mesh/main"]), f"{name} differs between {role} and mesh"


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.parts[-3])
def test_role_entry_points_are_described(path: Path) -> None:
    for entry, spec in load(path)["argument_specs"].items():
        assert spec.get("short_description") and spec.get("description"), entry
        assert (path.parents[1] / "tasks" / f"{entry}.yml").is_file(), f"no tasks for entry point {entry}"
