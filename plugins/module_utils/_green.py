# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether green is there, whoever deployed it: Service, NodePorts, ready pods, labels of its own, Gateways, and whether
istiod hands it certificates.

Pure functions over what read() read.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ._client import ApiError, Cluster, path_of
from ._gateways import is_ready, istio_list
from ._module import Refusal
from ._node_ports import port_names
from ._objects import configures, key_of, labels_of, selector_of, selects
from ._resources import read_all
from ._twin import credentials

Object = dict[str, t.Any]
REVIEWS = ("authorization.k8s.io/v1", "localsubjectaccessreviews")


@dataclasses.dataclass(frozen=True)
class Problem:
    code: str
    object: str
    found: str
    fix: str

    @property
    def text(self) -> str:
        return f"{self.code}: {self.object}: {self.found}. {self.fix}"


@dataclasses.dataclass
class World:
    """services, gateways: by NAMESPACE/NAME; pods: by namespace. lists_secrets: whether a service account
    (NAMESPACE/NAME) that has to may list its namespace's Secrets; None where that may not be asked."""

    services: dict[str, Object]
    gateways: dict[str, Object]
    pods: dict[str, list[Object]]
    lists_secrets: dict[str, bool | None] = dataclasses.field(default_factory=dict)

    def pods_of(self, service: Object | None) -> list[Object]:
        """Those that a Service selects and that are not on their way out."""
        if service is None:
            return []
        selector = service["spec"].get("selector")
        return [
            pod
            for pod in self.pods.get(service["metadata"]["namespace"], [])
            if selects(selector, labels_of(pod))
            and not pod["metadata"].get("deletionTimestamp")
            and (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
        ]


def service_names(workload: Object) -> tuple[str, str]:
    """Blue's and green's Service, as NAMESPACE/NAME."""
    blue, green = workload["blue"], workload["green"]
    return f"{blue['namespace']}/{blue['service']}", f"{green['namespace']}/{green['release']}"


def account_of(pod: Object) -> str:
    """Its service account, as NAMESPACE/NAME."""
    return f"{pod['metadata']['namespace']}/{pod['spec'].get('serviceAccountName') or 'default'}"


def certificates(gateway: Object | None) -> list[str]:
    """Names of the Secrets that a Gateway's pods get for their permission only; everybody gets an authority's."""
    named = credentials((gateway or {}).get("spec") or {})
    return [credential.name for credential in named if not credential.name.endswith("-cacert")]


def problems(world: World, workloads: t.Sequence[Object], pairs: t.Sequence[Object]) -> list[Problem]:
    """Everything that is not as it has to be; none is a green that can be verified."""
    by_name = {workload["name"]: workload for workload in workloads}
    found = [problem for workload in workloads for problem in _workload(world, workload)]
    for number, pair in enumerate(pairs):
        workload = by_name.get(pair["workload"])
        if workload is None:
            raise Refusal(
                "bad_option", f"pairs[{number}].workload: {pair['workload']!r} is none of {', '.join(by_name)}."
            )
        found += _pair(world, pair, workload)
    return list(dict.fromkeys(found))


def _workload(world: World, workload: Object) -> t.Iterator[Problem]:
    blue_name, green_name = service_names(workload)
    service, blue = world.services.get(green_name), world.services.get(blue_name)
    where = f"Service {green_name}"
    if service is None:
        yield Problem("service_missing", where, "does not exist", "Deploy green, or correct mesh_workloads.")
        return
    have = dict(zip(port_names(service), service["spec"].get("ports") or []))
    for name, number in workload["green"]["node_ports"].items():
        actual = (have.get(name) or {}).get("nodePort")
        if actual != int(number):
            told = f"port {name} has NodePort {actual or 'none'}, expected {number}"
            fix = "Set it where the Service comes from: the balancer sends there."
            yield Problem(
                "node_port", where, told if name in have else f"has no port {name} (has {', '.join(have)})", fix
            )
    pods = world.pods_of(service)
    ready = [pod for pod in pods if is_ready(pod)]
    needed = max(1, len([pod for pod in world.pods_of(blue) if is_ready(pod)]))
    if len(ready) < len(pods) or len(ready) < needed:
        told = f"{len(ready)} of {len(pods)} pods are ready, blue has {needed}"
        yield Problem("not_ready", where, told, "Green has to be as large as blue before it takes traffic.")
    for pod in pods:
        lacking = {k: v for k, v in workload["green"]["labels"].items() if labels_of(pod).get(k) != v}
        if lacking:
            told = f"its pods do not have the labels {lacking}"
            yield Problem("labels", where, told, "Correct green.labels, or green's pods.")
            break
    if blue and blue["metadata"]["namespace"] == service["metadata"]["namespace"]:
        shared = {key_of(p) for p in world.pods_of(blue)} & {key_of(p) for p in pods}
        if shared:
            told = f"selects green's pods too ({', '.join(sorted(shared))})"
            yield Problem("same_labels", f"Service {blue_name}", told, "Give green's pods other labels.")


def _pair(world: World, pair: Object, workload: Object) -> t.Iterator[Problem]:
    pods = world.pods_of(world.services.get(service_names(workload)[1]))
    green, blue = world.gateways.get(pair["green"]), world.gateways.get(pair["blue"])
    if green is None:
        yield Problem(
            "gateway_missing", f"Gateway {pair['green']}", "does not exist", "Create it where green comes from."
        )
    elif pods and not any(configures(green, labels_of(pod)) for pod in pods):
        yield Problem(
            "gateway_elsewhere", f"Gateway {pair['green']}",
            f"its selector {selector_of(green)} takes none of green's pods", "Correct its selector.",
        )  # fmt: skip
    elif certificates(green):
        for account in dict.fromkeys(account_of(pod) for pod in pods):
            if world.lists_secrets.get(account) is False:
                yield Problem(
                    "secrets_not_listed", f"ServiceAccount {account}",
                    f"may not list Secrets in its namespace, and Gateway {pair['green']} names"
                    f" {', '.join(certificates(green))}",
                    "Bind it to a Role with list on secrets (Istio's gateway chart: rbac.enabled): istiod hands"
                    " certificates out to no other, and every handshake fails.",
                )  # fmt: skip
    if blue is not None and any(configures(blue, labels_of(pod)) for pod in pods):
        yield Problem(
            "same_labels", f"Gateway {pair['blue']}", f"its selector {selector_of(blue)} takes green's pods too",
            "Of two Gateways with the same hosts at one workload istiod drops the newer one's servers: once a"
            " VirtualService names green's alone, it is not served. Give green's pods other labels, or blue's Gateway"
            " one more (gateway_selector).",
        )  # fmt: skip


def read(cluster: Cluster, workloads: t.Sequence[Object], pairs: t.Sequence[Object] = ()) -> World:
    """One GET for each Service, one list of pods for each namespace, one of Gateways; for each service account of pods
    that need certificates, one question."""
    names = list(dict.fromkeys(name for workload in workloads for name in service_names(workload)))
    services = read_all(cluster, [path_of("v1", "services", *name.split("/")) for name in names])
    namespaces = dict.fromkeys(name.partition("/")[0] for name in names)
    world = World(
        services={name: service for name, service in zip(names, services) if service is not None},
        gateways={key_of(gateway): gateway for gateway in istio_list(cluster, "gateways")},
        pods={namespace: cluster.list(path_of("v1", "pods", namespace)) for namespace in namespaces},
    )
    needing = {pair["workload"] for pair in pairs if certificates(world.gateways.get(pair["green"]))}
    greens = [service_names(workload)[1] for workload in workloads if workload["name"] in needing]
    accounts = [account_of(pod) for name in greens for pod in world.pods_of(world.services.get(name))]
    world.lists_secrets = {account: _lists_secrets(cluster, account) for account in dict.fromkeys(accounts)}
    return world


def _lists_secrets(cluster: Cluster, account: str) -> bool | None:
    """Asked as istiod does (pilot/pkg/credentials/kube, Authorize), so that it does not matter by which Roles it is, or
    by which authorizer. Nothing is written."""
    namespace, _slash, name = account.partition("/")
    asked = {"namespace": namespace, "verb": "list", "resource": "secrets"}
    review = {
        "apiVersion": REVIEWS[0], "kind": "LocalSubjectAccessReview", "metadata": {"namespace": namespace},
        "spec": {"user": f"system:serviceaccount:{namespace}:{name}", "resourceAttributes": asked},
    }  # fmt: skip
    try:
        return bool(cluster.create(path_of(*REVIEWS, namespace), review)["status"]["allowed"])
    except ApiError as exc:
        if exc.status != 403:
            raise
        return None
