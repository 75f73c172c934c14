# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab builds only what is missing, and knows the extras that only some scenarios need: without Go and a cluster."""

from __future__ import annotations

import importlib
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import typing as t
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "tests" / "lab"


def module(name: str) -> t.Any:
    if str(LAB) not in sys.path:
        sys.path.insert(0, str(LAB))
    return importlib.import_module(f"bglab.{name}")


build, extras, flux = module("build"), module("extras"), module("flux")
MODULES = {m.folder.name: m for m in (build.LAB, *(m for name in extras.EXTRAS for m in extras.modules(name)))}


@pytest.mark.parametrize("name", MODULES)
def test_each_module_pins_what_is_built_from_it(name: str):
    """`go mod tidy` keeps only what the module's tools need: each program is one of them, and nothing else is."""
    text = (MODULES[name].folder / "go.mod").read_text(encoding="utf-8")
    tools = re.findall(r"^(?:tool |\t)([^\s()]+)$", text, re.MULTILINE)
    assert sorted(tools) == sorted(MODULES[name].programs.values())
    sums = (MODULES[name].folder / "go.sum").read_text(encoding="utf-8")
    for source in MODULES[name].sources:
        version = re.search(rf"{re.escape(source)} (v\S+)", text).group(1)
        assert f"{source} {version} h1:" in sums


def test_kubernetes_says_of_itself_the_version_that_it_is():
    """Go writes none into a program that is built from a module, so that the lab has to."""
    text = (build.LAB.folder / "go.mod").read_text(encoding="utf-8")
    assert re.search(r"^\s*k8s\.io/kubernetes (\S+)", text, re.MULTILINE).group(1) == module("settings").KUBERNETES


def test_no_program_and_no_copy_of_one_module_replaces_anothers():
    programs = [name for m in MODULES.values() for name in m.programs]
    copies = [m.copies for m in MODULES.values() if m.copies]
    addresses = [e.ADDRESS for e in extras.EXTRAS.values() if hasattr(e, "start")]
    for names in (programs, copies, addresses):
        assert names and len(names) == len(set(names))


def test_a_module_is_in_the_folder_that_its_extra_is_called():
    built = [name for name in extras.EXTRAS if extras.modules(name)]
    assert len(built) >= 3
    for name in built:
        assert extras.modules(name)[0].folder == LAB / "build" / name


def test_scenarios_need_what_there_is():
    needs = {file.parent.name: file.read_text(encoding="utf-8").split()
             for file in ROOT.glob("extensions/molecule/*/needs")}  # fmt: skip
    for scenario, names in needs.items():
        assert names and set(names) <= extras.EXTRAS.keys(), scenario


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., list[list[str]]]:
    """Builds with a stand-in for Go, two modules in a cache of their own. Returns how Go was called."""
    calls: list[list[str]] = []

    def run(argv: list[str], **kwargs: t.Any) -> subprocess.CompletedProcess[str]:
        calls.append(argv[1:])
        if argv[1] == "build":
            if argv[-1] == "example.org/broken":
                raise subprocess.CalledProcessError(1, argv)
            Path(argv[argv.index("-o") + 1]).write_text("program", encoding="utf-8")
        source = json.dumps({"Dir": str(tmp_path / "source")})
        return subprocess.CompletedProcess(argv, 0, "go1.26.0\n" if argv[1] == "env" else source, "")

    (tmp_path / "source" / "crds").mkdir(parents=True)
    (tmp_path / "source" / "crds" / "a.yaml").write_text("a", encoding="utf-8")
    (tmp_path / "source" / "crds" / "a.yaml").chmod(0o444)
    made = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "go.mod").write_text(name, encoding="utf-8")
        (folder / "go.sum").write_text("", encoding="utf-8")
        copies = tmp_path / f"{name}-crds"
        made.append(build.Module(folder, {name: f"example.org/{name}"}, {"example.org/s": ("crds",)}, copies))
    monkeypatch.setattr(build, "go", lambda: "go")
    monkeypatch.setattr(build.subprocess, "run", run)
    monkeypatch.setattr(build.s, "BIN", tmp_path / "bin")

    def called(*wanted: t.Any) -> list[list[str]]:
        calls.clear()
        build.build(*wanted or made)
        return [call for call in calls if call[0] != "env"]

    called.modules = made  # type: ignore[attr-defined]
    return called


