# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How deploy waits for what it has only written as files, as Ansible evaluates it, with the module it asks."""

from __future__ import annotations

import copy
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.bluegreen.mesh.plugins.modules import ingress_convert, migration_journal
from fake_cluster import FakeCluster, run_module
from fake_ingresses import ingress, service
from role_tasks import evaluate, holds, task

DEPLOY = "deploy/tasks/ingress_to_istio.yml"
JOURNAL = {"namespace": "journals", "name": "m"}
CLASSES = [{"name": "nginx", "gateway": "edge/public", "selector": {"istio": "public"}}]
OMIT = "(left out)"
WAIT = task(DEPLOY, "Wait until it is in the cluster")


def cluster() -> FakeCluster:
    """Without the Gateway's namespace: that may come with the files."""
    notes = {"affinity": "cookie", "whitelist-source-range": "10.0.0.0/8"}
    return FakeCluster(service("web"), ingress(notes=notes))


def play(fake: FakeCluster, asked: t.Any, dest: Path) -> dict[str, t.Any]:
    """The task's module with the options that it gives."""
    epoch = run_module(migration_journal, {**JOURNAL, "state": "open", "run_id": "r"}, fake)["epoch"]
    given = {
        "mesh_conversion": {"apply": False, "dest": str(dest)}, "mesh_migration": "m", "_mesh_classes": CLASSES,
        "_mesh_check": False, "_mesh_journal_ref": {**JOURNAL, "epoch": epoch}, "omit": OMIT,
    }  # fmt: skip
    options = {name: evaluate(value, **given) for name, value in asked["bluegreen.mesh.ingress_convert"].items()}
    options = {name: value for name, value in options.items() if value != OMIT}
    before = fake.writes
    done = run_module(ingress_convert, options, fake, check=asked.get("check_mode", False))
    assert not done.get("failed") and fake.writes == before, done.get("msg", "it has written to the cluster")
    return done


def files(dest: Path) -> list[dict[str, t.Any]]:
    listed = yaml.safe_load((dest / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    return [yaml.safe_load((dest / path).read_text(encoding="utf-8")) for path in listed]


def ends(fake: FakeCluster, dest: Path) -> bool:
    return holds(WAIT["until"], **{WAIT["register"]: play(fake, WAIT, dest)})


def test_it_waits_until_every_file_is_in_the_cluster(tmp_path: Path) -> None:
    fake = cluster()
    play(fake, task(DEPLOY, "Make routes"), tmp_path)
    brought = files(tmp_path)
    assert {one["kind"] for one in brought} == {"AuthorizationPolicy", "DestinationRule", "Gateway", "VirtualService"}
    for one in brought:
        assert not ends(fake, tmp_path)
        fake.add(one)
    assert ends(fake, tmp_path)


def test_it_waits_until_what_was_there_is_as_the_files_say(tmp_path: Path) -> None:
    """What an earlier commit had, changed or not wanted any more."""
    fake = cluster()
    play(fake, task(DEPLOY, "Make routes"), tmp_path)
    fake.add(*files(tmp_path))
    (route,) = (one for one in files(tmp_path) if one["kind"] == "VirtualService")
    name = (route["metadata"]["namespace"], route["metadata"]["name"])
    fake.edit("virtualservices", *name, lambda body: body["spec"]["http"][-1].update(timeout="1s"))
    assert not ends(fake, tmp_path)
    fake.edit("virtualservices", *name, lambda body: body.update(spec=route["spec"]))
    assert ends(fake, tmp_path)
    old = copy.deepcopy(route)
    old["metadata"]["name"] = "gone"
    fake.add(old)
    assert not ends(fake, tmp_path)


@pytest.mark.parametrize(
    ("conversion", "check", "waits"),
    [
        ({"apply": False}, False, True), ({"apply": False}, True, False), ({"apply": True}, False, False),
        ({}, False, False),
    ],
)  # fmt: skip
def test_it_waits_only_where_it_has_not_written_itself(conversion: dict[str, bool], check: bool, waits: bool) -> None:
    assert holds(WAIT["when"], mesh_conversion=conversion, _mesh_check=check) is waits


@pytest.mark.parametrize("seconds", [300, 7])
def test_it_waits_as_long_as_it_may(seconds: int) -> None:
    spent = evaluate(WAIT["retries"], mesh_deploy_timeout=seconds) * WAIT["delay"]
    assert seconds <= spent < seconds + WAIT["delay"]
