#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gke_files
short_description: Write a load balancer of Google's for a new Ingress controller, as Kubernetes and Terraform files
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Writes C(load-balancer.yaml) (an Ingress of GKE's with its FrontendConfig and BackendConfig), C(service-patch.yaml)
    (what the controller's Service must say, NEG and protocols) and C(load-balancer.tf) (the address, the security
    policy and the TLS policy that these name). Nothing is applied.
  - Looks at the old Service's BackendConfig. If the old load balancer has a security policy and the new one none, it
    refuses.
options:
  dest:
    description: The folder. It is made where it is missing.
    type: path
    required: true
  name:
    description: Of all objects, and of the address.
    type: str
    required: true
  service:
    description: The controller's Service, as C(NAMESPACE/NAME).
    type: str
    required: true
  port:
    description: Its port.
    type: int
    default: 443
  port_name:
    description: The port's name.
    type: str
    default: https
  protocol:
    description:
      - What the load balancer speaks to the controller. V(HTTP2) carries gRPC and no WebSockets, V(HTTPS) WebSockets
        and no gRPC.
    type: str
    choices: [HTTP, HTTPS, HTTP2]
    default: HTTPS
  grpc:
    description: Whether clients use gRPC.
    type: bool
    default: false
  websockets:
    description: Whether clients use WebSockets.
    type: bool
    default: true
  secrets:
    description: Secrets with the certificates, in the Service's namespace.
    type: list
    elements: str
    required: true
  old_service:
    description: The old gateway's Service, as C(NAMESPACE/NAME), whose BackendConfig is looked at.
    type: str
    required: true
  old_security_policy:
    description: The old load balancer's security policy, where no BackendConfig says it.
    type: str
    default: ''
  security_policy:
    description: The new load balancer's.
    type: str
    default: ''
  rules:
    description: What the security policy says. Without any it is looked up, and somebody else writes it.
    type: list
    elements: dict
    default: []
    suboptions:
      priority:
        description: The lower, the earlier.
        type: int
        required: true
      action:
        description: Such as V(allow) or V(deny(403\)).
        type: str
        required: true
      ranges:
        description: Addresses.
        type: list
        elements: str
      expression:
        description: In Google's expression language, instead of O(rules[].ranges).
        type: str
      description:
        description: For people.
        type: str
  ssl_policy:
    description: A policy of TLS versions and ciphers.
    type: str
    default: ''
  health_path:
    description: A path at which the controller answers 200 without a host.
    type: str
    required: true
  health_port:
    description: The pods' port for it. If not given, that of the traffic.
    type: int
  redirect:
    description: Whether the load balancer sends plain HTTP to HTTPS. Otherwise it takes none.
    type: bool
    default: false
  internal:
    description: Whether it is for clients within the network only.
    type: bool
    default: false
  project:
    description: Google's project, for Terraform.
    type: str
    default: ''
  region:
    description: Needed with O(internal).
    type: str
    default: ''
  waive:
    description: Findings that are known and accepted, as C(CODE).
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.cluster.attributes
notes:
  - Needs C(get) on both Services, and on C(backendconfigs) of C(cloud.google.com) in the old one's namespace.
"""

EXAMPLES = r"""
- name: Write the new load balancer
  bluegreen.mesh.gke_files:
    kubeconfig: ~/.kube/config
    context: production
    dest: infrastructure/load-balancer
    name: edge
    service: ingress/traefik
    secrets: [wildcard-example-com]
    old_service: istio-system/istio-ingressgateway
    security_policy: edge
    health_path: /ping
    health_port: 8080
"""

RETURN = r"""
files:
  description: What is in O(dest).
  returned: success
  type: list
  elements: str
old_security_policy:
  description: The old load balancer's security policy, or an empty string.
  returned: success
  type: str
service_annotations:
  description: What the controller's Service must say, for its chart's values.
  returned: success
  type: dict
findings:
  description: What was found and is not waived.
  returned: success
  type: list
  elements: dict
"""

import json

from ansible_collections.bluegreen.mesh.plugins.module_utils import _gke, _ingress_options, _module, _override_files
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import path_of
from ansible_collections.bluegreen.mesh.plugins.module_utils._objects import annotations_of


def old_policy(cluster, params):
    """What the old Service's BackendConfig says."""
    namespace, name = _ingress_options.ref(params["old_service"], "old_service")
    service = cluster.find(path_of("v1", "services", namespace, name))
    if service is None:
        raise _module.Refusal("no_such_service", f"old_service: there is no Service {params['old_service']}.")
    said = annotations_of(service)
    text = said.get("cloud.google.com/backend-config") or said.get("beta.cloud.google.com/backend-config") or "{}"
    try:
        config = json.loads(text)
        names = [config["default"]] if "default" in config else []
        names += list((config.get("ports") or {}).values())
    except (ValueError, TypeError, AttributeError) as exc:
        raise _module.Refusal(
            "unreadable",
            f"Service {params['old_service']} cloud.google.com/backend-config: {text!r} is no JSON ({exc}).",
        ) from exc
    for config_name in dict.fromkeys(names):
        body = cluster.find(path_of("cloud.google.com/v1", "backendconfigs", namespace, config_name)) or {}
        found = ((body.get("spec") or {}).get("securityPolicy") or {}).get("name")
        if found:
            return found
    return params["old_security_policy"]


def operation(module, cluster):
    params = module.params
    namespace, service = _ingress_options.ref(params["service"], "service")
    front = _gke.Front(
        params["name"], namespace, service, params["port"], params["port_name"], params["protocol"], params["secrets"],
        params["security_policy"], params["rules"], params["ssl_policy"], params["health_path"],
        params["health_port"] or params["port"], params["redirect"], params["internal"], params["grpc"], params["websockets"],
        params["project"], params["region"],
    )  # fmt: skip
    _gke.checked(front)
    policy = old_policy(cluster, params)
    there = cluster.find(path_of("v1", "services", namespace, service))
    ports = {p.get("name") or "": p["port"] for p in there["spec"].get("ports") or ()} if there else None
    findings = _ingress_options.gate(_gke.check(front, policy, ports), params["waive"], _gke.CODES)
    files = [{"path": path, "content": content} for path, content in _gke.files(front).items()]
    done = _override_files.write(params["dest"], files, module.check_mode)
    return {
        **done, "old_security_policy": policy, "service_annotations": _gke.service_annotations(front), "findings": findings,
    }  # fmt: skip


def main():
    rule = {
        "priority": {"type": "int", "required": True}, "action": {"type": "str", "required": True},
        "ranges": {"type": "list", "elements": "str"}, "expression": {"type": "str"}, "description": {"type": "str"},
    }  # fmt: skip
    words = {
        name: {"type": "str", "default": ""}
        for name in ("old_security_policy", "security_policy", "ssl_policy", "project", "region")
    }
    _module.run(
        operation,
        {
            **words,
            "dest": {"type": "path", "required": True}, "name": {"type": "str", "required": True},
            "service": {"type": "str", "required": True}, "port": {"type": "int", "default": 443},
            "port_name": {"type": "str", "default": "https"},
            "protocol": {"type": "str", "choices": ["HTTP", "HTTPS", "HTTP2"], "default": "HTTPS"},
            "grpc": {"type": "bool", "default": False}, "websockets": {"type": "bool", "default": True},
            "secrets": {"type": "list", "elements": "str", "required": True, "no_log": False},
            "old_service": {"type": "str", "required": True},
            "rules": {"type": "list", "elements": "dict", "default": [], "options": rule},
            "health_path": {"type": "str", "required": True}, "health_port": {"type": "int"},
            "redirect": {"type": "bool", "default": False}, "internal": {"type": "bool", "default": False},
            "waive": {"type": "list", "elements": "str", "default": []},
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()
