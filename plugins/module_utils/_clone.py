# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Green as a copy of the live blue: Deployment, Service, service account, its Roles, autoscaler, disruption budget.

Nothing comes along that says whose an object is, or that the cluster set: owners' marks, status, cluster addresses,
UIDs. The pods' labels are green's own, because a Gateway selects pods by label in every namespace.
"""

from __future__ import annotations

import copy
import dataclasses
import re
import typing as t

from ._client import path_of
from ._module import Refusal
from ._node_ports import Change, holders, refuse_taken, title
from ._objects import configures, picks, selector_of, selects, template_labels
from ._resources import Ref, Resources, read_all
from ._twin import MANAGED_BY, MANAGER, is_ours
from ._values import relabelled, service_ports

Object = dict[str, t.Any]
CLONE_OF = "bluegreen.mesh/clone-of"
RBAC = "rbac.authorization.k8s.io/v1"
# In the order in which they are made: what pods need before the pods, and what sends traffic to them last.
KINDS = (
    ("v1", "ServiceAccount"), (RBAC, "Role"), (RBAC, "RoleBinding"), ("apps/v1", "Deployment"), ("v1", "Service"),
    ("policy/v1", "PodDisruptionBudget"), ("autoscaling/v2", "HorizontalPodAutoscaler"),
)  # fmt: skip
# Labels and annotations of pods by which an owner, a controller or a tool knows its own.
MARKS = re.compile(
    r"(meta\.helm|helm|kustomize\.toolkit\.fluxcd|helm\.toolkit\.fluxcd|app\.kubernetes|argocd\.argoproj"
    r"|(install\.)?operator\.istio|kubectl\.kubernetes|service\.istio|kapp\.k14s)\.(sh|io)/"
    r"|checksum/|(release|chart|heritage|pod-template-hash)$"
)
# What of a Service is blue's alone: addresses that the cluster gave, or that only one Service can have.
SERVICE_OWN = (
    "clusterIP", "clusterIPs", "healthCheckNodePort", "loadBalancerIP", "externalIPs", "ports", "selector",
)  # fmt: skip
SECRETS_RULE = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "watch", "list"]}
ROOT_CERTIFICATE = "istio-ca-root-cert"  # istiod puts this ConfigMap into every namespace


@dataclasses.dataclass
class Blue:
    """What is there now. gateways: of the whole cluster; the rest: what is in blue's namespace."""

    service: Object
    deployment: Object
    account: Object | None
    roles: list[Object]
    bindings: list[Object]
    hpas: list[Object]
    budgets: list[Object]
    gateways: list[Object]

    @property
    def namespace(self) -> str:
        return self.service["metadata"]["namespace"]

    @property
    def labels(self) -> dict[str, str]:
        return template_labels(self.deployment)


@dataclasses.dataclass(frozen=True)
class Green:
    """What is to be. annotations: names of those of blue's objects that come along."""

    namespace: str
    name: str
    labels: dict[str, str]
    node_ports: dict[str, int]
    annotations: tuple[str, ...] = ()


# -- pods ------------------------------------------------------------------------------------------------------------
def pod_labels(blue: Blue, labels: t.Mapping[str, str]) -> dict[str, str]:
    """Blue's labels without owners' marks and without any key by which something selects blue's pods, and green's."""
    selectors = [selector_of(blue.service), *(selector_of(g) for g in blue.gateways if configures(g, blue.labels))]
    keys = {key for selector in selectors for key in selector}
    for item in (blue.deployment, *blue.budgets):
        selector = item["spec"].get("selector") or {}
        keys |= set(selector.get("matchLabels") or {}) | {e["key"] for e in selector.get("matchExpressions") or ()}
    return {k: v for k, v in blue.labels.items() if k not in keys and not MARKS.match(k)} | dict(labels)


