# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Namespaces and workloads on their way from Istio's mesh to Linkerd's. Pure.

Who injects is decided when a pod is made. Istio (its webhook, manifests/charts/istio-control/istio-discovery): a
namespace labelled `istio-injection: enabled` or with a revision, unless the pod says `sidecar.istio.io/inject:
"false"`; elsewhere a pod that says "true" or names a revision. A pod's label comes before its annotation. Linkerd: the
annotation `linkerd.io/inject` of the pod, else of the namespace. Both switches are turned in one patch, so that no pod
is made that gets both proxies, or between two patches none.
"""

from __future__ import annotations

import dataclasses
import json
import math
import typing as t

from . import _edits
from ._objects import Object, annotations_of, labels_of, picks, ref_of
from ._resources import Ref

INJECTION, REVISION, POD_INJECT, AMBIENT = (
    "istio-injection",
    "istio.io/rev",
    "sidecar.istio.io/inject",
    "istio.io/dataplane-mode",
)
LINKERD = "linkerd.io/inject"
WAS = "bluegreen.mesh/istio-was"  # annotation of a namespace or workload: what switched Istio on, as JSON
WAVE = "bluegreen.mesh/wave"  # annotation of a pod template: changed, it makes new pods
ISTIO_PROXY, LINKERD_PROXY = "istio-proxy", "linkerd-proxy"
KINDS = ("deployments", "statefulsets", "daemonsets")
TO = ("linkerd", "istio")


@dataclasses.dataclass
class Mesh:
    """objects: lists by plural. namespaces: those to be swapped. root: Istio's root namespace. mesh_configs: Istio's,
    decoded, by ConfigMap. max_unavailable: percent of a workload's pods that may be away at once. pod_networks: CIDRs of pods, which
    policies admit while callers come from both meshes."""

    objects: dict[str, list[Object]]
    namespaces: list[str]
    root: str = "istio-system"
    mesh_configs: dict[str, Object] = dataclasses.field(default_factory=dict)
    max_unavailable: int = 50
    pod_networks: t.Sequence[str] = ()

    def __getitem__(self, plural: str) -> list[Object]:
        return self.objects.get(plural, [])

    def within(self, plural: str) -> list[Object]:
        """Objects of the namespaces to be swapped."""
        return [item for item in self[plural] if ref_of(item)[0] in self.namespaces]

    def namespace(self, name: str) -> Object:
        return next((n for n in self["namespaces"] if n["metadata"]["name"] == name), {"metadata": {"name": name}})

    def workloads(self) -> list[Object]:
        return [item for plural in KINDS for item in self.within(plural)]

    def pods_of(self, workload: Object) -> list[Object]:
        own = (workload.get("spec") or {}).get("selector")
        namespace = ref_of(workload)[0]
        return [p for p in self["pods"] if ref_of(p)[0] == namespace and picks(own, labels_of(p)) and live(p)]


# -- who is in which mesh --------------------------------------------------------------------------------------------
def live(pod: Object) -> bool:
    done = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    return not pod["metadata"].get("deletionTimestamp") and not done


def containers(pod: Object) -> set[str]:
    """Names of a pod's or a template's containers, native sidecars too."""
    spec = pod.get("spec") or {}
    return {c["name"] for key in ("containers", "initContainers") for c in spec.get(key) or ()}


def template(workload: Object) -> Object:
    spec = workload.get("spec") or {}
    if workload.get("kind") == "CronJob":
        spec = ((spec.get("jobTemplate") or {}).get("spec")) or {}
    return spec.get("template") or {}


def injected_by_istio(namespace: Object, pod: Object) -> bool:
    """Whether Istio would give a pod of this template a sidecar; pod: with metadata, maybe without labels."""
    if (pod.get("spec") or {}).get("hostNetwork"):
        return False  # neither mesh takes the node's own network in
    meta = pod.get("metadata") or {}
    labels, annotations = meta.get("labels") or {}, meta.get("annotations") or {}
    own = labels.get(POD_INJECT, annotations.get(POD_INJECT))
    if own is not None:
        return own == "true"
    there = labels_of(namespace)
    if there.get(INJECTION):
        return there[INJECTION] == "enabled"
    return bool(there.get(REVISION) or labels.get(REVISION))


def state_of(pods: t.Sequence[Object]) -> dict[str, int]:
    """How many pods have which proxy: istio, linkerd, both, none."""
    found = dict.fromkeys(("istio", "linkerd", "both", "none"), 0)
    for pod in pods:
        own = containers(pod)
        istio, linkerd = ISTIO_PROXY in own, LINKERD_PROXY in own
        found["both" if istio and linkerd else "istio" if istio else "linkerd" if linkerd else "none"] += 1
    return found


# -- the switches ----------------------------------------------------------------------------------------------------
def namespace_fields(namespace: Object, to: str) -> dict[str, t.Any]:
    """Fields of a namespace that is to be in Linkerd's mesh, or in Istio's again. A label is set to `disabled` and not
    only taken away: Istio may inject by default."""
    labels, was = labels_of(namespace), annotations_of(namespace).get(WAS)
    label, annotation = _pointers("/metadata")
    if to == "linkerd":
        own = {key: labels[key] for key in (INJECTION, REVISION) if labels.get(key)}
        fields = {annotation(LINKERD): "enabled", label(INJECTION): "disabled", label(REVISION): None}
        return {**fields, annotation(WAS): was if was is not None else _written(own)}
    if was is None:
        return {}  # we have not switched it
    before = json.loads(was)
    fields = {label(key): before.get(key) for key in (INJECTION, REVISION)}
    return {**fields, annotation(LINKERD): None, annotation(WAS): None}


def workload_fields(workload: Object, to: str, wave: str, alone: bool) -> dict[str, t.Any]:
    """Fields of a workload whose pods are to be made anew. alone: its namespace stays as it is, so the pods say
    themselves which mesh is theirs; else only what they say of Istio is turned."""
    where = "/spec/template/metadata"
    label, annotation = _pointers(where)
    meta = template(workload).get("metadata") or {}
    labels, annotations = meta.get("labels") or {}, meta.get("annotations") or {}
    was = annotations_of(workload).get(WAS)
    own_label, own_annotation = _pointers("/metadata")
    del own_label
    if to == "linkerd":
        own = {f"label {k}": labels[k] for k in (POD_INJECT, REVISION) if labels.get(k)}
        own |= {f"annotation {k}": annotations[k] for k in (POD_INJECT, LINKERD) if annotations.get(k)}
        # One that is switched already keeps the name of its wave: another one would make its pods anew.
        fields: dict[str, t.Any] = {annotation(WAVE): annotations.get(WAVE, wave) if was is not None else wave}
        if alone or labels.get(POD_INJECT) == "true" or labels.get(REVISION):
            fields |= {label(POD_INJECT): "false", label(REVISION): None}
        if annotations.get(POD_INJECT) == "true":
            fields[annotation(POD_INJECT)] = None
        if alone or annotations.get(LINKERD) not in (None, "disabled"):
            fields[annotation(LINKERD)] = "enabled"
        return {**fields, own_annotation(WAS): was if was is not None else _written(own)}
    if was is None:  # made anew by others, in a namespace that was switched: its pods alone are to go
        return {annotation(WAVE): f"{wave}-back"}
    before = json.loads(was)
    fields = {label(k): before.get(f"label {k}") for k in (POD_INJECT, REVISION)}
    fields |= {annotation(k): before.get(f"annotation {k}") for k in (POD_INJECT, LINKERD)}
    return {**fields, annotation(WAVE): f"{wave}-back", own_annotation(WAS): None}


def _pointers(where: str) -> tuple[t.Callable[[str], str], t.Callable[[str], str]]:
    return (
        lambda key: where + _edits.pointer("labels", key),
        lambda key: where + _edits.pointer("annotations", key),
    )


def _written(value: Object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


# -- waves -----------------------------------------------------------------------------------------------------------
def concerned(mesh: Mesh, workload: Object, to: str = "linkerd") -> bool:
    """Whether a workload is one to be swapped: it is in the mesh that is left, or would be."""
    own = state_of(mesh.pods_of(workload))
    namespace = mesh.namespace(ref_of(workload)[0])
    if to == "istio":
        there = annotations_of(namespace)
        chosen = (template(workload).get("metadata") or {}).get("annotations") or {}
        own_word = LINKERD in chosen or (LINKERD in there and WAS not in there)  # it was in Linkerd's mesh before
        return annotations_of(workload).get(WAS) is not None or (own["linkerd"] > 0 and not own_word)
    swapped = annotations_of(namespace).get(WAS) is not None or annotations_of(workload).get(WAS) is not None
    out = stays_out(workload) or bool((template(workload).get("spec") or {}).get("hostNetwork"))
    return not out and (injected_by_istio(namespace, template(workload)) or own["istio"] > 0 or swapped)


def stays_out(workload: Object) -> bool:
    """Whether it says itself that it wants no sidecar of Istio's (and we have not made it say so)."""
    meta = template(workload).get("metadata") or {}
    own = (meta.get("labels") or {}).get(POD_INJECT, (meta.get("annotations") or {}).get(POD_INJECT))
    return own == "false" and annotations_of(workload).get(WAS) is None


