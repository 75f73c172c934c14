#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: service_node_ports
short_description: Sets a Service's node ports by port name
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Gives ports of a Service of type C(NodePort) or C(LoadBalancer) the node ports that a load balancer outside expects.
    No other field is touched.
  - A port that another Service has is refused with that Service's name before anything is written, and one that is
    allocated to nobody by a dry run. The API server's range is told only by its refusal to write a number out of it,
    which changes nothing; so check mode can't foresee it.
  - All numbers are written at once, so that ports of one Service can change places.
options:
  state:
    description:
      - V(set) gives the Service its node ports.
      - V(free) only looks whether another Service has the numbers that a Service is to get which may still have to be
        made, and writes nothing.
    type: str
    choices: [set, free]
    default: set
  namespace:
    description: Namespace of the Service.
    type: str
    required: true
  name:
    description: Name of the Service.
    type: str
    required: true
  node_ports:
    description:
      - Node ports by the name of the Service's port. Ports that are not named here keep theirs. Required for
        V(free) as O(state).
      - The only port of a Service may be without a name; its number then stands for the name.
    type: dict
  health_check_node_port:
    description:
      - The Service's C(healthCheckNodePort). It exists only with type C(LoadBalancer) and
        C(externalTrafficPolicy=Local), and Kubernetes never changes it once it is set; another number than the present
        one is refused, with that reason.
    type: int
notes:
  - Needs the verbs C(get), C(patch) and C(list) on Services, the last in all namespaces. O(state=free) needs C(list).
seealso:
  - module: bluegreen.mesh.gateway_info
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.cluster.journal
  - bluegreen.mesh.cluster.attributes
"""

EXAMPLES = r"""
- name: Put green on the ports of its target group
  bluegreen.mesh.service_node_ports:
    kubeconfig: ~/.kube/config
    context: production
    journal: "{{ mesh_journal }}"
    namespace: istio-gateway
    name: public-ingressgateway
    node_ports:
      status-port: 30022
      http2: 30081
      https: 30444

- name: Has another Service what it is to have, once it is made?
  bluegreen.mesh.service_node_ports:
    kubeconfig: ~/.kube/config
    context: production
    state: free
    namespace: istio-gateway
    name: public-ingressgateway
    node_ports: {http2: 30081}
"""

RETURN = r"""
node_ports:
  description: The node port of each of the Service's ports now, by name (in check mode, what it would be).
  type: dict
  returned: success
health_check_node_port:
  description: The Service's C(healthCheckNodePort), or V(null).
  type: int
  returned: success
put_back_by:
  description:
    - Who wrote the Service and will put its own ports back when it writes it again. A change warns about each; the same
      ports must be set there.
  type: list
  elements: dict
  returned: success
  contains:
    by:
      description: One of V(helm), V(flux), V(argocd), V(istio-operator) and V(controller).
      type: str
      returned: always
    kind:
      description: Kind of the owner, such as V(HelmRelease).
      type: str
      returned: always
    namespace:
      description: Its namespace; empty where it is not known.
      type: str
      returned: always
    name:
      description: Its name.
      type: str
      returned: always
failure:
  description: What went wrong, for programs, with what the message names.
  type: dict
  returned: failure
  contains:
    code:
      description: A stable word, such as V(port_in_use).
      type: str
      returned: always
"""

from ansible_collections.bluegreen.mesh.plugins.module_utils import _module, _node_ports

SPEC = {
    "state": {"type": "str", "choices": ["set", "free"], "default": "set"},
    "namespace": {"type": "str", "required": True},
    "name": {"type": "str", "required": True},
    "node_ports": {"type": "dict"},
    "health_check_node_port": {"type": "int"},
}


def main() -> None:
    _module.run(
        _node_ports.operate, SPEC, journal=True, required_one_of=[("node_ports", "health_check_node_port")],
        required_if=[("state", "free", ["node_ports"])],
    )  # fmt: skip


if __name__ == "__main__":
    main()
