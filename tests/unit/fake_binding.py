# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Admission of VirtualServices for FakeCluster: what a cluster makes of the policies that _binding_policy writes."""

from __future__ import annotations

import typing as t

from ansible_collections.bluegreen.mesh.plugins.module_utils import _binding_policy
from ansible_collections.bluegreen.mesh.plugins.module_utils import _virtual_services as vs
from ansible_collections.bluegreen.mesh.plugins.module_utils.binding_policies import admission_policy, kyverno
from fake_cluster import FakeCluster, Request, parse_path, patched, plural_of

ADMISSION = admission_policy.KINDS
KYVERNO = (kyverno.KINDS[0], ("kyverno.io/v1", "ClusterPolicy"))
CLUSTER_POLICY = KYVERNO[1:]


def serve_policies(cluster: FakeCluster, *kinds: tuple[str, str], after: int = 0) -> None:
    """Makes cluster serve these kinds and no others, and carry the policies out; each write of a policy takes effect
    from the `after`th VirtualService on that is written then."""
    everything = {api for api, _kind in (*ADMISSION, *KYVERNO, *kyverno.KINDS, kyverno.REPORTS)}
    documents: dict[str, list[dict[str, t.Any]]] = {f"/apis/{api}": [] for api in everything}
    for api, kind in kinds:
        documents[f"/apis/{api}"].append({"kind": kind, "name": plural_of(kind), "namespaced": False})
    for path, resources in documents.items():
        cluster.on("GET", path, lambda _request, found=resources: (200, {"resources": found}) if found else (404, {}))
    seen: dict[str, t.Any] = {"rules": [], "next": [], "left": 0}

    def stored() -> list[vs.Bound]:
        found = []
        for kind in kinds:
            if kind == ADMISSION[1] or (kind == ADMISSION[0] and not cluster.names(plural_of(ADMISSION[1][1]))):
                continue
            plural = plural_of(kind[1])
            found += [_binding_policy.rule_of(cluster.peek(plural, "", name) or {}) for name in cluster.names(plural)]
        return [rule for rule in found if rule]

    def admit(request: Request) -> None:
        if stored() != seen["next"]:
            seen.update(next=stored(), left=after)
        if seen["left"]:
            seen["left"] -= 1
        else:
            seen["rules"] = seen["next"]
        _group, _version, _plural, namespace, name, _sub = parse_path(request.path)
        if request.method == "POST":
            new = request.body
        else:
            old = cluster.peek("virtualservices", namespace, name)
            if old is None:
                return
            new = patched(old, request.body, request.content_type)
        seen_as = {**new, "metadata": {"resourceVersion": "", **new["metadata"], "name": name, "namespace": namespace}}
        for rule in seen["rules"]:
            plan = vs.plan_one(seen_as, rule)
            for pointer in plan.differing():
                parent: t.Any = new
                *way, last = pointer[1:].split("/")
                for part in way:
                    parent = parent[int(part) if isinstance(parent, list) else part]
                parent[last] = plan.after[pointer]
        if isinstance(request.body, list):
            request.body.append({"op": "replace", "path": "/spec", "value": new["spec"]})
        elif request.method != "POST" and seen["rules"]:
            request.body["spec"] = new["spec"]

    for method in ("POST", "PATCH", "PUT"):
        cluster.on(method, "/apis/networking.istio.io/*/virtualservices*", admit)