def unavailable(workload: Object) -> int:
    """Percent of its pods that its own strategy lets be away at once; 0 for none."""
    spec, kind = workload.get("spec") or {}, workload.get("kind")
    strategy = spec.get("strategy") or spec.get("updateStrategy") or {}
    rolling = strategy.get("rollingUpdate") or {}
    count = spec.get("replicas", 1)
    if kind == "DaemonSet":
        count = (workload.get("status") or {}).get("desiredNumberScheduled") or 1
    if not count:
        return 0
    if strategy.get("type") == "Recreate":
        return 100
    default: t.Any = "25%" if kind == "Deployment" else 1
    away = rolling.get("maxUnavailable", default)
    if isinstance(away, str) and away.endswith("%"):
        share = count * int(away[:-1]) / 100
        away = math.floor(share) if kind == "Deployment" else math.ceil(share)
    if kind == "DaemonSet" and rolling.get("maxSurge") not in (None, 0, "0", "0%"):
        away = 0
    return min(100, round(100 * int(away) / count))


def on_delete(workload: Object) -> bool:
    return ((workload.get("spec") or {}).get("updateStrategy") or {}).get("type") == "OnDelete"


def rolled_out(workload: Object) -> str:
    """What is still awaited of a rollout, or ''."""
    status, spec = workload.get("status") or {}, workload.get("spec") or {}
    if (status.get("observedGeneration") or 0) < (workload["metadata"].get("generation") or 0):
        return "its controller has not seen it yet"
    if workload.get("kind") == "DaemonSet":
        wanted = status.get("desiredNumberScheduled") or 0
        new, ready = status.get("updatedNumberScheduled") or 0, status.get("numberAvailable") or 0
    else:
        wanted = spec.get("replicas", 1)
        new = status.get("updatedReplicas") or 0
        ready = status.get("availableReplicas", status.get("readyReplicas")) or 0
        if status.get("replicas", wanted) > wanted:
            return f"{status['replicas'] - wanted} old pods are still there"
    if new < wanted:
        return f"{new} of {wanted} pods are new"
    return "" if ready >= wanted else f"{ready} of {wanted} pods are ready"


