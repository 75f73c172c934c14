# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods in Linkerd's own mesh, and the way back to Istio's. The tests build on each other, in their order."""

from __future__ import annotations

import os
import pathlib
import typing as t

import lab
import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import Cluster, path_of

KUBECONFIG = f"{os.environ['MOLECULE_EPHEMERAL_DIRECTORY']}/kubeconfig"
CONNECTION = {"kubeconfig": KUBECONFIG, "context": "kind-mesh-swap"}
SWAP = {"pod_networks": ["10.244.0.0/16"]}
CALL = f"kubectl --kubeconfig {KUBECONFIG} -n shop exec deploy/web -c web -- curl -s -o /dev/null -w %{{http_code}} -m 5"


@pytest.fixture(scope="module")
def kind() -> Cluster:
    return Cluster(**CONNECTION)


def proxies(kind: Cluster, namespace: str) -> set[str]:
    """Which proxies its pods have, as containers of either sort."""
    found = set()
    for pod in kind.list(path_of("v1", "pods", namespace)):
        containers = [*pod["spec"]["containers"], *pod["spec"].get("initContainers", ())]
        found |= {c["name"] for c in containers if c["name"] in ("istio-proxy", "linkerd-proxy")}
    return found


@pytest.mark.parametrize("namespace", ["pay", "shop"])
def test_all_pods_are_in_linkerds_mesh(kind: Cluster, namespace: str) -> None:
    assert proxies(kind, namespace) == {"linkerd-proxy"}


def test_who_may_still_may(host: t.Any, kind: Cluster) -> None:
    assert host.run(f"{CALL} http://web.pay").stdout == "200"


def test_strict_policies_keep_others_out(host: t.Any, kind: Cluster, tmp_path: pathlib.Path) -> None:
    done = lab.run(
        "linkerd_policies", tmp_path, cluster=False, **CONNECTION, **SWAP, namespaces=["pay"], strict=True,
        identities={"cluster.local/ns/shop/sa/default": "shop/default"},
    )  # fmt: skip
    assert done.get("changed"), done
    assert host.run(f"{CALL} http://web.pay").stdout == "200"
    outside = "run stranger --rm --attach --restart=Never --namespace default --image registry.k8s.io/e2e-test-images/agnhost:2.53"
    called = "curl -s -o /dev/null -w %{http_code} -m 5 http://web.pay"
    refused = host.run(f"kubectl --kubeconfig {KUBECONFIG} {outside} --command -- {called}")
    assert "403" in refused.stdout, refused


def test_a_wave_goes_back(host: t.Any, kind: Cluster, tmp_path: pathlib.Path) -> None:
    back = lab.run("mesh_wave", tmp_path, cluster=False, **CONNECTION, **SWAP, name="pay", namespaces=["pay"], state="istio")
    assert back.get("changed"), back
    assert proxies(kind, "pay") == {"istio-proxy"}
