# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A load balancer of Google's in front of the new controller, as files: Kubernetes objects, and Terraform for what the
objects only name. Pure.

Sources: GKE's docs on Ingress for Application Load Balancers (configuration of FrontendConfig and BackendConfig,
container-native load balancing, HTTP/2 to backends), and the Google provider of Terraform. GKE's Ingress goes by the
annotation kubernetes.io/ingress.class, not by ingressClassName.
"""

from __future__ import annotations

import dataclasses
import json
import re
import typing as t

try:
    import yaml
except ImportError:  # ansible-core needs PyYAML itself
    yaml = None

from ._inventory import ERROR, WARNING, Finding
from ._module import Refusal
from ._objects import Object

CODES = ("gke_security_policy", "gke_websockets", "gke_grpc", "gke_redirect", "gke_port")
NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
PROTOCOLS = ("HTTP", "HTTPS", "HTTP2")
DEFAULT_RULE = 2147483647  # the priority of the rule that each security policy must have
TIMEOUT = 3600  # seconds; without it a WebSocket ends after 30


@dataclasses.dataclass(frozen=True)
class Front:
    """name: of all objects. port: number of the controller's Service; port_name: its name there. protocol: to the
    controller.
    secrets: of the certificates, in the namespace. health: path that the controller answers with 200. rules: of the
    security policy, each with priority, action, and ranges or expression. grpc, websockets: whether clients use them.
    """

    name: str
    namespace: str
    service: str
    port: int
    port_name: str
    protocol: str
    secrets: t.Sequence[str]
    security_policy: str
    rules: t.Sequence[Object]
    ssl_policy: str
    health: str
    health_port: int
    redirect: bool
    internal: bool
    grpc: bool
    websockets: bool
    project: str = ""
    region: str = ""


def check(front: Front, old_policy: str, ports: t.Mapping[str, int] | None) -> list[Finding]:
    """old_policy: the security policy of the old load balancer, '' for none. ports: of the controller's Service, None
    where it is not there yet."""
    where = f"Service {front.namespace}/{front.service}"
    found = []
    if old_policy and not front.security_policy:
        found.append(
            Finding(
                "gke_security_policy", ERROR, where, "security_policy",
                f"the old load balancer has {old_policy}, and the new one none",
                "Whoever was kept out would come in. Name the policy (security_policy), with the same rules.",
            )
        )  # fmt: skip
    if front.websockets and front.protocol == "HTTP2":
        found.append(
            Finding(
                "gke_websockets", ERROR, where, "cloud.google.com/app-protocols", "HTTP2 to the controller carries no WebSockets",
                "Use HTTPS, and give gRPC a port, and so a backend, of its own with HTTP2.",
            )
        )  # fmt: skip
    if front.grpc and front.protocol != "HTTP2":
        found.append(
            Finding(
                "gke_grpc", ERROR, where, "cloud.google.com/app-protocols", f"{front.protocol} to the controller carries no gRPC",
                "gRPC takes HTTP2 all the way. Use HTTP2, or write a second front for its hosts.",
            )
        )  # fmt: skip
    if front.redirect and front.internal:
        found.append(
            Finding(
                "gke_redirect", WARNING, where, "redirectToHttps", "internal load balancers of GKE's do not redirect",
                "Let the controller redirect.",
            )
        )  # fmt: skip
    if ports is not None and ports.get(front.port_name) != front.port:
        have = ", ".join(f"{name}: {number}" for name, number in ports.items()) or "none"
        found.append(
            Finding(
                "gke_port", ERROR, where, "spec.ports", f"it has no port {front.port_name}: {front.port}; it has {have}",
                "The annotations go by the port's name, the Ingress by its number.",
            )
        )  # fmt: skip
    return found


def checked(front: Front) -> None:
    """Raises Refusal bad_option."""
    for field in ("name", "security_policy", "ssl_policy"):
        value = getattr(front, field)
        if (value or field == "name") and not NAME.fullmatch(value):
            raise Refusal(
                "bad_option", f"{field}: {value!r}; expected lower-case letters, digits and dashes, at most 63."
            )
    if not front.secrets:
        raise Refusal("bad_option", "secrets: name at least one Secret with a certificate; the load balancer ends TLS.")
    if front.internal and not front.region:
        raise Refusal("bad_option", "region: an internal load balancer's address is in a region. Name it.")
    seen = set()
    for number, rule in enumerate(front.rules):
        if bool(rule.get("ranges")) == bool(rule.get("expression")):
            raise Refusal("bad_option", f"rules[{number}]: give either ranges or expression.")
        if rule["priority"] in seen or not 0 <= rule["priority"] < DEFAULT_RULE:
            raise Refusal(
                "bad_option",
                f"rules[{number}].priority: {rule['priority']} is given twice, or not from 0 to {DEFAULT_RULE - 1}.",
            )
        seen.add(rule["priority"])


def objects(front: Front) -> list[Object]:
    """FrontendConfig, BackendConfig, and the Ingress that is the load balancer."""
    annotations = {
        "kubernetes.io/ingress.class": "gce-internal" if front.internal else "gce",
        "networking.gke.io/v1beta1.FrontendConfig": front.name,
    }  # fmt: skip
    if front.internal:
        annotations["kubernetes.io/ingress.regional-static-ip-name"] = front.name
    else:
        annotations["kubernetes.io/ingress.global-static-ip-name"] = front.name
    if not front.redirect:
        annotations["kubernetes.io/ingress.allow-http"] = "false"
    frontend: Object = {}
    if front.ssl_policy:
        frontend["sslPolicy"] = front.ssl_policy
    if front.redirect and not front.internal:
        frontend["redirectToHttps"] = {"enabled": True, "responseCodeName": "MOVED_PERMANENTLY_DEFAULT"}
    backend: Object = {"timeoutSec": TIMEOUT, "connectionDraining": {"drainingTimeoutSec": 60}}
    if front.security_policy:
        backend["securityPolicy"] = {"name": front.security_policy}
    backend["healthCheck"] = {
        "type": "HTTP" if front.health_port != front.port else front.protocol, "requestPath": front.health,
        "port": front.health_port,
    }  # fmt: skip
    meta = {"name": front.name, "namespace": front.namespace}
    return [
        {"apiVersion": "networking.gke.io/v1beta1", "kind": "FrontendConfig", "metadata": meta, "spec": frontend},
        {"apiVersion": "cloud.google.com/v1", "kind": "BackendConfig", "metadata": meta, "spec": backend},
        {
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {**meta, "annotations": annotations},
            "spec": {
                "defaultBackend": {"service": {"name": front.service, "port": {"number": front.port}}},
                "tls": [{"secretName": secret} for secret in front.secrets],
            },
        },
    ]  # fmt: skip


def service_annotations(front: Front) -> dict[str, str]:
    """What the controller's Service must say; its chart has a value for that."""
    return {
        "cloud.google.com/neg": json.dumps({"ingress": True}),
        "cloud.google.com/app-protocols": json.dumps({front.port_name: front.protocol}),
        "cloud.google.com/backend-config": json.dumps({"default": front.name}),
    }