def arrived(pods: t.Sequence[Object], to: str) -> str:
    """What is wrong with the pods of a workload that has rolled out, or ''."""
    own = state_of(pods)
    left = "istio" if to == "linkerd" else "linkerd"
    if own["both"]:
        return f"{own['both']} pods have both proxies"
    if own[left]:
        return f"{own[left]} pods still have the proxy of {left.title()}"
    if own["none"] and to == "linkerd":
        return f"{own['none']} pods have no proxy: Linkerd's injector did not act (is it up, and its webhook there?)"
    if own["none"]:
        return f"{own['none']} pods have no proxy: Istio's injector did not act (is istiod up, with this revision?)"
    return ""


def waves(mesh: Mesh, size: int, together: t.Sequence[t.Collection[str]] = ()) -> list[list[str]]:
    """The namespaces in waves of at most `size`, the smallest first; together: sets that come in one wave, however
    large, since policies tie callers to what they call."""
    groups: list[set[str]] = [{name} for name in mesh.namespaces]
    for tied in together:
        own = set(tied) & set(mesh.namespaces)
        hit = [group for group in groups if group & own]
        if len(hit) > 1:
            groups = [g for g in groups if g not in hit] + [set().union(*hit)]
    pods = {name: sum(ref_of(p)[0] == name for p in mesh["pods"]) for name in mesh.namespaces}
    ordered = sorted(groups, key=lambda g: (sum(pods[name] for name in g), sorted(g)))
    found: list[list[str]] = []
    for group in ordered:
        names = sorted(group, key=lambda name: (pods[name], name))
        if found and len(found[-1]) + len(names) <= size:
            found[-1] += names
        else:
            found.append(names)
    return found


def title(workload: Object) -> str:
    return str(Ref.of(workload))