def refuse_shared(blue: Blue, green: Green) -> None:
    """Raises Refusal same_labels when something that selects blue's pods would select green's as well."""
    labels = pod_labels(blue, green.labels)
    shared = [
        f"Gateway {g['metadata']['namespace']}/{g['metadata']['name']} ({selector_of(g) or 'every gateway workload'})"
        for g in blue.gateways
        if configures(g, blue.labels) and configures(g, labels)
    ]
    if green.namespace == blue.namespace and selects(selector_of(blue.service), labels):
        shared.append(f"{title(blue.service)} ({blue.service['spec']['selector']})")
    if shared:
        raise Refusal(
            "same_labels",
            f"green.labels {green.labels}: {', '.join(shared)} would select green's pods beside blue's. Of two Gateways"
            " with the same hosts at one workload istiod drops the newer one's servers. Give other labels, or let blue's"
            " select by one more label that only blue's pods have.",
        )


def references(pod: Object) -> list[tuple[str, str]]:
    """(kind, name) of what pods can't start without in their own namespace."""
    found: list[tuple[str, str | None]] = [("Secret", s.get("name")) for s in pod.get("imagePullSecrets") or ()]
    for volume in pod.get("volumes") or ():
        sources = [volume, *((volume.get("projected") or {}).get("sources") or ())]
        for source in sources:
            secret, config = source.get("secret") or {}, source.get("configMap") or {}
            if not secret.get("optional"):
                found.append(("Secret", secret.get("secretName") or secret.get("name")))
            if not config.get("optional"):
                found.append(("ConfigMap", config.get("name")))
        found.append(("PersistentVolumeClaim", (volume.get("persistentVolumeClaim") or {}).get("claimName")))
    for container in [*(pod.get("initContainers") or ()), *(pod.get("containers") or ())]:
        sources = [*(container.get("envFrom") or ()), *((e.get("valueFrom") or {}) for e in container.get("env") or ())]
        for source in sources:
            for kind, word in (("Secret", "secret"), ("ConfigMap", "configMap")):
                wanted = source.get(f"{word}Ref") or source.get(f"{word}KeyRef") or {}
                if not wanted.get("optional"):
                    found.append((kind, wanted.get("name")))
    return list(dict.fromkeys((k, n) for k, n in found if n and n != ROOT_CERTIFICATE))


# -- objects ---------------------------------------------------------------------------------------------------------
def objects(blue: Blue, green: Green) -> list[Object]:
    """Green, object by object, in the order of KINDS. Raises Refusal as service_ports and refuse_shared do."""
    refuse_shared(blue, green)
    labels = pod_labels(blue, green.labels)
    roles, bindings = _permissions(blue, green)
    replicas = live_replicas(blue.deployment)
    return [
        _account(blue, green), *roles, *bindings, _deployment(blue, green, labels, replicas), _service(blue, green),
        *(_budget(blue, green, item) for item in blue.budgets),
        *(_autoscaler(blue, green, item, replicas) for item in blue.hpas),
    ]  # fmt: skip


def live_replicas(deployment: Object) -> int:
    """How large blue is: what is asked for, or what is ready if that is more."""
    ready = (deployment.get("status") or {}).get("readyReplicas") or 0
    return max(deployment["spec"].get("replicas", 1), ready)


def _made(source: Object, green: Green, name: str = "", **content: t.Any) -> Object:
    """A new object of source's kind."""
    meta = source["metadata"]
    own = meta.get("annotations") or {}
    return {
        "apiVersion": source["apiVersion"],
        "kind": source["kind"],
        "metadata": {
            "namespace": green.namespace,
            "name": name or green.name,
            "labels": {MANAGED_BY: MANAGER, **green.labels},
            "annotations": {
                **{k: own[k] for k in green.annotations if k in own},
                CLONE_OF: f"{meta['namespace']}/{meta['name']}",
            },
        },
        **copy.deepcopy(content),
    }


def _account(blue: Blue, green: Green) -> Object:
    source = blue.account or {
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"namespace": blue.namespace, "name": "default"},
    }  # fmt: skip
    kept = ("imagePullSecrets", "automountServiceAccountToken")
    return _made(source, green, **{k: source[k] for k in kept if k in source})


