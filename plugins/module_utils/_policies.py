# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is bound to blue's pods by label or namespace, and green's copies of it.

An Istio policy applies to the pods that its selector matches in its own namespace, and in every namespace if it is in
the mesh's root namespace; Telemetry and ProxyConfig with a selector apply in their own namespace only, targetRefs too.
A copy is in green's namespace and selects green's pods, whatever its source selects: it must not reach others there.
"""

from __future__ import annotations

import copy
import dataclasses
import re
import typing as t

from . import _destination_rules, _monitors
from ._client import path_of
from ._inventory import KINDS, Inventory, Object, Workload, annotations_of, named, ref_of
from ._module import Refusal
from ._network_policies import types_of
from ._objects import picks
from ._servers import service_on_green
from ._twin import MANAGED_BY, MANAGER, Ref, is_ours, title, with_meta

POLICY_OF = "bluegreen.mesh/policy-of"
# A route configuration of a Gateway that ends TLS: https.PORT.PORTNAME.GATEWAY.NAMESPACE.
SECURE_ROUTE = re.compile(r"https\.([0-9]+)\.(.+)\.([^.]+)\.([^.]+)")


@dataclasses.dataclass(frozen=True)
class Bound:
    """name: of the inventory's kind; code: the finding that a missing copy is; istio: bound by Istio's rules; reaches:
    whether a selector in the root namespace reaches every namespace; asks: what else has to be read for it; needed:
    whether green must not be without it."""

    name: str
    code: str
    istio: bool = True
    reaches: bool = True
    asks: tuple[str, ...] = ()
    needed: bool = True


COPIED = {
    "AuthorizationPolicy": Bound("authorization_policies", "policy_bound_to_blue"),
    "RequestAuthentication": Bound("request_authentications", "policy_bound_to_blue"),
    "EnvoyFilter": Bound("envoy_filters", "policy_bound_to_blue"),
    "WasmPlugin": Bound("wasm_plugins", "policy_bound_to_blue"),
    "Telemetry": Bound("telemetries", "policy_bound_to_blue", reaches=False),
    "ProxyConfig": Bound("proxy_configs", "policy_bound_to_blue", reaches=False),
    "NetworkPolicy": Bound("network_policies", "network_policy_open", istio=False),
    "PodDisruptionBudget": Bound("pdbs", "green_pdb", istio=False),
    "HorizontalPodAutoscaler": Bound("hpas", "green_hpa", istio=False),
    "DestinationRule": Bound(
        "destination_rules", "destination_rule_scope", istio=False, asks=("virtual_services",), needed=False
    ),
    "ServiceMonitor": Bound("service_monitors", "monitor_on_blue", istio=False, needed=False),
    "PodMonitor": Bound("pod_monitors", "monitor_on_blue", istio=False, needed=False),
}
VERSIONS = {kind.name: kind.versions for kind in KINDS}


# -- what is bound to whom ---------------------------------------------------------------------------------------------
def lacking(inventory: Inventory, workload: Workload, kind: str, copies: bool = True) -> list[Object]:
    """What applies to blue's pods, and has nothing for green's that says the same. copies: whether ours count."""
    own = COPIED[kind]
    items = [item for item in inventory[own.name] if copies or not is_ours(item, POLICY_OF)]
    if kind == "DestinationRule":
        return _destination_rules.lacking(inventory, workload, items)
    if kind in ("ServiceMonitor", "PodMonitor"):
        return _monitors.lacking(inventory, workload, kind, items)
    on_green = [item for item in items if _at_green(inventory, workload, kind, item)]
    blues = [
        item for item in inventory[own.name]
        if not is_ours(item, POLICY_OF) and _at_blue(inventory, workload, kind, item) and item not in on_green
    ]  # fmt: skip
    if kind in ("PodDisruptionBudget", "HorizontalPodAutoscaler"):
        return [] if on_green else blues
    return [
        item for item in blues
        if not any(is_ours(other, POLICY_OF) == named(item) or same_rules(item, other) for other in on_green)
    ]  # fmt: skip


def bound_to(inventory: Inventory, workload: Workload, kind: str) -> list[Object]:
    """What applies to blue's pods and not to green's, whether green has its like or not."""
    return [
        item for item in inventory[COPIED[kind].name]
        if _at_blue(inventory, workload, kind, item) and not _at_green(inventory, workload, kind, item)
    ]  # fmt: skip


def copy_of(inventory: Inventory, workload: Workload, source: Object) -> Object | None:
    """Our copy of a policy for this workload's green pods, if there is one."""
    found = inventory.find(COPIED[source["kind"]].name, target_of(workload, source))
    return found if found and is_ours(found, POLICY_OF) == named(source) else None


