#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_info
short_description: Istio Gateways, and the pods, Services, NodePorts, nodes and certificates behind them
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Reads Istio Gateways and what they stand on. Changes nothing.
  - A server port of a Gateway means, as for Istio, the C(targetPort) of the Service port of the same number, if a
    Service of the gateway's pods has one, and otherwise the port that the pods listen on. NodePorts are found from
    there backwards. So a server on port 8443 is reached through Service port 443 with C(targetPort) 8443.
  - Asks for one list each of Gateways, Services and Nodes, one list of Pods for each different selector, and each TLS
    Secret.
  - Needs C(list) on C(gateways.networking.istio.io), C(services), C(nodes) and C(pods). C(get) on C(secrets) is only
    needed to describe certificates; of a Secret, nothing but the certificate is read.
options:
  gateways:
    description: The Gateways to look at, as C(NAMESPACE/NAME). If empty, all.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.cluster.info
"""

EXAMPLES = r"""
- name: Look at blue
  bluegreen.mesh.gateway_info:
    kubeconfig: ~/.kube/config
    context: prod-eu
    gateways:
      - istio-system/public
  register: blue

- name: Where to connect for server port 8443
  ansible.builtin.debug:
    msg: "{{ blue.gateways[0].addresses }} port {{ blue.gateways[0].node_ports['8443'] }}"
"""

RETURN = r"""
gateways:
  description: The Gateways, in the order asked for, else by name.
  returned: success
  type: list
  elements: dict
  contains:
    ref:
      description: C(NAMESPACE/NAME).
      type: str
    selector:
      description: Labels of the pods that it is for.
      type: dict
    servers:
      description: Its servers.
      type: list
      elements: dict
      contains:
        port:
          description: The server's port number.
          type: int
        name:
          description: The port's name.
          type: str
        protocol:
          description: The port's protocol, for example V(HTTPS).
          type: str
        hosts:
          description: Hosts as written, with namespace part if there is one.
          type: list
          elements: str
        tls_mode:
          description: For example V(SIMPLE) or V(PASSTHROUGH); null without TLS.
          type: str
        https_redirect:
          description: Whether it answers everything with a redirect to HTTPS.
          type: bool
        credential_names:
          description: Names of its TLS Secrets.
          type: list
          elements: str
        listening:
          description: The port that the pods listen on for it.
          type: int
        service_ports:
          description: The Service ports that reach it, each with C(service), C(name), C(port), C(target_port),
            C(node_port).
          type: list
          elements: dict
        node_port:
          description: The NodePort that reaches it, or null.
          type: int
    node_ports:
      description: NodePorts by server port, the latter as text. M(bluegreen.mesh.route_verify) takes this as C(ports).
      type: dict
    services:
      description: Services that send to its pods, with C(type), C(external_traffic_policy) and C(ports).
      type: list
      elements: dict
    pods:
      description: Its pods, each with C(namespace), C(name), C(labels), C(node), C(ip), C(ready).
      type: list
      elements: dict
    workload_namespaces:
      description: Namespaces of its pods, where its TLS Secrets must be and which C(exportTo) must name.
      type: list
      elements: str
    certificates:
      description: The certificates that it presents.
      type: list
      elements: dict
      contains:
        namespace:
          description: Namespace of the Secret.
          type: str
        name:
          description: Name of the Secret.
          type: str
        error:
          description: Why there is nothing more about it, or null.
          type: str
        subject:
          description: Subject of the leaf.
          type: str
        issuer:
          description: Issuer of the leaf.
          type: str
        sans:
          description: Subject alternative names.
          type: list
          elements: str
        not_after:
          description: End of validity, ISO 8601.
          type: str
        expired:
          description: Whether that has passed.
          type: bool
        sha256:
          description: Fingerprint, in hex.
          type: str
    nodes_serving:
      description:
        - Nodes, with C(name) and C(addresses), that the load balancer should send to. With C(externalTrafficPolicy)
          V(Local) the nodes that have a ready pod, else all that are ready and not excluded from load balancers by
          label.
      type: list
      elements: dict
    addresses:
      description: The first InternalIP of each of these nodes.
      type: list
      elements: str
nodes:
  description: All nodes, each with C(name), C(addresses) (InternalIP) and C(ready).
  returned: success
  type: list
  elements: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bluegreen.mesh.plugins.module_utils import _gateways, _module
from ansible_collections.bluegreen.mesh.plugins.module_utils._objects import key_of


def operate(module: AnsibleModule, cluster: t.Any) -> dict[str, t.Any]:
    world = _gateways.read(cluster, module.params["gateways"])
    certificates = _gateways.read_certificates(cluster, world)
    return {
        "changed": False,
        "gateways": [
            _gateways.describe(gateway, world.pods, world.services, world.nodes, certificates[key_of(gateway)])
            for gateway in world.gateways
        ],
        "nodes": [
            {"name": n["metadata"]["name"], "addresses": _gateways.addresses(n), "ready": _gateways.is_ready(n)}
            for n in world.nodes
        ],
    }


def main() -> None:
    _module.run(operate, {"gateways": {"type": "list", "elements": "str", "default": []}})


if __name__ == "__main__":
    main()
