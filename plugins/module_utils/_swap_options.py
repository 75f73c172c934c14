# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules of the swap have in common: options, and what they read."""

from __future__ import annotations

import typing as t

from . import _edits, _ingress_options
from ._client import ApiError, Cluster, path_of
from ._mesh_swap import Mesh
from ._module import Refusal
from ._objects import OUR_LABELS, Object, label_query, ref_of
from ._resources import Ref

SPEC: dict[str, t.Any] = {
    "namespaces": {"type": "list", "elements": "str", "required": True},
    "root_namespace": {"type": "str", "default": "istio-system"},
    "mesh_config": {"type": "str"},
    "max_unavailable": {"type": "int", "default": 50},
    "pod_networks": {"type": "list", "elements": "str", "default": []},
    "waive": {"type": "list", "elements": "str", "default": []},
}
EVERYTHING = (
    "namespaces", "pods", "services", "deployments", "statefulsets", "daemonsets", "cronjobs", "peerauthentications",
    "requestauthentications", "authorizationpolicies", "destinationrules", "virtualservices", "sidecars", "envoyfilters",
    "wasmplugins",
)  # fmt: skip


def read(cluster: Cluster, params: Object, plurals: t.Sequence[str] = EVERYTHING) -> Mesh:
    """Raises Refusal (bad_option, no_such_namespace)."""
    if not params["namespaces"]:
        raise Refusal("bad_option", "namespaces: name those that are to change meshes.")
    if params["root_namespace"] in params["namespaces"]:
        raise Refusal("bad_option", f"namespaces: {params['root_namespace']} is Istio's own, and is not swapped.")
    objects = _ingress_options.lists(cluster, plurals)
    there = {ref_of(item)[1] for item in objects.get("namespaces", ())}
    missing = [name for name in params["namespaces"] if name not in there]
    if "namespaces" in plurals and missing:
        raise Refusal("no_such_namespace", f"namespaces: there is no {', '.join(missing)}.")
    return Mesh(
        objects,
        params["namespaces"],
        params["root_namespace"],
        _ingress_options.mesh_configs(cluster, params["mesh_config"], params["root_namespace"]),
        params["max_unavailable"],
        params["pod_networks"],
    )


def ours(
    cluster: Cluster, kinds: t.Sequence[tuple[str, str]], namespaces: t.Sequence[str], part: str
) -> dict[Ref, tuple[str, Object]]:
    """Objects of ours of these kinds (version, plural), (path, object) by Ref."""
    found = {}
    selector = {"labelSelector": label_query(OUR_LABELS)}
    for version, plural in kinds:
        try:
            items = cluster.list(path_of(version, plural), selector)
        except ApiError as exc:
            if exc.status != 404:
                raise
            items = []
        for item in items:
            if ref_of(item)[0] in namespaces and _edits.ours(item, part):
                found[Ref.of(item)] = (path_of(version, plural, *ref_of(item)), item)
    return found


def writes(
    cluster: Cluster,
    wanted: t.Sequence[Object],
    kinds: t.Sequence[tuple[str, str]],
    namespaces: t.Sequence[str],
    part: str,
) -> list[_edits.Write]:
    """Wanted objects of ours as they are to be, in order, then what is no longer wanted, the last first."""
    found = ours(cluster, kinds, namespaces, part)
    done = []
    for item in wanted:
        own = Ref.of(item)
        plural = next(p for v, p in kinds if v == item["apiVersion"] and _singular(p) == item["kind"].lower())
        path = path_of(own.api_version, plural, own.namespace or None, own.name)
        there = found[own][1] if own in found else cluster.find(path)
        done.append(_edits.made(own, path, there, _edits.marked(item, part)))
    kept = {write.ref for write in done}
    gone = [_edits.removed(own, path, item, part) for own, (path, item) in found.items() if own not in kept]
    return done + gone[::-1]


def _singular(plural: str) -> str:
    return plural[:-3] + "y" if plural.endswith("ies") else plural.removesuffix("s")
