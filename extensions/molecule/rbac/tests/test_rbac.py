# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each phase runs as a user who has the permissions that docs/rbac gives for it, and no others.

The tests build on each other, in their order.
"""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import lab
import pytest
import yaml
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import Cluster, path_of

GROUP = "rbac.authorization.k8s.io"
RBAC = f"{GROUP}/v1"
ROLES = {path.stem: path for path in (lab.ROOT / "docs" / "rbac").glob("*.yml")}
BINDINGS = path_of(RBAC, "clusterrolebindings")
LABELS = {"app.kubernetes.io/managed-by": "bluegreen.mesh"}
# Which files a phase needs beside journal.yml.
NEEDS = {
    "preflight": ["preflight"], "keep": ["keep"], "bind": ["bind"], "deploy": ["deploy", "keep", "preflight"], "verify": ["verify"],
    "cutover": ["preflight", "verify", "cutover", "certificates", "keep"], "soak": ["soak", "certificates"], "unbind": ["unbind"],
    "cleanup": ["cleanup", "keep", "preflight"],
}  # fmt: skip
SETTINGS = {
    "mesh_context": "operator",
    "mesh_migration": "rbac",
    "mesh_journal_namespace": "mesh-rbac",
    "mesh_traffic": {"probe": {"dir": f"{os.environ['LAB_STATE']}/traffic-rbac"}},
    "mesh_cutover_steps": [50, 100],
    "mesh_unbind_waived": ["last_applied"],  # the applications stay as they are delivered: all of this is rolled back
    "mesh_soak": {"window": 3, "deadline": 120},
    **lab.QUICK,
}


@pytest.fixture(scope="module")
def cluster(cluster: Cluster) -> t.Iterator[Cluster]:
    """That of all scenarios, with the roles."""
    roles = path_of(RBAC, "clusterroles")
    for path in ROLES.values():
        cluster.create(roles, yaml.safe_load(path.read_text(encoding="utf-8")))
    yield cluster
    take_away(cluster)
    for path in ROLES.values():
        cluster.delete(f"{roles}/{yaml.safe_load(path.read_text(encoding='utf-8'))['metadata']['name']}")


def take_away(cluster: Cluster) -> None:
    for body in cluster.list(BINDINGS, {"labelSelector": "app.kubernetes.io/managed-by=bluegreen.mesh"}):
        cluster.delete(f"{BINDINGS}/{body['metadata']['name']}")


def allow(cluster: Cluster, files: t.Iterable[str]) -> None:
    """The operator may do what these files say, and nothing else."""
    take_away(cluster)
    for name in ("journal", *files):
        body = {
            "apiVersion": RBAC, "kind": "ClusterRoleBinding",
            "metadata": {"name": f"bluegreen-mesh-{name}", "labels": LABELS},
            "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": f"bluegreen-mesh-{name}"},
            "subjects": [{"apiGroup": GROUP, "kind": "User", "name": "operator"}],
        }  # fmt: skip
        cluster.create(BINDINGS, body)


def test_without_permissions_it_is_said_which_are_missing(cluster: Cluster) -> None:
    allow(cluster, [])
    done = lab.play(SETTINGS, "--tags", "preflight")
    assert done.returncode != 0 and "docs/permissions.md" in done.stdout


def test_a_plan_asks_every_phase_and_may_read_what_they_may(cluster: Cluster, tmp_path: Path) -> None:
    allow(cluster, ROLES.keys() - {"journal", "job"})
    done = lab.play({**SETTINGS, "mesh_plan_dir": str(tmp_path)}, "--tags", "plan")
    assert done.returncode == 0, done.stdout[-4000:]
    assert list(tmp_path.glob("*.json")), "no plan was written"


@pytest.mark.parametrize("phase", NEEDS)
def test_a_phase_does_with_its_permissions(cluster: Cluster, phase: str) -> None:
    allow(cluster, NEEDS[phase])
    done = lab.play(SETTINGS, "--tags", phase)
    assert done.returncode == 0, done.stdout[-4000:]
    # The pods' own pages are for soak to read.
    unseen = "Whether soak could tell that blue is idle is not known: " in " ".join(done.stdout.split())
    assert unseen is (phase == "preflight")


def test_a_report_takes_the_journal_alone(cluster: Cluster, tmp_path: Path) -> None:
    allow(cluster, [])
    done = lab.play({**SETTINGS, "mesh_report_dir": str(tmp_path)}, "--tags", "report")
    assert done.returncode == 0, done.stdout[-4000:]
    assert list(tmp_path.iterdir()), "no report was written"


def test_the_way_back_needs_what_the_phases_needed(cluster: Cluster) -> None:
    assert not cluster.find(path_of("v1", "services", "istio-system", "public-ingressgateway"))
    allow(cluster, ["cleanup", "keep", "unbind", "soak"])
    done = lab.play({**SETTINGS, "mesh_rollback_to": "unbind"}, "--tags", "rollback")
    assert done.returncode == 0, done.stdout[-4000:]
    assert cluster.find(path_of("v1", "services", "istio-system", "public-ingressgateway"))
    # Both sides serve again, and clients are where they were.
    assert named(cluster) >= {"istio-system/public", "istio-gateway/public-ingressgateway"}
    assert not [name for name, weight in lab.weights().items() if "/blue-" in name and weight]


def test_so_does_an_abort(cluster: Cluster) -> None:
    allow(cluster, ["keep", "bind", "deploy", "soak", "preflight", "verify"])
    done = lab.play({**SETTINGS, **lab.UNHURRIED}, "--tags", "abort")
    assert done.returncode == 0, done.stdout[-4000:]
    assert not [name for name, weight in lab.weights().items() if "green" in name and weight]
    assert not cluster.find(path_of("v1", "services", "istio-gateway", "public-ingressgateway"))


def named(cluster: Cluster) -> set[str]:
    """All that VirtualServices name at their top."""
    found = [vs["spec"].get("gateways") or [] for vs in cluster.list(path_of("networking.istio.io/v1", "virtualservices"))]
    return {name for names in found for name in names}
