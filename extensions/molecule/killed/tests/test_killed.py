# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole migration whose last phases are killed in their middle, each of them: the next run goes on where it ended,
and no client notices. Before it, check mode over all of it; before its cleanup, one that is refused, since something
refers to blue. The scenario `resume` kills the first phases.

The tests build on each other, in their order.
"""

from __future__ import annotations

import json
import os
import subprocess
import typing as t

import lab
from ansible_collections.bluegreen.mesh.plugins.module_utils import _traffic
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import Cluster, path_of

ISTIO = "networking.istio.io/v1"
TRAFFIC = f"{os.environ['LAB_STATE']}/traffic-killed"
SETTINGS = {
    "mesh_migration": "killed",
    "mesh_journal_namespace": "mesh-killed",
    "mesh_traffic": {"probe": {"dir": TRAFFIC}},
    "mesh_cutover_steps": [100],
    **lab.QUICK,
}
BLUE = {"istio-system/public", "istio-system/passthrough"}
WATCHED = (
    (ISTIO, "gateways"), (ISTIO, "virtualservices"), ("v1", "services"), ("v1", "secrets"), ("v1", "configmaps"),
    ("v1", "namespaces"), ("apps/v1", "deployments"), ("admissionregistration.k8s.io/v1", "mutatingadmissionpolicies"),
    ("admissionregistration.k8s.io/v1", "validatingadmissionpolicies"),
)  # fmt: skip


def versions(cluster: Cluster) -> dict[str, str]:
    """resourceVersions: whatever is written moves one."""
    found = {}
    for group_version, plural in WATCHED:
        for body in cluster.list(path_of(group_version, plural)):
            meta = body["metadata"]
            found[f"{plural} {meta.get('namespace', '')}/{meta['name']}"] = meta["resourceVersion"]
    return found


def journal(cluster: Cluster) -> dict[str, t.Any]:
    body = cluster.get(path_of("v1", "configmaps", "mesh-killed", "killed"))
    return {name: json.loads(body["data"][name]) for name in ("phases", "steps", "run")}


def forward(*tags: str, **more: t.Any) -> str:
    done = lab.play({**SETTINGS, **more}, "--tags", ",".join(tags))
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def kill_in(cluster: Cluster, phase: str, steps: int, **more: t.Any) -> None:
    lab.kill_in(lambda: journal(cluster), {**SETTINGS, **more}, phase, steps)


def resume(cluster: Cluster, phase: str) -> None:
    refused = lab.play(SETTINGS, "--tags", phase)
    assert refused.returncode != 0 and "-e mesh_takeover=true" in refused.stdout, refused.stdout[-3000:]
    forward(phase, mesh_takeover=True)
    found = journal(cluster)
    assert found["phases"][phase]["state"] == "done" and found["run"]["state"] == "closed"
    assert {step["state"] for step in found["steps"]} == {"done"}
    keys = [(step["phase"], step["op"], step["key"]) for step in found["steps"]]
    assert len(keys) == len(set(keys)), "a step was noted twice"


def named(cluster: Cluster) -> set[str]:
    """All that VirtualServices outside of istio-system name at their top."""
    found = [vs["spec"].get("gateways") or [] for vs in cluster.list(path_of(ISTIO, "virtualservices"))]
    return {name for names in found for name in names}


# -- check mode --------------------------------------------------------------------------------------------------------
def test_check_mode_over_all_phases_writes_nothing_and_says_what_it_can_t_know(cluster: Cluster) -> None:
    before, weights = versions(cluster), lab.weights()
    done = lab.play(SETTINGS, "--check", "--diff")
    assert done.returncode == 0, done.stdout[-4000:]
    assert "bind: unknown until keep has run." in done.stdout and "cleanup: unknown until" in done.stdout
    assert versions(cluster) == before and lab.weights() == weights


# -- the migration -----------------------------------------------------------------------------------------------------
def test_to_green(cluster: Cluster) -> None:
    forward("preflight", "keep", "bind", "deploy", "verify", "cutover")
    assert {weight for server, weight in lab.weights().items() if "/blue-" in server} == {0}


def test_a_soak_that_was_killed_begins_anew(cluster: Cluster) -> None:
    kill_in(cluster, "soak", steps=0)
    resume(cluster, "soak")


def test_check_mode_meets_the_gate_of_unbind_and_writes_nothing(cluster: Cluster) -> None:
    before = versions(cluster)
    done = lab.play(SETTINGS, "--check", "--tags", "unbind")
    assert done.returncode != 0 and "would not stay on green" in done.stdout, done.stdout[-3000:]
    assert versions(cluster) == before


def test_an_unbind_that_was_killed_is_finished(cluster: Cluster) -> None:
    command, options = lab.playing(SETTINGS)
    command[command.index("playbooks/migrate.yml")] = "tests/demo/delivery.yml"
    delivered = subprocess.run(command, capture_output=True, timeout=300, check=False, **options)
    assert delivered.returncode == 0, delivered.stdout[-3000:]
    kill_in(cluster, "unbind", steps=1)
    resume(cluster, "unbind")
    assert not named(cluster) & BLUE
    policies = cluster.list(path_of("admissionregistration.k8s.io/v1", "mutatingadmissionpolicies"))
    assert [policy["metadata"]["name"] for policy in policies] == []


def test_a_cleanup_is_refused_while_something_refers_to_blue_and_removes_nothing(cluster: Cluster) -> None:
    route = {"destination": {"host": "public-ingressgateway.istio-system.svc.cluster.local"}}
    body = {
        "apiVersion": ISTIO, "kind": "VirtualService", "metadata": {"namespace": "shop", "name": "to-blue"},
        "spec": {"hosts": ["to-blue.lab.test"], "gateways": ["mesh"], "http": [{"route": [route]}]},
    }  # fmt: skip
    cluster.create(path_of(ISTIO, "virtualservices", "shop"), body)
    try:
        before, steps = versions(cluster), journal(cluster)["steps"]
        refused = lab.play(SETTINGS, "--tags", "cleanup")
        assert refused.returncode != 0
        assert "1 would break: service_name_user: VirtualService shop/to-blue" in refused.stdout, refused.stdout[-3000:]
        assert "Nothing has been removed." in refused.stdout
        found = journal(cluster)
        assert found["steps"] == steps and found["run"]["state"] == "closed"
        noted = {"configmaps mesh-killed/killed": ""}  # who ran, and that the phase has begun
        assert {**versions(cluster), **noted} == {**before, **noted}
    finally:
        cluster.delete(path_of(ISTIO, "virtualservices", "shop", "to-blue"))


def test_a_cleanup_that_was_killed_twice_is_finished(cluster: Cluster) -> None:
    kill_in(cluster, "cleanup", steps=1)
    kill_in(cluster, "cleanup", steps=3, mesh_takeover=True)
    resume(cluster, "cleanup")
    for group_version, plural, name in (
        (ISTIO, "gateways", "public"), ("v1", "secrets", "public-cert"), ("v1", "services", "public-ingressgateway"),
        ("apps/v1", "deployments", "public-ingressgateway"), ("v1", "secrets", "sh.helm.release.v1.istio-ingress.v1"),
    ):  # fmt: skip
        assert cluster.find(path_of(group_version, plural, "istio-system", name)) is None, name
    again = lab.play(SETTINGS)
    assert again.returncode == 0 and "changed=0 " in again.stdout, again.stdout[-3000:]


def test_no_request_was_lost(cluster: Cluster) -> None:
    seen = _traffic.summarise(_traffic.read_records(_traffic.records_path(TRAFFIC)))
    assert seen["total"]["failed"] == 0 and seen["total"]["requests"] > 5000, str(seen["errors"])
