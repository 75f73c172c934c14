# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Setting a Service's node ports, and nothing else of it.

The API server allocates node ports for the whole cluster, whatever the protocol, and says only "already allocated"; who
has one is found from the list of all Services. Nothing tells its range but its refusal to write a number outside: a dry
run allocates nothing, and so does not look (portallocator/operation.go).
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ._client import ApiError, Cluster, path_of
from ._journal import Journal
from ._module import Refusal
from ._objects import OPERATOR

TRIES = 5
HEALTH_CHECK = "healthCheckNodePort"
# k8s.io/kubernetes pkg/registry/core/service/portallocator/allocator.go
RANGE = re.compile(r"The range of valid ports is (\d+-\d+)")
ALLOCATED = "provided port is already allocated"
INVALID_PORT = re.compile(r"spec\.(?:ports\[\d+\]\.nodePort|healthCheckNodePort): Invalid value: (\d+)")


@dataclasses.dataclass(frozen=True)
class Change:
    """One number to set. index: of the port in spec.ports, None for healthCheckNodePort; old: None where there is
    none."""

    index: int | None
    name: str
    old: int | None
    new: int

    @property
    def label(self) -> str:
        return self.name if self.index is None else f"port {self.name}"


# -- rules, over plain objects ---------------------------------------------------------------------------------------
def port_names(service: dict[str, t.Any]) -> list[str]:
    """The ports' names; the only port of a Service may be without one and then goes by its number."""
    return [port.get("name") or str(port["port"]) for port in service["spec"].get("ports") or []]


def plan(service: dict[str, t.Any], node_ports: dict[str, int], health_check_node_port: int | None) -> list[Change]:
    """What has to change. Raises Refusal: wrong_type, unknown_port_name, duplicate_port, health_check."""
    name = title(service)
    spec = service["spec"]
    kind = spec.get("type") or "ClusterIP"
    if kind not in ("NodePort", "LoadBalancer"):
        raise Refusal(
            "wrong_type",
            f"{name}: spec.type is {kind}, which has no node ports; expected NodePort or LoadBalancer. Change the type"
            " where the Service comes from (its chart's values), then set the ports.",
            found=kind, expected=["NodePort", "LoadBalancer"],
        )  # fmt: skip
    names = port_names(service)
    unknown = [wanted for wanted in node_ports if wanted not in names]
    if unknown:
        raise Refusal(
            "unknown_port_name",
            f"{name} has no port named {', '.join(map(repr, unknown))}. It has: {', '.join(names)}.",
            found=unknown, expected=names,
        )  # fmt: skip
    _refuse_duplicates(name, service, node_ports, health_check_node_port)
    changes = []
    for index, (port_name, port) in enumerate(zip(names, spec["ports"])):
        old = port.get("nodePort") or None
        new = node_ports.get(port_name, old)
        if new is not None and new != old:
            changes.append(Change(index, port_name, old, new))
    if health_check_node_port is not None:
        changes += _health_check(name, spec, kind, health_check_node_port)
    return changes


def _refuse_duplicates(
    name: str, service: dict[str, t.Any], node_ports: dict[str, int], health_check_node_port: int | None
) -> None:
    """One Service may have a number twice for different protocols (DNS does); anything else is refused by the API
    server, with a status 500."""
    taken: dict[tuple[int, str], str] = {}
    for port_name, port in zip(port_names(service), service["spec"]["ports"]):
        number = node_ports.get(port_name, port.get("nodePort"))
        key = (number, port.get("protocol") or "TCP")
        if number and key in taken:
            raise Refusal(
                "duplicate_port",
                f"{name}: ports {taken[key]} and {port_name} would both have node port {number}. To swap two ports give"
                " both of them in node_ports.",
                found=number,
            )
        if number and number == health_check_node_port:
            raise Refusal("duplicate_port", f"{name}: port {port_name} and healthCheckNodePort would both be {number}.")
        taken[key] = port_name


def _health_check(name: str, spec: dict[str, t.Any], kind: str, wanted: int) -> list[Change]:
    policy = spec.get("externalTrafficPolicy") or "Cluster"
    have = spec.get(HEALTH_CHECK) or None
    if kind != "LoadBalancer" or policy != "Local":
        raise Refusal(
            "health_check",
            f"{name}: healthCheckNodePort exists only with type LoadBalancer and externalTrafficPolicy Local; found"
            f" type {kind} and {policy}. Leave health_check_node_port out, or change those where the Service comes"
            " from.",
            found={"type": kind, "externalTrafficPolicy": policy},
        )
    if have is not None and have != wanted:
        raise Refusal(
            "health_check",
            f"{name}: spec.healthCheckNodePort is {have} and can't become {wanted}: Kubernetes never changes it. It is"
            " given when the Service is created, or when externalTrafficPolicy becomes Local.",
            found=have, expected=wanted,
        )  # fmt: skip
    return [] if have == wanted else [Change(None, HEALTH_CHECK, None, wanted)]


