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

import pytest
import yaml
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import Cluster, path_of

SCENARIO = pathlib.Path(__file__).parents[1]
RELEASES = yaml.safe_load((SCENARIO / "vars" / "releases.yml").read_text(encoding="utf-8"))["keep_helm4_releases"]
GUARDED = RELEASES.pop()
KEPT = {"Gateway public", "Gateway passthrough", "Secret public-cert"}

Release = dict[str, str]
each_release = pytest.mark.parametrize("release", RELEASES, ids=lambda release: release["namespace"])


@pytest.fixture
def helm(host: t.Any) -> t.Callable[..., t.Any]:
    def call(release: Release, *argv: str, program: str = "") -> t.Any:
        command = [program or release["remover"], *argv, "--namespace", release["namespace"]]
        return host.run(f"HELM_DRIVER={release['driver']} {shlex.join(command)}")

    return call


@pytest.fixture
def uids(uid: t.Callable[[str], str | None]) -> t.Callable[[str], dict[str, str | None]]:
    def of(namespace: str) -> dict[str, str | None]:
        gateways = ("public", "passthrough")
        found = {name: uid(path_of("networking.istio.io/v1", "gateways", namespace, name)) for name in gateways}
        return {**found, "public-cert": uid(path_of("v1", "secrets", namespace, "public-cert"))}

    return of


def names(items: list[dict[str, t.Any]]) -> set[str]:
    return {f"{item['kind']} {item['name']}" for item in items}


def info(run_module: t.Any, release: Release) -> dict[str, t.Any]:
    result = run_module("resource_keep_info", release={"name": "blue", "namespace": release["namespace"]})
    assert not result.get("failed"), result
    return result


@each_release
def test_both_helms_read_an_edited_record(helm: t.Any, run_module: t.Any, release: Release) -> None:
    stored = info(run_module, release)["storage"]
    kind = {"secret": "Secret", "configmap": "ConfigMap"}[release["driver"]]
    assert len(stored) == 2 and all(where.startswith(kind) for where in stored), stored
    for program in ("helm", "helm4"):
        listed = json.loads(helm(release, "list", "--output", "json", program=program).stdout)
        assert [(r["name"], r["revision"], r["status"]) for r in listed] == [("blue", "2", "deployed")], program
        manifest = helm(release, "get", "manifest", "blue", program=program)
        assert manifest.rc == 0 and manifest.stdout.count("helm.sh/resource-policy: keep") == 3, program


@each_release
def test_what_a_new_revision_drops_stays(
    helm: t.Any, run_module: t.Any, uids: t.Any, tmp_path: pathlib.Path, release: Release
) -> None:
    """By a rollback or an upgrade, both of which go by the live annotation. The new revision's manifest says nothing of
    keeping, until it is kept again."""
    before = uids(release["namespace"])
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
    assert uids(release["namespace"]) == before
    plan = info(run_module, release)
    assert plan["release"]["revision"] == 3 and plan["release"]["status"] == "deployed"
    assert plan["keep"] == [] and names(plan["delete"]) & KEPT == KEPT - {"Gateway passthrough"}
    keep = {"migration": release["namespace"], "gateways": [f"{release['namespace']}/public"], "guard": "none"}
    again = run_module("resource_keep", **keep, backup_dir=str(tmp_path))
    assert again.get("changed") and all(item["record"] for item in again["protected"]), again
    assert names(info(run_module, release)["keep"]) == KEPT - {"Gateway passthrough"}


@each_release
def test_uninstall_leaves_what_is_kept(helm: t.Any, cluster: Cluster, uids: t.Any, release: Release) -> None:
    namespace = release["namespace"]
    before = uids(namespace)
    assert all(before.values())
    assert cluster.list(path_of("apps/v1", "deployments", namespace)) != []
    done = helm(release, "uninstall", "blue")
    assert done.rc == 0, done.stderr
    assert "[Gateway] public" in done.stdout and "[Secret] public-cert" in done.stdout
    assert uids(namespace) == before
    for path in (path_of("v1", "services", namespace), path_of("apps/v1", "deployments", namespace)):
        assert cluster.list(path) == []
    for program in ("helm", "helm4"):
        assert helm(release, "list", "--all", "--short", program=program).stdout.strip() == ""


def test_the_guard_alone_makes_uninstall_fail_and_loses_nothing(helm: t.Any, run_module: t.Any, uids: t.Any) -> None:
    namespace = GUARDED["namespace"]
    before = uids(namespace)
    done = helm(GUARDED, "uninstall", "blue")
    assert done.rc != 0 and "failed to delete release" in done.stderr, done.stderr
    after = uids(namespace)
    assert before["public"] and before["public-cert"] and after == {**before, "passthrough": None}
    assert info(run_module, GUARDED)["release"]["status"] == "uninstalling"
    released = run_module(
        "resource_keep", migration=namespace, state="released", gateways=[f"{namespace}/public"], helm_record=False
    )
    assert released.get("changed"), released
    assert helm(GUARDED, "uninstall", "blue").rc == 0
    assert set(uids(namespace).values()) == {None}