def target_of(workload: Workload, source: Object) -> Ref:
    """By the release, since several workloads may have copies in one namespace."""
    monitor = source["kind"] in ("ServiceMonitor", "PodMonitor")
    namespace = _monitors.target_namespace(workload, source) if monitor else workload.green[0]
    return namespace, f"{ref_of(source)[1]}-{workload.green[1]}"


def _at_blue(inventory: Inventory, workload: Workload, kind: str, item: Object) -> bool:
    if kind == "HorizontalPodAutoscaler":
        blue = inventory.blue_deployment(workload)
        return bool(blue) and ref_of(item)[0] == workload.blue[0] and _scales(item) == ref_of(blue)[1]
    return any(_applies_to(inventory, kind, item, workload.blue[0], ls) for ls in inventory.blue_labels(workload))


def _at_green(inventory: Inventory, workload: Workload, kind: str, item: Object) -> bool:
    if kind == "HorizontalPodAutoscaler":
        return ref_of(item)[0] == workload.green[0] and _scales(item) == workload.green[1]
    return _applies_to(inventory, kind, item, workload.green[0], workload.green_labels)


def _scales(hpa: Object) -> str:
    target = (hpa.get("spec") or {}).get("scaleTargetRef") or {}
    return target.get("name", "") if target.get("kind") == "Deployment" else ""


def _applies_to(inventory: Inventory, kind: str, item: Object, namespace: str, labels: dict[str, str]) -> bool:
    spec = item.get("spec") or {}
    if COPIED[kind].istio:
        return applies(item, namespace, labels, inventory, COPIED[kind].reaches)
    selector = (spec.get("podSelector") or {}) if kind == "NetworkPolicy" else spec.get("selector")
    return ref_of(item)[0] == namespace and picks(selector, labels)


def applies(policy: Object, namespace: str, labels: dict[str, str], inventory: Inventory, reaches: bool) -> bool:
    """Whether an Istio policy applies to pods with these labels in `namespace`."""
    spec = policy.get("spec") or {}
    own = ref_of(policy)[0]
    targets = targets_of(spec)
    if targets:
        return own == namespace and any(
            ref.get("kind") == "Gateway" and labels.get("gateway.networking.k8s.io/gateway-name") == ref.get("name")
            for ref in targets
        )
    selector = (
        (spec.get("selector") or {}).get("matchLabels") or (spec.get("workloadSelector") or {}).get("labels") or {}
    )
    if own != namespace and (own not in inventory.root_namespaces or selector and not reaches):
        return False
    return selector.items() <= labels.items()


def targets_of(spec: Object) -> list[Object]:
    return [*(spec.get("targetRefs") or ()), *([spec["targetRef"]] if spec.get("targetRef") else [])]


def same_rules(one: Object, other: Object) -> bool:
    """Whether two policies say the same, whoever they are for."""
    where = ("selector", "workloadSelector", "podSelector", "targetRef", "targetRefs")
    specs = [{k: v for k, v in (p.get("spec") or {}).items() if k not in where} for p in (one, other)]
    return specs[0] == specs[1]


