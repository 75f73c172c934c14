#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_values_info
short_description: Values of Istio's gateway chart that make green what blue is
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Reads the Service that clients reach now and the Deployment behind it, and works out values for Istio's C(gateway) chart
    with the same ports, size, placement and proxy settings, and with labels and NodePorts of green's own.
  - What decides who gets in at the Service comes along (source ranges, IP families, internal traffic policy), and the
    annotations that a load balancer's controller reads, except what names one balancer or address.
  - Autoscaling is off in them. An autoscaler would shrink green while it has little traffic.
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.cluster.info
options:
  service:
    description: Blue's Service, as C(NAMESPACE/NAME).
    type: str
    required: true
  labels:
    description: Labels of green's pods. Blue's Service must not select them.
    type: dict
    required: true
  node_ports:
    description: NodePort of each port of blue's Service, by port name.
    type: dict
    required: true
  service_type:
    description: Type of green's Service, if it is not to be blue's.
    type: str
seealso:
  - module: kubernetes.core.helm
"""

EXAMPLES = r"""
- name: Work out green's values
  bluegreen.mesh.gateway_values_info:
    kubeconfig: ~/.kube/config
    context: production
    service: istio-system/public-ingressgateway
    labels: {app: public-gateway, istio: public-gateway}
    node_ports: {status-port: 30022, http2: 30081, https: 30444}
  register: green
"""

RETURN = r"""
chart_values:
  description: Values for the chart.
  type: dict
  returned: success
deployment:
  description: Blue's Deployment, as C(NAMESPACE/NAME).
  type: str
  returned: success
"""

from ansible_collections.bluegreen.mesh.plugins.module_utils import _module, _values


def operation(module, cluster):
    params = module.params
    namespace, found, name = params["service"].partition("/")
    if not found or not name:
        raise _module.Refusal("bad_option", f"service: {params['service']!r} is not of the form NAMESPACE/NAME.")
    try:
        ports = {str(key): int(value) for key, value in params["node_ports"].items()}
    except (TypeError, ValueError) as exc:
        raise _module.Refusal("bad_option", f"node_ports: {params['node_ports']} has a port that is no number.") from exc
    service, deployment = _values.read(cluster, namespace, name)
    return {
        "changed": False,
        "chart_values": _values.values(service, deployment, params["labels"], ports, params["service_type"]),
        "deployment": f"{namespace}/{deployment['metadata']['name']}",
    }


def main() -> None:
    _module.run(
        operation,
        {
            "service": {"type": "str", "required": True},
            "labels": {"type": "dict", "required": True},
            "node_ports": {"type": "dict", "required": True},
            "service_type": {"type": "str"},
        },
    )


if __name__ == "__main__":
    main()