def _permissions(blue: Blue, green: Green) -> tuple[list[Object], list[Object]]:
    """The Roles that blue's service account has in its namespace, for green's. istiod hands certificates only to an
    account that may list Secrets in its own namespace; where no Role of blue's says so, one is added."""
    wanted = {b["roleRef"]["name"] for b in blue.bindings if b["roleRef"]["kind"] == "Role"}
    roles = [
        _made(role, green, f"{green.name}-{role['metadata']['name']}", rules=role.get("rules") or [])
        for role in blue.roles
        if role["metadata"]["name"] in wanted
    ]
    subject = {"kind": "ServiceAccount", "name": green.name, "namespace": green.namespace}
    bindings = []
    for binding in blue.bindings:
        ref = dict(binding["roleRef"])
        if ref["kind"] == "Role":
            ref["name"] = f"{green.name}-{ref['name']}"
        name = f"{green.name}-{binding['metadata']['name']}"
        bindings.append(_made(binding, green, name, roleRef=ref, subjects=[subject]))
    if not any(_lists_secrets(rule) for role in roles for rule in role["rules"]):
        source = {"apiVersion": RBAC, "metadata": blue.deployment["metadata"]}
        ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": green.name}
        roles.append(_made({**source, "kind": "Role"}, green, rules=[SECRETS_RULE]))
        bindings.append(_made({**source, "kind": "RoleBinding"}, green, roleRef=ref, subjects=[subject]))
    return roles, bindings


def _lists_secrets(rule: Object) -> bool:
    """Of all Secrets: a rule with resourceNames does not let istiod hand out others."""
    return (
        not rule.get("resourceNames")
        and bool({"", "*"} & set(rule.get("apiGroups") or ()))
        and bool({"secrets", "*"} & set(rule.get("resources") or ()))
        and bool({"list", "*"} & set(rule.get("verbs") or ()))
    )


def _deployment(blue: Blue, green: Green, labels: dict[str, str], replicas: int) -> Object:
    spec = copy.deepcopy(blue.deployment["spec"])
    template = spec["template"]
    annotations = template["metadata"].get("annotations") or {}
    pod = relabelled(template["spec"], blue.labels, labels)
    pod["serviceAccountName"] = green.name
    pod["serviceAccount"] = green.name  # its deprecated other name, which the API server fills in: else never the same
    old = f"namespaces/{blue.namespace}/deployments/{blue.deployment['metadata']['name']}"
    for entry in (e for c in pod.get("containers") or () for e in c.get("env") or () if "value" in e):
        if entry["name"] == "ISTIO_META_WORKLOAD_NAME":
            entry["value"] = green.name
        if entry["name"] == "ISTIO_META_OWNER":
            entry["value"] = entry["value"].replace(old, f"namespaces/{green.namespace}/deployments/{green.name}")
    spec["template"] = {
        "metadata": {"labels": labels, "annotations": {k: v for k, v in annotations.items() if not MARKS.match(k)}},
        "spec": pod,
    }
    spec.update(replicas=replicas, selector={"matchLabels": dict(green.labels)})
    spec.pop("paused", None)
    return _made(blue.deployment, green, spec=spec)


def _service(blue: Blue, green: Green) -> Object:
    spec = {k: v for k, v in blue.service["spec"].items() if k not in SERVICE_OWN}
    extra = {p["port"]: {k: p[k] for k in ("appProtocol",) if k in p} for p in blue.service["spec"]["ports"]}
    ports = [{**port, **extra[port["port"]]} for port in service_ports(blue.service, green.node_ports)]
    return _made(blue.service, green, spec={**spec, "ports": ports, "selector": dict(green.labels)})


def _budget(blue: Blue, green: Green, source: Object) -> Object:
    name = green.name if len(blue.budgets) == 1 else f"{green.name}-{source['metadata']['name']}"
    return _made(source, green, name, spec={**source["spec"], "selector": {"matchLabels": dict(green.labels)}})


def _autoscaler(blue: Blue, green: Green, source: Object, replicas: int) -> Object:
    name = green.name if len(blue.hpas) == 1 else f"{green.name}-{source['metadata']['name']}"
    low = max(source["spec"].get("minReplicas", 1), replicas)
    spec = {
        **source["spec"],
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": green.name},
        "minReplicas": low,
        "maxReplicas": max(source["spec"]["maxReplicas"], low),
    }
    return _made(source, green, name, spec=spec)