# -- copies ------------------------------------------------------------------------------------------------------------
def twin(inventory: Inventory, workload: Workload, source: Object) -> Object:
    """Green's copy. Raises Refusal(not_copied) with why there can't be one that surely means the same."""
    kind = source["kind"]
    ports = Ports(inventory, workload, source)
    spec = copy.deepcopy(source.get("spec") or {})
    if COPIED[kind].istio:
        _retarget(workload, source, spec)
    REWRITE.get(kind, lambda *_args: None)(inventory, workload, spec, ports)
    namespace, name = target_of(workload, source)
    labels = _monitors.kept_labels(source) if kind in ("ServiceMonitor", "PodMonitor") else {}
    return {
        "apiVersion": source["apiVersion"],
        "kind": kind,
        "metadata": {
            "namespace": namespace, "name": name, "labels": {**labels, MANAGED_BY: MANAGER},
            "annotations": {POLICY_OF: named(source)},
        },
        "spec": spec,
    }  # fmt: skip


def refuse(source: Object, field: str, why: str) -> t.NoReturn:
    raise Refusal("not_copied", f"{named(source)} {field}: {why}", object=named(source))


class Ports:
    """Blue's listening ports -> green's, by the port numbers of the Services."""

    def __init__(self, inventory: Inventory, workload: Workload, source: Object) -> None:
        self.source = source
        self._to: dict[int, set[int]] = {}
        blue, green = inventory.find("services", workload.blue), service_on_green(inventory, workload)
        there = {
            p["port"]: p.get("targetPort") or p["port"] for p in ((green or {}).get("spec") or {}).get("ports") or ()
        }
        for port in ((blue or {}).get("spec") or {}).get("ports") or ():
            old, new = port.get("targetPort") or port["port"], there.get(port["port"])
            if isinstance(old, int) and isinstance(new, int):
                self._to.setdefault(old, set()).add(new)

    def __call__(self, number: t.Any, field: str) -> t.Any:
        """Green's port for one of blue's, in the form in which it is given; another number is none of blue's."""
        to = self._to.get(int(number), {int(number)}) if str(number).isdigit() else {number}
        if len(to) > 1:
            refuse(
                self.source,
                field,
                f"port {number} is {' and '.join(map(str, sorted(to)))} on green; write green's own.",
            )
        return type(number)(next(iter(to)))


def _retarget(workload: Workload, source: Object, spec: Object) -> None:
    if targets_of(spec):
        refuse(source, "spec.targetRefs", "it names a Gateway of the Kubernetes Gateway API; write green's own.")
    if source["kind"] == "WasmPlugin" and spec.get("imagePullSecret"):
        refuse(
            source, "spec.imagePullSecret", "a Secret of that name may not be in green's namespace; write green's own."
        )
    field, inner = ("workloadSelector", "labels") if source["kind"] == "EnvoyFilter" else ("selector", "matchLabels")
    spec[field] = {inner: dict(workload.green_labels)}


def _authorization_policy(_inventory: Inventory, _workload: Workload, spec: Object, ports: Ports) -> None:
    for i, rule in enumerate(spec.get("rules") or ()):
        for j, entry in enumerate(rule.get("to") or ()):
            for key in ("ports", "notPorts"):
                given = (entry.get("operation") or {}).get(key)
                if given:
                    entry["operation"][key] = [ports(p, f"spec.rules[{i}].to[{j}].operation.{key}") for p in given]
        for j, condition in enumerate(rule.get("when") or ()):
            for key in ("values", "notValues"):
                if condition.get("key") == "destination.port" and condition.get(key):
                    condition[key] = [ports(p, f"spec.rules[{i}].when[{j}].{key}") for p in condition[key]]


def _envoy_filter(inventory: Inventory, _workload: Workload, spec: Object, ports: Ports) -> None:
    """Ports, and names of listeners, routes and Gateways, as they are on green."""
    for i, patch in enumerate(spec.get("configPatches") or ()):
        for kind in ("listener", "routeConfiguration"):
            match, field = (patch.get("match") or {}).get(kind) or {}, f"spec.configPatches[{i}].match.{kind}"
            if match.get("portNumber"):
                match["portNumber"] = ports(match["portNumber"], f"{field}.portNumber")
            if match.get("name"):
                match["name"] = _renamed(inventory, match["name"], ports, f"{field}.name")
            host = re.fullmatch(r"(.*:)([0-9]+)", (match.get("vhost") or {}).get("name") or "")
            if host:
                match["vhost"]["name"] = host[1] + str(ports(host[2], f"{field}.vhost.name"))
            pair = next((p for p in inventory.pairs if title(p.blue) == match.get("gateway")), None)
            if pair:
                match["gateway"] = title(pair.green)