def test_only_what_is_missing_is_built(go: t.Any, tmp_path: Path):
    one, two = go.modules
    assert [call[-1] for call in go(one)] == ["example.org/one", "example.org/s"]
    assert [call[-1] for call in go()] == ["example.org/two", "example.org/s"], "one's stamp has outlived two's build"
    assert go() == []
    (tmp_path / "bin" / "one").unlink()
    assert [call[-1] for call in go()] == ["example.org/one"]
    (two.folder / "go.sum").write_text("other", encoding="utf-8")
    assert [call[-1] for call in go()] == ["example.org/two", "example.org/s"]
    shutil.rmtree(two.copies)
    assert [call[-1] for call in go()] == ["example.org/s"]


def test_copies_can_be_written(go: t.Any):
    go()
    for made in go.modules:
        (made.copies / "crds" / "a.yaml").write_text("b", encoding="utf-8")


def test_what_was_built_before_a_failure_stays(go: t.Any):
    one, two = go.modules
    broken = build.Module(two.folder, {"broken": "example.org/broken"})
    with pytest.raises(subprocess.CalledProcessError):
        go(one, broken)
    assert build.missing(one) == [] and build.missing(broken) == ["broken"]
    assert [call[-1] for call in go(one)] == ["example.org/s"]


def lab(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(LAB / "lab"), *argv], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", ["build", "add", "remove"])
def test_an_extra_that_there_is_not_is_refused_with_those_that_there_are(command: str):
    done = lab(command, "helm4", "helm5")
    assert done.returncode == 2 and "helm5" in done.stderr
    assert all(name in done.stderr for name in extras.EXTRAS)


def test_without_a_lab_nothing_is_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LAB_STATE", str(tmp_path))
    done = lab("add", "helm4")
    assert done.returncode == 1 and "lab: is not up" in done.stderr


def chart(folder: Path) -> Path:
    for name, text in (("Chart.yaml", "name: shop\nversion: 1.2.3\n"), ("templates/a.yaml", "kind: A\n"),
                       ("charts/sub/Chart.yaml", "name: sub\nversion: 0.1.0\n")):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_a_chart_is_packed_as_helm_wants_it(tmp_path: Path):
    packed = flux.pack(chart(tmp_path / "called otherwise"))
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
        found = {entry.name: archive.extractfile(entry).read() for entry in archive}
    assert found.keys() == {"shop/Chart.yaml", "shop/charts/sub/Chart.yaml", "shop/templates/a.yaml"}
    assert found["shop/templates/a.yaml"] == b"kind: A\n"


def test_the_same_chart_is_the_same_archive(tmp_path: Path):
    first, second = chart(tmp_path / "a"), chart(tmp_path / "b")
    (second / "templates" / "a.yaml").chmod(0o600)
    assert flux.pack(first) == flux.pack(second)
    (second / "templates" / "a.yaml").write_text("kind: B\n", encoding="utf-8")
    assert flux.pack(first) != flux.pack(second)


def test_the_bridge_makes_haproxys_weights_of_awss():
    bridge = module("moto_bridge")
    ports = {"b": 30080, "g": 30081}

    def weights(*groups: tuple[str, int]) -> tuple[int, int]:
        tuples = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in groups]
        action = {"Type": "forward", "ForwardConfig": {"TargetGroups": tuples}}
        return bridge.scaled(*bridge.weights_of({"DefaultActions": [action]}, ports))

    alone = {"DefaultActions": [{"Type": "forward", "TargetGroupArn": "b"}]}
    assert bridge.scaled(*bridge.weights_of(alone, ports)) == (100, 0)
    assert weights(("b", 90), ("g", 10)) == (90, 10)
    assert weights(("b", 0), ("g", 100)) == (0, 100)
    assert weights(("b", 999), ("g", 1)) == (256, 1)
    assert weights(("b", 500), ("g", 500)) == (256, 256)
