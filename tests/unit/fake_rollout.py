# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Workloads that roll out, for tests of the swap: whenever pods or workloads are read, templates that have changed get
new pods, with the proxies that Istio's and Linkerd's injectors would give them."""

from __future__ import annotations

import copy
import json
import typing as t

from ansible_collections.bluegreen.mesh.plugins.module_utils import _mesh_swap
from fake_cluster import FakeCluster
from fake_ingress import namespace, thing


class Meshes(FakeCluster):
    """injectors: which of them act; stuck: names of workloads whose new pods never get ready."""

    def __init__(self, *objects: dict[str, t.Any]) -> None:
        super().__init__(*objects)
        self.injectors = {"istio", "linkerd"}
        self.stuck: set[str] = set()
        self.restarts: list[str] = []
        self._seen: dict[tuple[str, str], str] = {}
        self.roll(first=True)
        self.restarts.clear()
        for path in ("*/pods", "*/deployments", "*/deployments/*"):
            self.on("GET", path, lambda _request: self.roll())

    def roll(self, first: bool = False) -> None:
        with self._lock:
            for key, body in list(self._store.items()):
                if key[1] != "deployments":
                    continue
                template = json.dumps(body["spec"]["template"], sort_keys=True)
                if self._seen.get(key[2:]) == template:
                    continue
                self._seen[key[2:]] = template
                self._new_pods(key[2], key[3], body)
                self.restarts.append(key[3])

    def _new_pods(self, space: str, name: str, body: dict[str, t.Any]) -> None:
        count = body["spec"].get("replicas", 1)
        ready = 0 if name in self.stuck else count
        body["status"] = {
            "observedGeneration": body["metadata"].get("generation", 1), "replicas": count, "updatedReplicas": count,
            "availableReplicas": ready,
        }  # fmt: skip
        for old in [k for k in self._store if k[1] == "pods" and k[2] == space and k[3].startswith(f"{name}-")]:
            del self._store[old]
        within = self._store[("", "namespaces", "", space)]
        pod = copy.deepcopy(body["spec"]["template"])
        istio = "istio" in self.injectors and _mesh_swap.injected_by_istio(within, pod)
        own = (pod["metadata"].get("annotations") or {}).get(_mesh_swap.LINKERD)
        linkerd = (
            "linkerd" in self.injectors
            and (own or (within["metadata"].get("annotations") or {}).get(_mesh_swap.LINKERD)) == "enabled"
        )
        names = [c["name"] for c in pod["spec"]["containers"]]
        names += ["istio-proxy"] * istio * ("istio-proxy" not in names) + ["linkerd-proxy"] * linkerd
        for number in range(count):
            labels = pod["metadata"].get("labels")
            spec = {"containers": [{"name": one} for one in names]}
            self.add(thing("v1", "Pod", f"{space}/{name}-{number}", spec, labels=labels))

    def proxies(self, space: str, name: str) -> dict[str, int]:
        pods = [
            body for k, body in self._store.items() if k[1] == "pods" and k[2] == space and k[3].startswith(f"{name}-")
        ]
        return {key: value for key, value in _mesh_swap.state_of(pods).items() if value}


def deployment(
    ref: str = "shop/web", replicas: int = 2, labels: t.Any = None, annotations: t.Any = None, containers: t.Any = None,
    **spec: t.Any,
) -> dict[str, t.Any]:  # fmt: skip
    name = ref.rpartition("/")[2]
    own = {"app": name, **(labels or {})}
    pod = {"metadata": {"labels": own, **({"annotations": annotations} if annotations else {})},
           "spec": {"containers": containers or [{"name": name, "ports": [{"containerPort": 8080}]}]}}  # fmt: skip
    full = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": pod, **spec}
    return thing("apps/v1", "Deployment", ref, full)


def meshes(*objects: dict[str, t.Any], labels: t.Any = None) -> Meshes:
    """Namespace shop, in Istio's mesh, with what is given."""
    own = namespace("shop", labels or {"istio-injection": "enabled"})
    fake = Meshes(own, namespace("istio-system"), thing("v1", "ConfigMap", "istio-system/istio", data={"mesh": ""}), *objects)
    return fake
