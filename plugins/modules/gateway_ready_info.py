#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_ready_info
short_description: Wait until green is there and ready, whoever deploys it
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Looks at green, deployed by this collection, by Flux or Argo CD, or by hand, and changes nothing.
  - Green's Service has to have its NodePorts, its pods to be ready, as many as blue's and with labels of their own, and
    its Gateways to exist and to select these pods. Blue's Gateways must not select them.
  - Where green's Gateways name certificates, its pods' service account has to be allowed to list Secrets in its
    namespace. Whether it is, is asked as istiod asks it; where that may not be asked, it is not known, which is a
    warning.
  - Looks again until that is so or O(deadline) has passed, and then fails with everything that is not.
options:
  workloads:
    description: Blue and green, as in the role's C(mesh_workloads).
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: A name for reports.
        type: str
        required: true
      blue:
        description: C(namespace) and C(service) of blue.
        type: dict
        required: true
        suboptions:
          namespace:
            description: Its namespace.
            type: str
            required: true
          service:
            description: Its Service.
            type: str
            required: true
      method:
        description: As in the role; not used here.
        type: str
      green:
        description: Where green is and what it has to be like.
        type: dict
        required: true
        suboptions:
          namespace:
            description: Its namespace.
            type: str
            required: true
          release:
            description: Name of its Service.
            type: str
            required: true
          labels:
            description: Labels that its pods have to have.
            type: dict
            default: {}
          node_ports:
            description: NodePorts by port name.
            type: dict
            default: {}
          chart_values:
            description: As in the role; not used here.
            type: dict
  pairs:
    description: Gateways of blue and green, as in the role's C(mesh_gateways).
    type: list
    elements: dict
    default: []
    suboptions:
      blue:
        description: Blue's Gateway, as C(NAMESPACE/NAME).
        type: str
        required: true
      green:
        description: Green's Gateway, as C(NAMESPACE/NAME).
        type: str
        required: true
      workload:
        description: Name of the entry of O(workloads) whose pods serve them.
        type: str
        required: true
  deadline:
    description: Seconds to wait. V(0) looks once.
    type: int
    default: 0
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.cluster.info
notes:
  - Needs C(get) on C(services) and C(list) on C(pods) in both namespaces, C(create) on
    C(localsubjectaccessreviews.authorization.k8s.io) in green's, and C(list) on C(gateways.networking.istio.io) in all.
seealso:
  - module: bluegreen.mesh.gateway_clone
"""

EXAMPLES = r"""
- name: Argo CD has green; wait until it is ready
  bluegreen.mesh.gateway_ready_info:
    kubeconfig: ~/.kube/config
    context: production
    workloads:
      - name: public
        blue: {namespace: istio-system, service: public-ingressgateway}
        green:
          namespace: istio-gateway
          release: public-ingressgateway
          labels: {istio: public-gateway}
          node_ports: {http2: 30081, https: 30444}
    pairs:
      - {blue: istio-system/public, green: istio-gateway/public-ingressgateway, workload: public}
    deadline: 300
"""

RETURN = r"""
workloads:
  description: How many pods each side has ready.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: As in O(workloads).
      type: str
    blue_ready:
      description: Ready pods of blue.
      type: int
    green_ready:
      description: Ready pods of green.
      type: int
failure:
  description: What went wrong, for programs.
  returned: failure
  type: dict
  contains:
    code:
      description: V(green_not_ready), for example.
      type: str
    problems:
      description: What is not as it has to be, each with C(code), C(object), C(found) and C(fix).
      type: list
      elements: dict
"""

import dataclasses
import time

from ansible_collections.bluegreen.mesh.plugins.module_utils import _gateways, _green, _module

POLL_SECONDS = 1.0


def ready(world, name):
    return len([pod for pod in world.pods_of(world.services.get(name)) if _gateways.is_ready(pod)])


def operation(module, cluster):
    params = module.params
    until = time.monotonic() + params["deadline"]
    while True:
        world = _green.read(cluster, params["workloads"], params["pairs"])
        problems = _green.problems(world, params["workloads"], params["pairs"])
        if not problems or time.monotonic() >= until:
            break
        time.sleep(POLL_SECONDS)
    for account in (name for name, allowed in world.lists_secrets.items() if allowed is None):
        module.warn(
            f"ServiceAccount {account}: whether it may list Secrets, as its Gateways' certificates need, is not known."
            " To look, allow create on localsubjectaccessreviews.authorization.k8s.io."
        )
    if problems:
        raise _module.Refusal(
            "green_not_ready",
            " ".join(problem.text for problem in problems),
            problems=[dataclasses.asdict(problem) for problem in problems],
        )
    sides = [(workload["name"], *_green.service_names(workload)) for workload in params["workloads"]]
    return {
        "changed": False,
        "workloads": [
            {"name": name, "blue_ready": ready(world, blue), "green_ready": ready(world, green)}
            for name, blue, green in sides
        ],
    }


def main():
    text = {"type": "str", "required": True}
    green = {
        "namespace": text, "release": text,
        "labels": {"type": "dict", "default": {}}, "node_ports": {"type": "dict", "default": {}},
        "chart_values": {"type": "dict"},
    }  # fmt: skip
    workload = {
        "name": text,
        "method": {"type": "str"},
        "blue": {"type": "dict", "required": True, "options": {"namespace": text, "service": text}},
        "green": {"type": "dict", "required": True, "options": green},
    }
    pair = {"blue": text, "green": text, "workload": text}
    _module.run(
        operation,
        {
            "workloads": {"type": "list", "elements": "dict", "required": True, "options": workload},
            "pairs": {"type": "list", "elements": "dict", "default": [], "options": pair},
            "deadline": {"type": "int", "default": 0},
        },
    )


if __name__ == "__main__":
    main()