# -- plans -----------------------------------------------------------------------------------------------------------
@dataclasses.dataclass
class Step:
    """One object. state: created, updated, unchanged, removed, absent or foreign (not ours: left alone)."""

    state: str
    ref: Ref
    before: Object | None
    after: Object | None

    @property
    def acts(self) -> bool:
        return self.state in ("created", "updated", "removed")

    @property
    def object(self) -> str:
        return str(self.ref)


def updated(found: Object, wanted: Object) -> Object:
    """found with wanted's content. What the cluster gave it, and replicas beyond those wanted, stay."""
    result = copy.deepcopy(found)
    for part in ("labels", "annotations"):
        result["metadata"][part] = {**(found["metadata"].get(part) or {}), **wanted["metadata"][part]}
    for key, value in wanted.items():
        if key == "spec":
            result["spec"] = {**(found.get("spec") or {}), **copy.deepcopy(value)}
            for size in ("replicas", "minReplicas", "maxReplicas"):
                if size in value:
                    result["spec"][size] = max(value[size], found["spec"].get(size) or 0)
        elif key not in ("apiVersion", "kind", "metadata"):
            result[key] = copy.deepcopy(value)
    return result


def without_nulls(value: t.Any) -> t.Any:
    """Without nulls and what is empty: the API server writes some of those out, and leaves others away."""
    if isinstance(value, dict):
        return {k: v for k, v in ((k, without_nulls(v)) for k, v in value.items()) if v not in (None, {}, [])}
    return [without_nulls(v) for v in value] if isinstance(value, list) else value


def plan_present(wanted: t.Sequence[Object], found: t.Sequence[Object | None]) -> list[Step]:
    """Raises Refusal foreign, naming every object of green's names that this collection did not make."""
    foreign = [str(Ref.of(w)) for w, f in zip(wanted, found) if f is not None and is_ours(f, CLONE_OF) is None]
    if foreign:
        raise Refusal(
            "foreign",
            f"{', '.join(foreign)}: there already, and not made by this module. Choose another name for green; or, if"
            " that is green, leave it to its owner (mesh_deploy_method: existing).",
            objects=foreign,
        )
    steps = []
    for want, have in zip(wanted, found):
        if have is None:
            steps.append(Step("created", Ref.of(want), None, want))
            continue
        after = updated(have, want)
        same = without_nulls(after) == without_nulls(have)
        steps.append(Step("unchanged" if same else "updated", Ref.of(want), have, have if same else after))
    return steps


def plan_absent(refs: t.Sequence[Ref], found: t.Sequence[Object | None]) -> list[Step]:
    steps = []
    for ref, have in zip(refs, found):
        ours = have is not None and is_ours(have, CLONE_OF) is not None
        steps.append(Step("absent" if have is None else "removed" if ours else "foreign", ref, have, None))
    return steps


def plan_restored(bodies: t.Sequence[tuple[Ref, Object]], found: t.Sequence[Object | None]) -> list[Step]:
    """Objects back to what they were. One that is gone stays so: whoever removed it meant it."""
    steps = []
    for (ref, body), have in zip(bodies, found):
        if have is None:
            steps.append(Step("absent", ref, None, None))
            continue
        after = {**have, **copy.deepcopy(body)}
        state = "unchanged" if without_nulls(after) == without_nulls(have) else "updated"
        steps.append(Step(state, ref, have, after))
    return steps


def inverse(step: Step) -> Object:
    """How to undo a step, for the journal."""
    target = step.ref.as_dict()
    if step.state == "created":
        return {"module": "gateway_clone", "params": {"state": "absent", "objects": [target]}}
    before = step.before or {}
    body = {k: v for k, v in before.items() if k not in ("apiVersion", "kind", "metadata", "status")}
    return {"module": "gateway_clone", "params": {"state": "restored", "objects": [{**target, "body": body}]}}