def holders(services: t.Iterable[dict[str, t.Any]]) -> dict[int, list[tuple[str, str, str]]]:
    """Who has which node port: number -> [(namespace, name, port name)]."""
    found: dict[int, list[tuple[str, str, str]]] = {}
    for service in services:
        meta, spec = service["metadata"], service.get("spec") or {}
        given = [(p.get("nodePort"), p.get("name") or str(p.get("port"))) for p in spec.get("ports") or []]
        given.append((spec.get(HEALTH_CHECK), HEALTH_CHECK))
        for number, port_name in given:
            if number:
                found.setdefault(number, []).append((meta["namespace"], meta["name"], port_name))
    return found


def refuse_taken(
    service: dict[str, t.Any], changes: t.Sequence[Change], others: dict[int, list[tuple[str, str, str]]]
) -> None:
    """Raises Refusal port_in_use for a number that another Service has."""
    meta = service["metadata"]
    for change in changes:
        for namespace, name, port_name in others.get(change.new, []):
            if (namespace, name) != (meta["namespace"], meta["name"]):
                raise Refusal(
                    "port_in_use",
                    f"{title(service)}, {change.label}: node port {change.new} is in use by Service"
                    f" {namespace}/{name}, port {port_name}. Choose another, or free it there.",
                    port=change.new, used_by={"namespace": namespace, "name": name, "port": port_name},
                )  # fmt: skip


def put_back_by(obj: dict[str, t.Any]) -> list[dict[str, str]]:
    """Who wrote this object and will write it again: [{by, kind, namespace, name}].

    By the marks that each leaves: Helm's and Argo CD's annotations, Flux's labels, the Istio operator's labels, and a
    controlling ownerReference. Argo CD's label app.kubernetes.io/instance is everybody's and says nothing.
    """
    meta = obj["metadata"]
    annotations, labels = meta.get("annotations") or {}, meta.get("labels") or {}
    found = []

    def add(by: str, kind: str, namespace: str, name: str) -> None:
        found.append({"by": by, "kind": kind, "namespace": namespace, "name": name})

    for kind, prefix in (("HelmRelease", "helm.toolkit.fluxcd.io"), ("Kustomization", "kustomize.toolkit.fluxcd.io")):
        if labels.get(f"{prefix}/name"):
            add("flux", kind, labels.get(f"{prefix}/namespace", ""), labels[f"{prefix}/name"])
    tracking = annotations.get("argocd.argoproj.io/tracking-id", "").partition(":")[0] or labels.get(
        "argocd.argoproj.io/instance", ""
    )
    if tracking:
        namespace, _sep, name = tracking.rpartition("_")  # NAMESPACE_NAME for Applications outside Argo CD's namespace
        add("argocd", "Application", namespace, name)
    if annotations.get("meta.helm.sh/release-name"):
        add(
            "helm",
            "release",
            annotations.get("meta.helm.sh/release-namespace", ""),
            annotations["meta.helm.sh/release-name"],
        )
    if labels.get(OPERATOR):
        add("istio-operator", "IstioOperator", labels.get(f"{OPERATOR}-namespace", ""), labels[OPERATOR])
    for owner in meta.get("ownerReferences") or []:
        if owner.get("controller"):
            add("controller", owner["kind"], meta.get("namespace", ""), owner["name"])
    return found


def title(service: t.Mapping[str, t.Any]) -> str:
    return f"Service {service['metadata']['namespace']}/{service['metadata']['name']}"


def patch_of(service: dict[str, t.Any], changes: t.Sequence[Change]) -> list[dict[str, t.Any]]:
    """One JSON patch, so that ports can change places. Writing the resourceVersion that was read makes the API server
    answer 409 to a Service that was changed meanwhile (a failed `test` is a 422, like a port that it refuses)."""
    version = service["metadata"]["resourceVersion"]
    patch: list[dict[str, t.Any]] = [{"op": "replace", "path": "/metadata/resourceVersion", "value": version}]
    for change in changes:
        field = HEALTH_CHECK if change.index is None else f"ports/{change.index}/nodePort"
        patch.append({"op": "add", "path": f"/spec/{field}", "value": change.new})
    return patch


def explained(exc: ApiError, service: dict[str, t.Any], changes: t.Sequence[Change]) -> Refusal | None:
    """The API server's refusal of a number, in our words; None for any other error."""
    number = INVALID_PORT.search(exc.text)
    label = next((c.label for c in changes if number and c.new == int(number[1])), "node ports")
    valid = RANGE.search(exc.text)
    if valid:
        found = number[1] if number else "?"
        return Refusal(
            "port_out_of_range",
            f"{title(service)}, {label}: found {found}, expected a number in {valid[1]}, the range that this API"
            " server gives node ports from (--service-node-port-range).",
            found=int(number[1]) if number else None, expected=valid[1],
        )  # fmt: skip
    if ALLOCATED in exc.text:
        return Refusal(
            "port_in_use",
            f"{title(service)}, {label}: node port {number[1] if number else '?'} is allocated, though no Service has"
            " it: one that was just deleted or changed, perhaps; the API server frees such ports within minutes. Run"
            " again, or choose another.",
            port=int(number[1]) if number else None, used_by=None,
        )  # fmt: skip
    return None