def _renamed(inventory: Inventory, name: str, ports: Ports, field: str) -> str:
    """0.0.0.0_8443, http.8080, and that of a Gateway that ends TLS, whose port is the Gateway server's."""
    secure = SECURE_ROUTE.fullmatch(name)
    if secure:
        pair = next((p for p in inventory.pairs if p.blue == (secure[4], secure[3])), None)
        number = pair.ports.get(int(secure[1]), secure[1]) if pair else secure[1]
        return f"https.{number}.{secure[2]}.{pair.green[1]}.{pair.green[0]}" if pair else name
    plain = re.fullmatch(r"(http\.|.*_)([0-9]+)", name)
    return plain[1] + str(ports(plain[2], field)) if plain else name


def _network_policy(inventory: Inventory, workload: Workload, spec: Object, ports: Ports) -> None:
    """Peers without a namespaceSelector are pods beside blue, and stay those."""
    spec["policyTypes"] = types_of({"spec": spec})
    spec["podSelector"] = {"matchLabels": dict(workload.green_labels)}
    for direction, key in (("ingress", "from"), ("egress", "to")):
        for i, rule in enumerate(spec.get(direction) or ()):
            for entry in (rule.get("ports") or ()) if direction == "ingress" else ():
                if entry.get("endPort"):
                    continue
                if "port" in entry:
                    entry["port"] = ports(entry["port"], f"spec.{direction}[{i}].ports")
            for peer in rule.get(key) or ():
                beside = "podSelector" in peer and "namespaceSelector" not in peer
                if beside and workload.blue[0] != workload.green[0]:
                    name = {"kubernetes.io/metadata.name": workload.blue[0]}
                    peer["namespaceSelector"] = {"matchLabels": name}


def _pod_disruption_budget(_inventory: Inventory, workload: Workload, spec: Object, _ports: Ports) -> None:
    spec["selector"] = {"matchLabels": dict(workload.green_labels)}


def _autoscaler(inventory: Inventory, workload: Workload, spec: Object, ports: Ports) -> None:
    """Never below what blue has now: as long as blue has the traffic, green has none and would be scaled in."""
    if any(m.get("type") == "Object" for m in spec.get("metrics") or ()):
        refuse(ports.source, "spec.metrics", "it goes by another object's metric, which is blue's; write green's own.")
    blue = inventory.blue_deployment(workload) or {}
    now = (blue.get("spec") or {}).get("replicas") or 1
    spec["scaleTargetRef"] = {**spec["scaleTargetRef"], "name": workload.green[1]}
    spec["minReplicas"] = max(spec.get("minReplicas") or 1, now)
    spec["maxReplicas"] = max(spec["maxReplicas"], spec["minReplicas"])


def _destination_rule(_inventory: Inventory, workload: Workload, spec: Object, ports: Ports) -> None:
    _destination_rules.rewrite(workload, ports.source, spec)


def _monitor(inventory: Inventory, workload: Workload, spec: Object, ports: Ports) -> None:
    _monitors.rewrite(inventory, workload, ports.source, spec, refuse)


REWRITE: dict[str, t.Callable[[Inventory, Workload, Object, Ports], None]] = {
    "AuthorizationPolicy": _authorization_policy,
    "EnvoyFilter": _envoy_filter,
    "NetworkPolicy": _network_policy,
    "PodDisruptionBudget": _pod_disruption_budget,
    "HorizontalPodAutoscaler": _autoscaler,
    "DestinationRule": _destination_rule,
    "ServiceMonitor": _monitor,
    "PodMonitor": _monitor,
}


# -- plans -------------------------------------------------------------------------------------------------------------
@dataclasses.dataclass
class Step:
    """One copy, and what is to be done about it. state: created, updated, unchanged; removed, absent, foreign.
    wanted: the copy as it is to be, without what the cluster and others have added."""

    state: str
    kind: str
    path: str
    ref: Ref
    source: str
    before: Object | None
    after: Object | None
    wanted: Object | None = None

    @property
    def acts(self) -> bool:
        return self.state in ("created", "updated", "removed")

    @property
    def object(self) -> str:
        return f"{self.kind} {title(self.ref)}"


