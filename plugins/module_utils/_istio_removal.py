# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is of Istio, in which order it goes, and who still needs it. Pure.

The order is that in which nothing is left without what it stands on:

1. gateways: their load balancers are released, and nobody comes in by Istio any more.
2. webhooks: the injector's and the validator's may fail closed, and would then stop pods and edits once istiod is gone.
3. control_plane: istiod, then what it stands on; then Istio's CNI plugin, which sidecars need until the last is gone.
4. access: roles and accounts.
5. configuration, and 6. crds: only on request. A CRD takes every object of its kind along, in the whole cluster.

What a Helm release has made goes with its release, in one stage: that of its pods, and its roles and accounts with them.
Only its webhooks go by name and before it, in their own stage. An object with a finalizer stays until who set it lets go.
"""

from __future__ import annotations

import dataclasses
import typing as t

from . import _mesh_swap
from ._inventory import ERROR, WARNING, Finding, named
from ._objects import OPERATOR, Object, annotations_of, labels_of, picks, ref_of
from ._resources import Ref

STAGES = ("gateways", "webhooks", "control_plane", "access", "configuration", "crds")
RUNNING = ("gateways", "control_plane")  # stages of what runs
COMPONENT = "operator.istio.io/component"
RELEASE, RELEASE_NAMESPACE = "meta.helm.sh/release-name", "meta.helm.sh/release-namespace"
GATEWAY_COMPONENTS = ("IngressGateways", "EgressGateways")
APPS = {"istiod", "sidecar-injector", "ztunnel", "istio-cni", "istio-reader"}
WEBHOOK_NAMES = (
    "istio-sidecar-injector",
    "istio-revision-tag-",
    "istio-validator-",
    "istiod-default-validator",
    "istiod-",
)
CONFIG_MAPS = ("istio", "values")  # how their names begin
TRUST = ("istio-ca-root-cert", "istio-ca-crl")  # of the root namespace alone, they are removed
CRD_GROUPS = ("istio.io",)
CONTROLLER = "istio.io/ingress-controller"
CODES = (
    "removal_ca", "removal_finalizer", "removal_gateway_api", "removal_ingress_class", "removal_injection",
    "removal_interim", "removal_operator", "removal_pod", "removal_release_split", "removal_static_address",
)  # fmt: skip
KINDS = {  # kind -> stage; of a Deployment and the like, see stage_of
    "Service": "", "Deployment": "", "DaemonSet": "", "HorizontalPodAutoscaler": "", "PodDisruptionBudget": "",
    "ConfigMap": "control_plane", "MutatingWebhookConfiguration": "webhooks", "ValidatingWebhookConfiguration": "webhooks",
    "ServiceAccount": "access", "Role": "access", "RoleBinding": "access", "ClusterRole": "access",
    "ClusterRoleBinding": "access", "CustomResourceDefinition": "crds", "IngressClass": "gateways",
}  # fmt: skip


@dataclasses.dataclass
class Cluster:
    """objects: of any kind, by plural. root: Istio's namespace. gateways: labels of the gateways' pods and their
    namespace, (namespace, labels). configuration: objects of Istio's own kinds."""

    objects: dict[str, list[Object]]
    root: str
    gateways: list[tuple[str, dict[str, str]]]
    configuration: list[Object] = dataclasses.field(default_factory=list)

    def __getitem__(self, plural: str) -> list[Object]:
        return self.objects.get(plural, [])


@dataclasses.dataclass
class Plan:
    """stages: name -> {"resources": [refs], "releases": [{name, namespace}]}, in order. balancers: what is released
    with the gateways, by Service. kept: what stays, with why."""

    stages: dict[str, Object]
    findings: list[Finding]
    balancers: dict[str, list[str]]
    kept: dict[str, str]