def shown(item: Object | None) -> Object:
    """What of an object a diff shows."""
    if item is None:
        return {}
    meta = {k: v for k, v in item["metadata"].items() if k in ("namespace", "name", "labels", "annotations")}
    return {"metadata": meta, **{k: v for k, v in item.items() if k not in ("apiVersion", "metadata", "status")}}


# -- over a cluster ----------------------------------------------------------------------------------------------------
def read(cluster: t.Any, service: Object, deployment: Object, gateways: list[Object]) -> Blue:
    """Blue, with six lists and one object."""
    namespace = service["metadata"]["namespace"]
    pod = deployment["spec"]["template"]
    account = pod["spec"].get("serviceAccountName") or "default"
    subject = ("ServiceAccount", account)

    def listed(group_version: str, plural: str) -> list[Object]:
        return cluster.list(path_of(group_version, plural, namespace))

    name = deployment["metadata"]["name"]
    labels = template_labels(deployment)
    return Blue(
        service=service,
        deployment=deployment,
        account=cluster.find(path_of("v1", "serviceaccounts", namespace, account)),
        roles=listed(RBAC, "roles"),
        bindings=[
            b for b in listed(RBAC, "rolebindings")
            if any(
                (s["kind"], s["name"]) == subject and s.get("namespace", namespace) == namespace
                for s in b.get("subjects") or ()
            )
        ],
        hpas=[
            h for h in listed("autoscaling/v2", "horizontalpodautoscalers")
            if (h["spec"]["scaleTargetRef"]["kind"], h["spec"]["scaleTargetRef"]["name"]) == ("Deployment", name)
        ],
        budgets=[
            b for b in listed("policy/v1", "poddisruptionbudgets") if picks(b["spec"].get("selector") or {}, labels)
        ],
        gateways=gateways,
    )  # fmt: skip


def found(cluster: t.Any, refs: t.Sequence[Ref]) -> list[Object | None]:
    resources = Resources(cluster)
    return read_all(cluster, [resources.path(ref) for ref in refs])


def refuse_missing(cluster: t.Any, wanted: t.Sequence[Object]) -> None:
    """Raises Refusal missing_reference: pods that can't start are better told before they are made."""
    deployment = next(item for item in wanted if item["kind"] == "Deployment")
    account = next(item for item in wanted if item["kind"] == "ServiceAccount")
    pod = deployment["spec"]["template"]["spec"]
    pull = [*(pod.get("imagePullSecrets") or ()), *(account.get("imagePullSecrets") or ())]
    needed = references({**pod, "imagePullSecrets": pull})
    namespace = deployment["metadata"]["namespace"]
    plurals = {"Secret": "secrets", "ConfigMap": "configmaps", "PersistentVolumeClaim": "persistentvolumeclaims"}
    have = read_all(cluster, [path_of("v1", plurals[kind], namespace, name) for kind, name in needed])
    missing = [f"{kind} {namespace}/{name}" for (kind, name), item in zip(needed, have) if item is None]
    if missing:
        raise Refusal(
            "missing_reference",
            f"Deployment {namespace}/{deployment['metadata']['name']}: its pods can't start without"
            f" {', '.join(missing)}. Blue's are in its own namespace; create these.",
            objects=missing,
        )


def node_port_changes(service: Object) -> list[Change]:
    return [Change(i, p["name"], None, p["nodePort"]) for i, p in enumerate(service["spec"]["ports"])]


def refuse_taken_ports(cluster: t.Any, service: Object) -> None:
    """Raises Refusal port_in_use before anything is made."""
    refuse_taken(service, node_port_changes(service), holders(cluster.list(path_of("v1", "services"))))


def apply(cluster: t.Any, step: Step, dry_run: bool) -> None:
    """Writes one step, if the object is still what the plan saw. Raises ApiError (409 when it is not)."""
    path = Resources(cluster).path(step.ref)
    if step.state == "created":
        cluster.create(path.rpartition("/")[0], step.after, dry_run=dry_run)
    elif step.state == "updated":
        cluster.replace(path, step.after, dry_run=dry_run)
    elif step.state == "removed":
        cluster.delete(path, uid=step.before["metadata"]["uid"], dry_run=dry_run)  # its version moves with its status
