# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Helm 4 does to what is kept, whichever Helm has installed it, and Helm 3 to what Helm 4 has; both drivers.

The tests build on each other, in their order.
"""

from __future__ import annotations

import json
import os
import pathlib
import shlex
import typing as t

import lab
import pytest
import yaml
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import Cluster, path_of

SCENARIO = pathlib.Path(__file__).parents[1]
RELEASES = yaml.safe_load((SCENARIO / "vars" / "releases.yml").read_text(encoding="utf-8"))["keep_helm4_releases"]
GUARDED = RELEASES.pop()
GATEWAYS = ("public", "passthrough")
KEPT = {"Gateway public", "Gateway passthrough", "Secret public-cert"}

Release = dict[str, str]
each_release = pytest.mark.parametrize("release", RELEASES, ids=lambda release: release["namespace"])


@pytest.fixture
def helm(host: t.Any) -> t.Callable[..., t.Any]:
    def call(release: Release, *argv: str, program: str = "") -> t.Any:
        command = [program or release["remover"], *argv, "--namespace", release["namespace"]]
        return host.run(f"HELM_DRIVER={release['driver']} {shlex.join(command)}")

    return call


def uids(cluster: Cluster, namespace: str) -> dict[str, str | None]:
    gateways = {name: path_of("networking.istio.io/v1", "gateways", namespace, name) for name in GATEWAYS}
    found = {**gateways, "public-cert": path_of("v1", "secrets", namespace, "public-cert")}
    return {name: lab.uid(cluster, path) for name, path in found.items()}


def names(items: list[dict[str, t.Any]]) -> set[str]:
    return {f"{item['kind']} {item['name']}" for item in items}


def info(tmp_path: pathlib.Path, release: Release) -> dict[str, t.Any]:
    result = lab.run("resource_keep_info", tmp_path, release={"name": "blue", "namespace": release["namespace"]})
    assert not result.get("failed"), result
    return result


@each_release
def test_both_helms_read_an_edited_record(helm: t.Any, tmp_path: pathlib.Path, release: Release) -> None:
    stored = info(tmp_path, release)["storage"]
    kind = {"secret": "Secret", "configmap": "ConfigMap"}[release["driver"]]
    assert len(stored) == 2 and all(where.startswith(kind) for where in stored), stored
    for program in ("helm", "helm4"):
        listed = json.loads(helm(release, "list", "--output", "json", program=program).stdout)
        assert [(r["name"], r["revision"], r["status"]) for r in listed] == [("blue", "2", "deployed")], program
        manifest = helm(release, "get", "manifest", "blue", program=program)
        assert manifest.rc == 0 and manifest.stdout.count("helm.sh/resource-policy: keep") == 3, program


@each_release
def test_what_a_new_revision_drops_stays(
    helm: t.Any, cluster: Cluster, tmp_path: pathlib.Path, release: Release
) -> None:
    """By a rollback or an upgrade, both of which go by the live annotation. The new revision's manifest says nothing of
    keeping, until it is kept again."""
    before = uids(cluster, release["namespace"])
    assert all(before.values())
    if release["driver"] == "secret":
        done = helm(release, "rollback", "blue", "1")
    else:
        chart = f"{os.environ['LAB_STATE']}/apps/blue"
        values = json.loads(helm(release, "get", "values", "blue", "--output", "json").stdout)
        values["gateways"]["passthrough"] = None
        (tmp_path / "values.json").write_text(json.dumps(values), encoding="utf-8")
        done = helm(release, "upgrade", "blue", chart, "--values", str(tmp_path / "values.json"))
    assert done.rc == 0, done.stderr
    assert uids(cluster, release["namespace"]) == before
    plan = info(tmp_path, release)
    assert plan["release"]["revision"] == 3 and plan["release"]["status"] == "deployed"
    assert plan["keep"] == [] and names(plan["delete"]) & KEPT == KEPT - {"Gateway passthrough"}
    keep = {"migration": release["namespace"], "gateways": [f"{release['namespace']}/public"], "guard": "none"}
    again = lab.run("resource_keep", tmp_path, **keep, backup_dir=str(tmp_path))
    assert again.get("changed") and all(item["record"] for item in again["protected"]), again
    assert names(info(tmp_path, release)["keep"]) == KEPT - {"Gateway passthrough"}


@each_release
def test_uninstall_leaves_what_is_kept(helm: t.Any, cluster: Cluster, release: Release) -> None:
    namespace = release["namespace"]
    before = uids(cluster, namespace)
    assert all(before.values())
    assert cluster.list(path_of("apps/v1", "deployments", namespace)) != []
    done = helm(release, "uninstall", "blue")
    assert done.rc == 0, done.stderr
    assert "[Gateway] public" in done.stdout and "[Secret] public-cert" in done.stdout
    assert uids(cluster, namespace) == before
    for path in (path_of("v1", "services", namespace), path_of("apps/v1", "deployments", namespace)):
        assert cluster.list(path) == []
    for program, every in (("helm", ["--all"]), ("helm4", [])):  # Helm 4 has no such option, and lists all
        listed = helm(release, "list", "--short", *every, program=program)
        assert listed.rc == 0 and listed.stdout.strip() == "", listed


def test_the_guard_alone_makes_uninstall_fail_and_loses_nothing(
    helm: t.Any, cluster: Cluster, tmp_path: pathlib.Path
) -> None:
    namespace = GUARDED["namespace"]
    before = uids(cluster, namespace)
    done = helm(GUARDED, "uninstall", "blue")
    assert done.rc != 0 and "failed to delete release" in done.stderr, done.stderr
    after = uids(cluster, namespace)
    assert before["public"] and before["public-cert"] and after == {**before, "passthrough": None}
    assert info(tmp_path, GUARDED)["release"]["status"] == "uninstalling"
    params = {"migration": namespace, "gateways": [f"{namespace}/public"], "helm_record": False}
    released = lab.run("resource_keep", tmp_path, **params, state="released")
    assert released.get("changed"), released
    assert helm(GUARDED, "uninstall", "blue").rc == 0
    assert set(uids(cluster, namespace).values()) == {None}