# -- the module's operation ------------------------------------------------------------------------------------------
def free(cluster: Cluster, namespace: str, name: str, node_ports: dict[str, int]) -> None:
    """Whether no other Service has these. One that is there keeps what it has: who owns it may be about to change it.

    Raises Refusal: duplicate_port, port_in_use.
    """
    ports = [{"name": port, "nodePort": node} for port, node in node_ports.items()]
    service: dict[str, t.Any] = {"metadata": {"namespace": namespace, "name": name}, "spec": {"ports": ports}}
    _refuse_duplicates(title(service), service, {}, None)
    changes = [Change(index, port, None, node) for index, (port, node) in enumerate(node_ports.items())]
    refuse_taken(service, changes, holders(cluster.list(path_of("v1", "services"))))


def operate(module: t.Any, cluster: Cluster) -> dict[str, t.Any]:
    params = module.params
    node_ports = numbers(params["node_ports"] or {})
    if params["state"] == "free":
        free(cluster, params["namespace"], params["name"], node_ports)
        return {"changed": False, "node_ports": node_ports, "diff": {"before": {}, "after": {}}}
    health = params["health_check_node_port"]
    if health is not None:
        numbers({"health_check_node_port": health})
    journal = Journal.load(cluster, params["journal"])
    if journal and not module.check_mode:
        journal.check()
    path = path_of("v1", "services", params["namespace"], params["name"])
    conflict: ApiError | None = None
    for _attempt in range(TRIES):
        try:
            return _once(module, cluster, journal, path, node_ports, health)
        except ApiError as exc:
            if exc.status != 409:
                raise
            conflict = exc
    raise Refusal(
        "conflict",
        f"Service {params['namespace']}/{params['name']} was changed by others during each of {TRIES} tries to write it"
        f" ({conflict}). Find out who does, and run again.",
    )


def _once(
    module: t.Any, cluster: Cluster, journal: Journal | None, path: str, node_ports: dict[str, int], health: int | None
) -> dict[str, t.Any]:
    service = cluster.find(path)
    if service is None:
        raise Refusal(
            "not_found",
            f"Service {module.params['namespace']}/{module.params['name']} does not exist. Check namespace and name"
            " (kubectl get services -A).",
        )
    changes = plan(service, node_ports, health)
    owners = put_back_by(service)
    before, after = _shown(service), _shown(service)
    if changes:
        refuse_taken(service, changes, holders(cluster.list(path_of("v1", "services"))))
        patch = patch_of(service, changes)
        try:
            cluster.patch(path, patch, kind="json", dry_run=True)
            if not module.check_mode:
                _write(cluster, journal, path, service, patch)
        except ApiError as exc:
            refusal = explained(exc, service, changes)
            if refusal is None:
                raise
            raise refusal from exc
        after.update({change.name: change.new for change in changes})
        for owner in owners:
            module.warn(
                f"{title(service)} comes from {owner['by']} ({owner['kind']} {owner['namespace']}/{owner['name']}),"
                " which puts its own node ports back when it next writes it. Set them there too."
            )
    return {
        "changed": bool(changes),
        "node_ports": {name: number for name, number in after.items() if name != HEALTH_CHECK},
        "health_check_node_port": after.get(HEALTH_CHECK),
        "put_back_by": owners,
        "diff": {"before": before, "after": after},
    }


def _write(
    cluster: Cluster, journal: Journal | None, path: str, service: dict[str, t.Any], patch: list[dict[str, t.Any]]
) -> None:
    if journal is None:
        cluster.patch(path, patch, kind="json")
        return
    # all ports, not only those of this run: the first inverse of a phase is the one that counts
    former = {name: number for name, number in _shown(service).items() if number and name != HEALTH_CHECK}
    meta = service["metadata"]
    params = {"namespace": meta["namespace"], "name": meta["name"], "node_ports": former}
    step = journal.record("service_node_ports", title(service), {"module": "service_node_ports", "params": params})
    cluster.patch(path, patch, kind="json")
    journal.done(step)


def numbers(wanted: dict[str, t.Any]) -> dict[str, int]:
    """Port names and whole numbers. Raises Refusal bad_port."""
    found = {}
    for name, value in wanted.items():
        text = str(value)
        if isinstance(value, (bool, float)) or not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
            raise Refusal(
                "bad_port", f"{name}: {value!r} is not a port number. Expected a whole number from 1 to 65535."
            )
        found[str(name)] = int(text)
    return found


def _shown(service: dict[str, t.Any]) -> dict[str, t.Any]:
    shown = {name: port.get("nodePort") for name, port in zip(port_names(service), service["spec"].get("ports") or [])}
    if service["spec"].get(HEALTH_CHECK):
        shown[HEALTH_CHECK] = service["spec"][HEALTH_CHECK]
    return shown