def plan(cluster: Cluster, crds: bool = False, configuration: bool = False, remove: t.Collection[str] = ()) -> Plan:
    """crds: also Istio's CRDs, and so all that is configured. configuration: also what is configured, without its
    CRDs. remove: the stages that are to go, where that is known; a release that they would tear apart is found."""
    stages: dict[str, Object] = {name: {"resources": [], "releases": []} for name in STAGES}
    balancers: dict[str, list[str]] = {}
    kept: dict[str, str] = {}
    parts: dict[tuple[str, str], set[str]] = {}  # release -> stages of what it has made
    findings = _blockers(cluster)
    for items in cluster.objects.values():
        for item in items:
            stage = stage_of(cluster, item)
            if not stage:
                continue
            if stage == "crds" and not crds:
                kept[named(item)] = "it is removed on request only (crds): all objects of its kind go with it"
                continue
            _finalizers(item, findings)
            release = _release(item)
            if release and stage != "crds":
                parts.setdefault(release, set()).add(stage)
            if not release or stage in ("webhooks", "crds"):
                stages[stage]["resources"].append(Ref.of(item).as_dict())
            if item.get("kind") == "Service" and (item.get("spec") or {}).get("type") == "LoadBalancer":
                balancers[named(item)] = addresses(item)
                _static(item, findings)
    for (namespace, name), own in parts.items():
        stage = home(own)
        stages[stage]["releases"].append({"name": name, "namespace": namespace})
        _split(f"Helm release {namespace}/{name}", stage, own, remove, findings)
    for item in cluster.configuration:
        if configuration or crds:
            _finalizers(item, findings)
            stages["configuration"]["resources"].append(Ref.of(item).as_dict())
    if cluster.configuration and not (configuration or crds):
        kept["configuration"] = (
            f"{len(cluster.configuration)} objects of Istio's kinds stay: they do nothing without istiod"
        )
    if any(stages["control_plane"].values()):
        kept[" and ".join(TRUST) + " in every namespace"] = (
            "istiod has written these ConfigMaps, and nobody but Istio's proxies reads them. For each: kubectl delete"
            f" configmaps --all-namespaces --field-selector metadata.name={TRUST[0]}"
        )
    for stage, part in stages.items():
        part["resources"].sort(key=lambda r: (_rank(stage, r["kind"]), r["namespace"], r["name"]))
    return Plan(stages, findings, balancers, kept)


def _rank(stage: str, kind: str) -> int:
    """Who asks goes before who answers: a Service before its pods, autoscalers before what they scale."""
    order = ("IngressClass", "HorizontalPodAutoscaler", "Service", "Deployment", "DaemonSet", "PodDisruptionBudget", "ConfigMap",
             "ClusterRoleBinding", "RoleBinding", "ClusterRole", "Role", "ServiceAccount")  # fmt: skip
    if stage == "gateways" and kind == "Service":
        return 0
    return order.index(kind) + 1 if kind in order else 0


def stage_of(cluster: Cluster, item: Object) -> str:
    """Where an object goes, '' for what is not Istio's own."""
    kind, name = item.get("kind") or "", item["metadata"]["name"]
    labels, namespace = labels_of(item), ref_of(item)[0]
    if kind not in KINDS:
        return ""
    if kind == "CustomResourceDefinition":
        group = (item.get("spec") or {}).get("group") or ""
        return "crds" if group.endswith(CRD_GROUPS) else ""
    if kind.endswith("WebhookConfiguration"):
        ours = name.startswith(WEBHOOK_NAMES) or labels.get("app") in APPS or OPERATOR in labels
        return "webhooks" if ours else ""
    if kind == "IngressClass":
        return "gateways" if (item.get("spec") or {}).get("controller") == CONTROLLER else ""
    if _of_a_gateway(cluster, item):
        return KINDS[kind] or "gateways"
    own = (
        OPERATOR in labels or COMPONENT in labels or labels.get("app") in APPS or labels.get("k8s-app") == "istio-cni-node"
        or labels.get("app.kubernetes.io/part-of") == "istio" or labels.get("istio") == "pilot"
    )  # fmt: skip
    if labels.get(COMPONENT) in GATEWAY_COMPONENTS:
        return KINDS[kind] or "gateways"
    if kind == "ConfigMap":
        return "control_plane" if namespace == cluster.root and (own or name.startswith(CONFIG_MAPS)) else ""
    if kind.startswith("ClusterRole") and name.startswith(("istiod-", "istio-reader-", "istio-cni", "istiod")):
        own = True
    return (KINDS[kind] or "control_plane") if own else ""


