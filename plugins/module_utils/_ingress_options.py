# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules that write Ingresses have in common: options, reading, findings that stop, and what is no longer
wanted."""

from __future__ import annotations

import dataclasses
import typing as t

try:
    import yaml
except ImportError:  # ansible-core needs PyYAML itself
    yaml = None

from . import _edits
from ._client import ApiError, Cluster, path_of
from ._inventory import ERROR, Finding, mesh_of
from ._module import Refusal
from ._objects import Object, labels_of, ref_of
from ._resources import Ref
from ._twin import parse_ref
from .ingress_dialects import DIALECTS, Dialect

CLASS = "bluegreen.mesh/ingress-class"  # label: for which IngressClass an object of ours is
SPEC: dict[str, t.Any] = {
    "gateways": {"type": "list", "elements": "str", "required": True},
    "gateway_service": {"type": "str", "required": True},
    "class_name": {"type": "str", "required": True},
    "dialect": {"type": "str", "required": True, "choices": sorted(DIALECTS)},
    "snippets": {"type": "bool", "default": False},
    "waive": {"type": "list", "elements": "str", "default": []},
}
VERSIONS = {  # plural -> group and version, newest first
    "virtualservices": ("networking.istio.io/v1", "networking.istio.io/v1beta1"),
    "destinationrules": ("networking.istio.io/v1", "networking.istio.io/v1beta1"),
    "serviceentries": ("networking.istio.io/v1", "networking.istio.io/v1beta1"),
    "sidecars": ("networking.istio.io/v1", "networking.istio.io/v1beta1"),
    "envoyfilters": ("networking.istio.io/v1alpha3",),
    "wasmplugins": ("extensions.istio.io/v1alpha1",),
    "peerauthentications": ("security.istio.io/v1", "security.istio.io/v1beta1"),
    "requestauthentications": ("security.istio.io/v1", "security.istio.io/v1beta1"),
    "authorizationpolicies": ("security.istio.io/v1", "security.istio.io/v1beta1"),
    "ingresses": ("networking.k8s.io/v1",),
    "ingressclasses": ("networking.k8s.io/v1",),
    "networkpolicies": ("networking.k8s.io/v1",),
    "deployments": ("apps/v1",),
    "statefulsets": ("apps/v1",),
    "daemonsets": ("apps/v1",),
    "cronjobs": ("batch/v1",),
}
OURS = (
    ("v1", "services"), ("traefik.io/v1alpha1", "serverstransports"), ("traefik.io/v1alpha1", "middlewares"),
    ("networking.k8s.io/v1", "ingresses"),
)  # fmt: skip


def dialect(params: Object) -> Dialect:
    return DIALECTS[params["dialect"]](params["snippets"])


def ref(text: str, option: str) -> tuple[str, str]:
    return parse_ref(text, option)


def gateways(cluster: Cluster, names: t.Sequence[str]) -> list[Object]:
    """Raises Refusal (bad_option, malformed_reference, gateway_missing)."""
    if not names:
        raise Refusal("bad_option", "gateways: name the old Gateways, as NAMESPACE/NAME.")
    found = []
    for number, name in enumerate(names):
        own = parse_ref(name, f"gateways[{number}]")
        body = cluster.find(path_of("networking.istio.io/v1", "gateways", *own))
        if body is None:
            raise Refusal("gateway_missing", f"gateways[{number}]: there is no Gateway {name}.")
        found.append(body)
    return found


def lists(cluster: Cluster, plurals: t.Sequence[str], namespace: str | None = None) -> dict[str, list[Object]]:
    """Everything of these kinds, in one namespace or all. Raises ApiError: what may not be listed is not known to be
    absent."""
    answers = cluster.parallel(lambda plural: listed(cluster, VERSIONS.get(plural, ("v1",)), plural, namespace), plurals)
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return dict(zip(plurals, answers))


def listed(
    cluster: Cluster, versions: t.Sequence[str], plural: str, namespace: str | None = None
) -> list[Object]:  # fmt: skip
    """By the first of the versions that the API server has; of a kind that it does not have there are no objects. Raises
    ApiError."""
    for version in versions:
        try:
            return cluster.list(path_of(version, plural, namespace))
        except ApiError as exc:
            if exc.status != 404:
                raise
    return []


def mesh_configs(cluster: Cluster, name: str | None, root: str) -> dict[str, Object]:
    """Istio's configuration by ConfigMap, NAMESPACE/NAME: that of the option mesh_config, else those of all revisions in
    the root namespace. Empty where there is none. Raises Refusal (malformed_reference, unreadable_mesh_config) and
    ApiError."""
    if name:
        found = [cluster.find(path_of("v1", "configmaps", *ref(name, "mesh_config")))]
    else:  # a revision's is called istio-REVISION
        found = cluster.list(path_of("v1", "configmaps", root), {"labelSelector": "istio.io/rev"})
        if not any(ref_of(item)[1] == "istio" for item in found):
            found.append(cluster.find(path_of("v1", "configmaps", root, "istio")))
    there = {"/".join(ref_of(item)): item for item in found if item and (name or "mesh" in (item.get("data") or {}))}
    return {title: _decoded(title, item) for title, item in there.items()}


def _decoded(title: str, item: Object) -> Object:
    try:
        config = mesh_of(item) or {}
    except yaml.YAMLError as exc:
        config = str(exc)
    if not isinstance(config, dict):
        text = f"ConfigMap {title}, data.mesh: it is no YAML of Istio's configuration ({config}). Mend it."
        raise Refusal("unreadable_mesh_config", text)
    return config


# -- findings ----------------------------------------------------------------------------------------------------------
def shown(finding: Finding) -> Object:
    where = f" {finding.field}" if finding.field else ""
    text = f"{finding.severity} {finding.code}: {finding.object}{where}: {finding.found}. {finding.fix}"
    return {**dataclasses.asdict(finding), "text": text}


def gate(findings: t.Sequence[Finding], waive: t.Sequence[str], codes: t.Sequence[str]) -> list[Object]:
    """What stands, as plain data. Raises Refusal (bad_option, findings) where an error does."""
    unknown = sorted({entry for entry in waive if entry.partition(":")[0] not in codes})
    if unknown:
        raise Refusal(
            "bad_option", f"waive: no finding is called {', '.join(unknown)}. There are: {', '.join(sorted(codes))}."
        )
    standing = sorted(
        {f for f in findings if not f.waived_by(waive)}, key=lambda f: (f.severity, f.code, f.object, f.field, f.found)
    )
    plain = [shown(finding) for finding in standing]
    errors = [one["text"] for one in plain if one["severity"] == ERROR]
    if errors:
        raise Refusal("findings", "\n".join(errors), findings=plain)
    return plain


# -- what is written ---------------------------------------------------------------------------------------------------
def writes(
    cluster: Cluster, wanted: t.Sequence[Object], part: str, class_name: str, namespace: str | None = None,
    own_kinds: bool = True,
) -> list[_edits.Write]:  # fmt: skip
    """Wanted objects as they are to be, in their order; then, the last first, ours of this part and class that are no
    longer wanted. namespace: where alone they are looked for. own_kinds: whether there may be others than Ingresses."""
    found: dict[Ref, tuple[str, Object]] = {}
    selector = {"labelSelector": f"{CLASS}={class_name}"}
    plurals = [(v, p) for v, p in OURS if own_kinds or p == "ingresses"]
    for version, plural in plurals:
        for item in _ours(cluster, version, plural, namespace, selector):
            if _edits.ours(item, part):
                found[Ref.of(item)] = (path_of(version, plural, *ref_of(item)), item)
    known = {kind: (version, plural) for version, plural in OURS for kind in [_kind(plural)]}
    done = []
    for item in wanted:
        own = Ref.of(item)
        version, plural = known[own.kind]
        path = path_of(version, plural, own.namespace, own.name)
        there = found[own][1] if own in found else cluster.find(path)
        done.append(_edits.made(own, path, there, item))
    kept = {write.ref for write in done}
    gone = [_edits.removed(own, path, item, part) for own, (path, item) in found.items() if own not in kept]
    return done + gone[::-1]


def _ours(cluster: Cluster, version: str, plural: str, namespace: str | None, selector: Object) -> list[Object]:
    try:
        return cluster.list(path_of(version, plural, namespace), selector)
    except ApiError as exc:
        if exc.status != 404:
            raise
        return []


def _kind(plural: str) -> str:
    return {"services": "Service", "serverstransports": "ServersTransport", "middlewares": "Middleware",
            "ingresses": "Ingress"}[plural]  # fmt: skip


def labelled(item: Object, class_name: str) -> Object:
    labels = {**labels_of(item), CLASS: class_name}
    return {**item, "metadata": {**item["metadata"], "labels": labels}}
