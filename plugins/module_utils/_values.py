# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of Istio's gateway chart that make green as large, as placed and as reachable as blue is.

Pure, but for read(). The keys are those of manifests/charts/gateway/values.yaml in Istio 1.2x and 1.3x.
"""

from __future__ import annotations

import re
import typing as t

from ._client import path_of
from ._module import Refusal
from ._node_ports import title
from ._objects import annotations_of, picks, selects, template_labels

Object = t.Mapping[str, t.Any]

# Annotations of pods that say how the proxy runs. All others belong to whoever wrote them (checksums, restarts, owners).
PROXY_ANNOTATION = re.compile(r"(proxy|sidecar|inject|traffic\.sidecar)\.istio\.io/|prometheus\.io/")
# Of the Service, those that a load balancer's controller reads.
BALANCER_ANNOTATION = re.compile(
    r"service\.beta\.kubernetes\.io/|service\.kubernetes\.io/|(alb|elbv2)\.(ingress\.)?k(8s|ubernetes)|"
    r"(cloud\.google|networking\.gke|beta\.cloud\.google)[a-z.]*/|(metallb\.(universe\.tf|io)|kube-vip\.io|"
    r"io\.cilium|lbipam\.cilium\.io|loadbalancer\.openstack\.org|[a-z.]*\.oraclecloud\.com)/"
)
# Of these, what names one balancer, address, DNS name or target group, or was written there by its controller: both sides
# would fight for it. A subnet, network, flavor or bucket may be named by many.
NAMES_ONE = re.compile(
    r"(?<!subnet)(?<!network)(?<!flavor)[-./](lb)?ids?(-ipv6)?$|(?<!bucket-)name(-ipv6)?$|host$|ips?$|ipv[46]$"
    r"|address(es)?$|allocations$|hwaddr$|vgroup-port$|/(lb-ipam-)?sharing-|/ip-allocated-from-pool$|/neg-status$"
    r"|^service\.kubernetes\.io/(backend-service|healthcheck|firewall-rule|[a-z0-9-]*forwarding-rule)",
    re.IGNORECASE,
)
# What Istio's chart takes for the Service beside type, traffic policy and ports, and what it is when not set. Addresses
# are for one Service alone.
SERVICE_FIELDS: dict[str, t.Any] = {
    "loadBalancerSourceRanges": [], "loadBalancerClass": None, "internalTrafficPolicy": "Cluster",
    "ipFamilyPolicy": "SingleStack", "ipFamilies": None,
}  # fmt: skip
# The API server refuses these for other types.
BALANCER_ONLY = ("loadBalancerSourceRanges", "loadBalancerClass", "service.beta.kubernetes.io/load-balancer-source-ranges")
# Where pods may run: copied as it is, except that blue's own labels in it become green's.
PLACEMENT = ("nodeSelector", "tolerations", "affinity", "topologySpreadConstraints", "terminationGracePeriodSeconds")


def read(cluster: t.Any, namespace: str, name: str) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
    """A Service, and the Deployment behind it. Raises Refusal no_such_service, and as deployment_of does."""
    service = cluster.find(path_of("v1", "services", namespace, name))
    if service is None:
        raise Refusal("no_such_service", f"Service {namespace}/{name} does not exist. Check mesh_workloads.")
    return service, deployment_of(service, cluster.list(path_of("apps/v1", "deployments", namespace)))


def deployment_of(service: Object, deployments: t.Sequence[Object]) -> Object:
    """The one Deployment whose pods the Service selects. Raises Refusal no_workload or several_workloads."""
    where = title(service)
    selector = service["spec"].get("selector")
    found = [d for d in deployments if selects(selector, template_labels(d))]
    if not found:
        raise Refusal(
            "no_workload",
            f"{where}: no Deployment in its namespace has pods that spec.selector {selector} selects. Found:"
            f" {', '.join(d['metadata']['name'] for d in deployments) or 'no Deployment at all'}.",
        )
    if len(found) > 1:
        names = ", ".join(d["metadata"]["name"] for d in found)
        raise Refusal("several_workloads", f"{where}: several Deployments have pods that it selects: {names}. Expected one.")
    return found[0]


def values(
    service: Object, deployment: Object, labels: t.Mapping[str, str], node_ports: t.Mapping[str, int],
    service_type: str | None = None,
) -> dict[str, t.Any]:  # fmt: skip
    """Values for green, from blue's Service and Deployment.

    labels: of green's pods. node_ports: by port name of blue's Service. service_type: if not blue's.

    Raises Refusal as service_ports does, and same_labels (blue's Service would select green's pods, and so would blue's
    Gateways).
    """
    spec = service["spec"]
    template = deployment["spec"]["template"]
    ports = service_ports(service, node_ports)
    if selects(spec.get("selector"), labels):
        raise Refusal(
            "same_labels",
            f"{title(service)} selects {spec['selector']}, and green.labels {dict(labels)} would be selected too: blue"
            " would serve with green's pods, and green's Gateways would be shadowed by blue's. Give green other labels.",
        )
    own = template["metadata"].get("labels") or {}
    placement = {
        key: relabelled(template["spec"][key], own, labels) for key in PLACEMENT if template["spec"].get(key) is not None
    }
    kind = service_type or spec["type"]
    return {
        "labels": dict(labels),
        "replicaCount": deployment["spec"].get("replicas", 1),
        "autoscaling": {"enabled": False},  # an autoscaler would shrink green while it has little traffic
        **proxy_settings(deployment),
        **placement,
        "service": {
            "type": kind,
            "externalTrafficPolicy": spec.get("externalTrafficPolicy") or "Cluster",
            "ports": ports,
            **service_settings(service, kind),
        },
    }


def proxy_settings(deployment: Object) -> dict[str, t.Any]:
    """How blue's proxies run, and with how much."""
    template = deployment["spec"]["template"]
    annotations = template["metadata"].get("annotations") or {}
    return {
        "podAnnotations": {key: value for key, value in annotations.items() if PROXY_ANNOTATION.match(key)},
        "resources": template["spec"]["containers"][0].get("resources") or {},
    }