def files(front: Front) -> dict[str, str]:
    """Path -> content."""
    documents = [yaml.safe_dump(item, sort_keys=False, allow_unicode=True) for item in objects(front)]
    patch = {
        "apiVersion": "v1", "kind": "Service", "metadata": {
            "name": front.service, "namespace": front.namespace, "annotations": service_annotations(front),
        },
    }  # fmt: skip
    return {
        "load-balancer.yaml": "---\n".join(documents),
        "service-patch.yaml": yaml.safe_dump(patch, sort_keys=False),
        "load-balancer.tf": terraform(front),
    }


def terraform(front: Front) -> str:
    """The address, and the policies, that the objects name."""
    word = re.sub(r"[^a-z0-9_]", "_", front.name)
    project = [f'  project = "{front.project}"'] if front.project else []
    address = "google_compute_address" if front.internal else "google_compute_global_address"
    lines = [f'resource "{address}" "{word}" {{', f'  name = "{front.name}"', *project]
    if front.internal:
        lines += [
            '  address_type = "INTERNAL"',
            '  purpose = "SHARED_LOADBALANCER_VIP"',
            f'  region = "{front.region}"',
        ]
    lines += ["}", ""]
    if front.ssl_policy:
        lines += [
            f'resource "google_compute_ssl_policy" "{re.sub(r"[^a-z0-9_]", "_", front.ssl_policy)}" {{',
            f'  name = "{front.ssl_policy}"', *project, '  profile = "MODERN"', '  min_tls_version = "TLS_1_2"', "}", "",
        ]  # fmt: skip
    if front.security_policy:
        lines += _policy(front, project)
    return "\n".join(lines).rstrip() + "\n"


def _policy(front: Front, project: list[str]) -> list[str]:
    """Without rules the policy is only looked up: somebody else writes it."""
    word = re.sub(r"[^a-z0-9_]", "_", front.security_policy)
    if not front.rules:
        return [
            f'data "google_compute_security_policy" "{word}" {{',
            f'  name = "{front.security_policy}"',
            *project,
            "}",
        ]
    lines = [f'resource "google_compute_security_policy" "{word}" {{', f'  name = "{front.security_policy}"', *project]
    for rule in sorted(front.rules, key=lambda one: one["priority"]):
        lines += ["", "  rule {", f"    priority = {rule['priority']}", f'    action = "{_text(rule["action"])}"']
        if rule.get("description"):
            lines.append(f'    description = "{_text(rule["description"])}"')
        if rule.get("ranges"):
            ranges = ", ".join(f'"{_text(one)}"' for one in rule["ranges"])
            lines += [
                "    match {",
                '      versioned_expr = "SRC_IPS_V1"',
                f"      config {{ src_ip_ranges = [{ranges}] }}",
                "    }",
            ]
        else:
            lines += ["    match {", f'      expr {{ expression = "{_text(rule["expression"])}" }}', "    }"]
        lines.append("  }")
    lines += [
        "", "  rule {", f"    priority = {DEFAULT_RULE}", f'    action = "{"deny(403)" if _allows(front) else "allow"}"',
        "    match {", '      versioned_expr = "SRC_IPS_V1"', '      config { src_ip_ranges = ["*"] }', "    }", "  }", "}",
    ]  # fmt: skip
    return lines


def _allows(front: Front) -> bool:
    """Rules that allow some mean that the rest is denied; rules that deny some, that the rest is allowed."""
    return any(rule["action"] == "allow" for rule in front.rules)


def _text(value: str) -> str:
    """A string in HCL: no template, no end of it."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("${", "$${").replace("%{", "%%{").replace("\n", " ")