def present(
    inventory: Inventory, kinds: t.Sequence[str], waive: t.Collection[str]
) -> tuple[list[Step], list[tuple[str, str]]]:
    """(steps, [(source, why there can't be a copy)]). waive: findings that are accepted, so nothing is copied."""
    steps: list[Step] = []
    refused = []
    for workload in inventory.workloads:
        for kind in kinds:
            for source in lacking(inventory, workload, kind, copies=False):
                accepted = {COPIED[kind].code, f"{COPIED[kind].code}:{title(ref_of(source))}"}
                if accepted.intersection(waive):
                    continue
                # One that is for no pods in particular is for all of green's namespace.
                there = [s.source for s in steps if s.kind == "DestinationRule" and s.ref[0] == workload.green[0]]
                if named(source) in there and not (source.get("spec") or {}).get("workloadSelector"):
                    continue
                try:
                    steps.append(_step(inventory, workload, source))
                except Refusal as exc:
                    refused.append((named(source), str(exc)))
    return steps, refused


def _step(inventory: Inventory, workload: Workload, source: Object) -> Step:
    kind, target = source["kind"], target_of(workload, source)
    wanted = twin(inventory, workload, source)
    found = inventory.find(COPIED[kind].name, target)
    plural = VERSIONS[COPIED[kind].name][0][1]
    path = path_of(source["apiVersion"], plural, *target)
    if found is None:
        return Step("created", kind, path, target, named(source), None, wanted, wanted)
    if is_ours(found, POLICY_OF) != named(source):
        refuse(source, "metadata.name", f"{kind} {title(target)} exists and is no copy of it; rename or remove that.")
    after = with_meta(found, wanted)
    state = "unchanged" if after == found else "updated"
    return Step(state, kind, path, target, named(source), found, after, wanted)


def foresee(inventory: Inventory, waive: t.Collection[str]) -> None:
    """Adds what the deployment will copy, so that the findings tell what will be missing even then."""
    steps, refused = present(inventory, list(COPIED), waive)
    inventory.not_copied.update(refused)
    for step in steps:
        kept = [item for item in inventory[COPIED[step.kind].name] if ref_of(item) != step.ref]
        inventory.replace(COPIED[step.kind].name, [*kept, step.after])


def absent(found: t.Sequence[tuple[str, str, Ref, Object | None]]) -> list[Step]:
    """found: (kind, path, ref, object or None). What is not ours is left."""
    return [
        Step(
            "absent" if item is None else "removed" if is_ours(item, POLICY_OF) else "foreign",
            kind, path, ref, annotations_of(item).get(POLICY_OF, "") if item else "", item, None,
        )
        for kind, path, ref, item in found
    ]  # fmt: skip


def inverse(step: Step) -> dict[str, t.Any] | None:
    """How to undo a step, for the journal. A copy that follows its source has been created before, and noted then."""
    if step.state != "created":
        return None
    return {"module": "policy_twin", "params": {"state": "absent", "copies": [step.object]}}


def apply(cluster: t.Any, step: Step, dry_run: bool) -> None:
    """Writes one step, if the object is still what the plan saw. Raises ApiError (409 when it is not)."""
    if step.state == "created":
        cluster.create(step.path.rpartition("/")[0], step.after, dry_run=dry_run)
    elif step.state == "updated":
        cluster.replace(step.path, step.after, dry_run=dry_run)
    elif step.state == "removed":
        meta = step.before["metadata"]
        cluster.delete(step.path, uid=meta["uid"], resource_version=meta["resourceVersion"], dry_run=dry_run)


def shown(item: Object | None) -> Object:
    """What of an object goes into a diff."""
    if item is None:
        return {}
    meta = {key: item["metadata"][key] for key in ("labels", "annotations") if item["metadata"].get(key)}
    return {"metadata": meta, "spec": item.get("spec")}