def _of_a_gateway(cluster: Cluster, item: Object) -> bool:
    """Whether it is a named gateway's: its Deployment or Service, or what selects or scales that."""
    namespace, kind = ref_of(item)[0], item.get("kind")
    for own, labels in cluster.gateways:
        if own != namespace:
            continue
        spec = item.get("spec") or {}
        if kind in ("Deployment", "DaemonSet"):
            pod = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
            if labels.items() <= pod.items():
                return True
        if kind == "Service" and spec.get("selector") and spec["selector"].items() <= labels.items():
            return True
        if kind == "PodDisruptionBudget" and picks(spec.get("selector"), labels) and spec.get("selector"):
            return True
        if kind == "HorizontalPodAutoscaler":
            target = (spec.get("scaleTargetRef") or {}).get("name")
            if any(d["metadata"]["name"] == target and _of_a_gateway(cluster, d) for d in cluster["deployments"]):
                return True
    return False


def _release(item: Object) -> tuple[str, str] | None:
    """(namespace, name)"""
    own = annotations_of(item)
    return (own.get(RELEASE_NAMESPACE, ""), own[RELEASE]) if own.get(RELEASE) else None


def home(parts: t.Collection[str]) -> str:
    """The stage in which a release goes, of those that it has made something for: the last one of what runs, so that no
    pods go before their stage, and none stay behind istiod."""
    running = [stage for stage in RUNNING if stage in parts]
    return running[-1] if running else [stage for stage in STAGES if stage in parts][-1]


def _split(
    release: str, stage: str, parts: t.Collection[str], remove: t.Collection[str], findings: list[Finding]
) -> None:
    """Where its stage is asked for, all that it takes along must be; where it is not, none but its webhooks can go. Roles
    and accounts are for the pods, and go or stay with them."""
    if stage in remove:
        along = [one for one in STAGES if one in parts and one not in (stage, "access", *remove)]
        found, fix = f"its removal ({stage}) takes {', '.join(along)} along", f"Name {', '.join(along)}, too, or leave {stage}"
    else:
        along = [one for one in STAGES if one in parts and one in remove and one not in ("webhooks", "access")]
        found, fix = f"what it has of {', '.join(along)} goes with {stage}", f"Name {stage}, too, or leave {', '.join(along)}"
    if along:
        findings.append(
            Finding("removal_release_split", ERROR, release, "remove", f"{found}, which is not to go", f"{fix} out.")
        )


def addresses(service: Object) -> list[str]:
    found = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return [entry.get("ip") or entry.get("hostname") for entry in found if entry]


