# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All traffic to green, blue unbound, and back by each way to bind VirtualServices, with live clients. The default has
every other scenario. The tests build on each other, in their order: what one strategy leaves the next one finds."""

from __future__ import annotations

import os
import time
import typing as t

import lab
import pytest
import yaml
from ansible_collections.bluegreen.mesh.plugins.module_utils import _traffic
from ansible_collections.bluegreen.mesh.plugins.module_utils import _virtual_services as vs_rules
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import FIELD_MANAGER, Cluster, path_of

STATE = os.environ["LAB_STATE"]
TRAFFIC = f"{STATE}/traffic-strategies"
ISTIO = "networking.istio.io/v1"
ROUTES = path_of(ISTIO, "virtualservices")
BLUE, GREEN = "istio-system/public", "istio-gateway/public-ingressgateway"
INVENTORY = yaml.safe_load((lab.ROOT / "inventories/lab/group_vars/clusters.yml").read_text(encoding="utf-8"))
BLUES, GREENS = ({pair[side] for pair in INVENTORY["mesh_gateways"]} for side in ("blue", "green"))
OURS = {"mesh_migration": "strategies", "mesh_journal_namespace": "mesh-strategies"}
SETTINGS = {
    **OURS,
    "mesh_traffic": {"probe": {"dir": TRAFFIC}},
    "mesh_cutover_steps": [100],
    "mesh_soak": {"window": 3, "deadline": 120},
    "mesh_unbind_waived": ["last_applied"],  # the applications stay as they are delivered
    **lab.QUICK,
}
POLICIES = {
    "MutatingAdmissionPolicy": ("admissionregistration.k8s.io/v1", "mutatingadmissionpolicies"),
    "MutatingPolicy": ("policies.kyverno.io/v1", "mutatingpolicies"),
    "ClusterPolicy": ("kyverno.io/v1", "clusterpolicies"),
}
# Strategy -> the kind of its policy, and whether the names in what is bound are ours.
STRATEGIES = {
    "kyverno": ("MutatingPolicy", False),
    "kyverno_cluster_policy": ("ClusterPolicy", False),
    "direct": (None, True),
}


def policies(cluster: Cluster) -> dict[str, int]:
    return {kind: len(cluster.list(path_of(*where))) for kind, where in POLICIES.items()}


def routes(cluster: Cluster) -> dict[str, dict[str, t.Any]]:
    return {f"{vs['metadata']['namespace']}/{vs['metadata']['name']}": vs for vs in cluster.list(ROUTES)}


def serving(found: dict[str, dict[str, t.Any]], gateways: set[str]) -> set[str]:
    """Those that name one of them, in any of their lists and any way to write it."""
    return {
        name for name, body in found.items()
        for names in vs_rules.lists_of(body).values() for one in names
        if vs_rules.resolve(one, body["metadata"]["namespace"]) in gateways
    }  # fmt: skip


def ours(virtual_service: dict[str, t.Any]) -> bool:
    return FIELD_MANAGER in {entry["manager"] for entry in virtual_service["metadata"]["managedFields"]}


def await_clients_of(side: set[str]) -> None:
    """Until those whose answers name a gateway's pod have been answered by this side alone for 300 requests."""
    begun = time.time()
    lately: set[str | None] = set()
    while time.time() - begun < 90:
        seen = list(_traffic.read_records(_traffic.records_path(TRAFFIC), since=begun))
        lately = {record["via"] for record in seen[-300:]} - {None}
        if len(seen) >= 300 and lately and lately <= side:
            return
        time.sleep(0.5)
    raise AssertionError(f"still answered by {lately}, expected {side}")


@pytest.fixture(scope="module")
def before(cluster: Cluster) -> dict[str, dict[str, t.Any]]:
    assert not any(policies(cluster).values())
    return routes(cluster)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_all_traffic_goes_to_green_and_back(
    cluster: Cluster, before: dict[str, dict[str, t.Any]], strategy: str
) -> None:
    kind, taken = STRATEGIES[strategy]
    start = routes(cluster)
    settings = {**SETTINGS, "mesh_bind_strategy": strategy}
    done = lab.play(settings, "--tags", "preflight,keep,bind,deploy,verify,cutover")
    assert done.returncode == 0, done.stdout[-4000:]
    assert f"Bound by {strategy}" in done.stdout
    assert {name: count for name, count in policies(cluster).items() if count} == ({kind: 1} if kind else {})

    bound = routes(cluster)
    written = {name for name, vs in bound.items() if vs["spec"] != before[name]["spec"]}
    assert bound.keys() == before.keys() and len(written) > 20 and "shop/mesh-only" not in written
    # A rollback's patches are ours, so that the second strategy finds names of ours in what kubectl has applied.
    assert {name for name in written if ours(bound[name])} == {name for name in written if taken or ours(start[name])}
    assert all(vs["metadata"]["generation"] == before[name]["metadata"]["generation"]
               for name, vs in bound.items() if name not in written)  # fmt: skip
    await_clients_of(lab.gateway_pods(cluster, "istio-gateway"))

    # One that comes later: bound by itself where there is a policy, and by the next look where there is none.
    late = {"hosts": ["late.lab.test"], "gateways": [BLUE], "http": [{"directResponse": {"status": 200}}]}
    made = path_of(ISTIO, "virtualservices", "shop")
    body = {"apiVersion": ISTIO, "kind": "VirtualService", "metadata": {"name": "late"}, "spec": late}
    answer = cluster.create(made, body, dry_run=True)["spec"]["gateways"]
    assert answer == ([BLUE, GREEN] if kind else [BLUE])

    served = serving(bound, GREENS)
    assert written <= served and written <= serving(bound, BLUES)
    done = lab.play(settings, "--tags", "soak,unbind")
    assert done.returncode == 0, done.stdout[-4000:]
    unbound = routes(cluster)
    assert serving(unbound, BLUES) == set() and serving(unbound, GREENS) == served
    assert not any(policies(cluster).values())
    assert cluster.create(made, body, dry_run=True)["spec"]["gateways"] == [BLUE], "nobody adds green or takes blue"

    done = lab.play({**OURS, "mesh_bind_strategy": strategy, "mesh_rollback_to": "keep"}, "--tags", "rollback")
    assert done.returncode == 0, done.stdout[-4000:]
    assert not any(policies(cluster).values())
    after = routes(cluster)
    assert {name: vs["spec"] for name, vs in after.items()} == {name: vs["spec"] for name, vs in before.items()}
    await_clients_of(lab.gateway_pods(cluster, "istio-system"))


def test_no_request_was_lost(before: dict[str, dict[str, t.Any]]) -> None:
    seen = _traffic.summarise(_traffic.read_records(_traffic.records_path(TRAFFIC)))
    assert seen["total"]["failed"] == 0 and seen["total"]["requests"] > 5000, str(seen["errors"])