def service_settings(service: Object, kind: str) -> dict[str, t.Any]:
    """What decides who gets in at blue's Service and which balancer it has, for a Service of type `kind`. Nothing that
    names one balancer or address."""
    spec, refused = service.get("spec") or {}, () if kind == "LoadBalancer" else BALANCER_ONLY
    found: dict[str, t.Any] = {
        key: spec[key] for key, default in SERVICE_FIELDS.items()
        if key not in refused and (spec.get(key) or default) != default
    }  # fmt: skip
    annotations = {
        key: value for key, value in annotations_of(service).items()
        if BALANCER_ANNOTATION.match(key) and not _names_one(key, value) and key not in refused
    }  # fmt: skip
    return {**found, **({"annotations": annotations} if annotations else {})}


def _names_one(key: str, value: str) -> bool:
    """cloud.google.com/neg may name network endpoint groups in its value."""
    return bool(NAMES_ONE.search(key)) or '"name"' in value


def service_ports(service: Object, node_ports: t.Mapping[str, int]) -> list[dict[str, t.Any]]:
    """Blue's ports as green's Service has them, each with its NodePort of green's.

    Raises Refusal: unnamed_port (a port of blue's without a NodePort for green), unknown_port (a name that blue's Service
    does not have).
    """
    where, ports = title(service), service["spec"]["ports"]
    names = [port.get("name") or str(port["port"]) for port in ports]
    unnamed = [name for name in names if name not in node_ports]
    if unnamed:
        raise Refusal("unnamed_port", f"{where} has the ports {', '.join(names)}; green.node_ports lacks {', '.join(unnamed)}.")
    unknown = [name for name in node_ports if name not in names]
    if unknown:
        raise Refusal("unknown_port", f"green.node_ports names {', '.join(unknown)}; {where} has only {', '.join(names)}.")
    return [
        {
            "name": name, "port": port["port"], "targetPort": port["targetPort"],
            "protocol": port.get("protocol", "TCP"), "nodePort": node_ports[name],
        }
        for name, port in zip(names, ports)
    ]  # fmt: skip


def relabelled(value: t.Any, blue: t.Mapping[str, str], green: t.Mapping[str, str]) -> t.Any:
    """A copy in which label selectors that mean blue's pods mean green's: anti-affinity and spreading count by them."""
    if isinstance(value, t.Mapping):
        if ("matchLabels" in value or "matchExpressions" in value) and picks(value, blue):
            same = {key: green[key] for key in value.get("matchLabels") or () if key in green}
            return {"matchLabels": same or dict(green)}
        return {key: relabelled(item, blue, green) for key, item in value.items()}
    if isinstance(value, list):
        return [relabelled(item, blue, green) for item in value]
    return value