# -- who still needs it ----------------------------------------------------------------------------------------------
def _blockers(cluster: Cluster) -> list[Finding]:
    found: list[Finding] = []
    for pod in cluster["pods"]:
        if not _mesh_swap.live(pod) or _mesh_swap.ISTIO_PROXY not in _mesh_swap.containers(pod):
            continue
        namespace = ref_of(pod)[0]
        if any(namespace == own and labels.items() <= labels_of(pod).items() for own, labels in cluster.gateways):
            continue  # goes with its gateway
        found.append(
            Finding(
                "removal_pod", ERROR, named(pod), "spec.containers", "it has Istio's proxy",
                "Without istiod it gets no certificates and no configuration any more. Swap its workload (mesh_wave),"
                " or take the containers out of its manifest. If it is a gateway of its own, name it in gateways.",
            )
        )  # fmt: skip
    for item in cluster["namespaces"]:
        labels = labels_of(item)
        if (
            labels.get(_mesh_swap.INJECTION) == "enabled"
            or labels.get(_mesh_swap.REVISION)
            or labels.get(_mesh_swap.AMBIENT) == "ambient"
        ):
            found.append(
                Finding(
                    "removal_injection", ERROR, named(item), "metadata.labels", "Istio's injection is on",
                    "Its next pods would come without a proxy, or not at all. Turn it off (mesh_wave), or label it"
                    " disabled.",
                )
            )  # fmt: skip
    for item in cluster["ingresses"]:
        if annotations_of(item).get("bluegreen.mesh/part") == "interim":
            found.append(
                Finding(
                    "removal_interim", ERROR, named(item), "spec.rules", "it forwards to the old gateway",
                    "Move its host first (virtual_service_ingress), or take the host out on purpose.",
                )
            )  # fmt: skip
    classes = {ref_of(c)[1] for c in cluster["ingressclasses"] if (c.get("spec") or {}).get("controller") == CONTROLLER}
    for item in cluster["ingresses"]:
        own = (item.get("spec") or {}).get("ingressClassName") or annotations_of(item).get(
            "kubernetes.io/ingress.class"
        )
        if own in classes | {"istio"}:
            found.append(
                Finding(
                    "removal_ingress_class", ERROR, named(item), "spec.ingressClassName", f"Istio serves it (class {own})",
                    "Give it the new controller's class.",
                )
            )  # fmt: skip
    for item in cluster["gateways"]:
        if (item.get("spec") or {}).get("gatewayClassName", "").startswith("istio"):
            found.append(
                Finding(
                    "removal_gateway_api", ERROR, named(item), "spec.gatewayClassName", "istiod runs it",
                    "Give it another class, and its address to another controller, first.",
                )
            )  # fmt: skip
    for item in cluster["istiooperators"]:
        found.append(
            Finding(
                "removal_operator", ERROR, named(item), "", "an operator makes Istio from it, and would make it again",
                "Delete it first, while the operator still runs: its finalizer waits for the operator, and the operator"
                " removes what it has made. Then remove the operator.",
            )
        )  # fmt: skip
    for item in cluster["secrets"]:
        if ref_of(item) in ((cluster.root, "cacerts"), (cluster.root, "istio-ca-secret")):
            found.append(
                Finding(
                    "removal_ca", WARNING, named(item), "", "it is the mesh's certificate authority, and stays",
                    "Keep it until you are sure that you will not come back: a new one would be a new root of trust."
                    " Then delete it by hand.",
                )
            )  # fmt: skip
    return found


def _finalizers(item: Object, findings: list[Finding]) -> None:
    own = item["metadata"].get("finalizers") or []
    cloud = [name for name in own if name.startswith("service.kubernetes.io/")]
    foreign = [name for name in own if name not in cloud]
    if foreign:
        findings.append(
            Finding(
                "removal_finalizer", WARNING, named(item), "metadata.finalizers", f"it waits for {', '.join(foreign)}",
                "It stays until that has let go. See that who set it still runs; take a finalizer away by hand only if"
                " its work is surely done.",
            )
        )  # fmt: skip


def _static(item: Object, findings: list[Finding]) -> None:
    spec, own = item.get("spec") or {}, annotations_of(item)
    reserved = [key for key in own if key.endswith(("load-balancer-ip", "eip-allocations", "ip-addresses", "pip-name"))]
    if spec.get("loadBalancerIP") or reserved:
        findings.append(
            Finding(
                "removal_static_address", WARNING, named(item),
                "spec.loadBalancerIP" if spec.get("loadBalancerIP") else reserved[0],
                "its address is reserved",
                "The balancer goes with the Service; the address stays reserved, and paid for. Release it in the"
                " infrastructure code, once no DNS record names it.",
            )
        )  # fmt: skip
