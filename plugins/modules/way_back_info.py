#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: way_back_info
short_description: Whether traffic can go back to the old gateways
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Looks whether blue is good to go back to. It is if as many of its pods are ready as it was pinned to, its certificates
    are there and have not expired, and no route is served by green alone, since going back would lose that one.
  - Tells of routes that only one side serves, whichever it is.
  - What can't be read is a reason not to go back.
options:
  pairs:
    description: The Gateways, as in O(bluegreen.mesh.mesh_findings_info#module:pairs).
    type: list
    elements: dict
    required: true
    suboptions:
      blue:
        description: The Gateway that serves now, as C(NAMESPACE/NAME).
        type: str
        required: true
      green:
        description: The Gateway that is to take its place, as C(NAMESPACE/NAME).
        type: str
        required: true
      workload:
        description: Name of the entry of O(workloads) whose pods serve them. Not needed if there is only one.
        type: str
  workloads:
    description: The gateways' Services, of both sides.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: A name.
        type: str
        required: true
      method:
        description: How green is deployed. Not used here.
        type: str
      blue:
        description: Blue's C(namespace) and C(service).
        type: dict
        required: true
      green:
        description: Green's C(namespace) and C(release).
        type: dict
        required: true
  aspects:
    description:
      - What is looked at. V(pods) needs no permission to read Secrets, certificates or routes.
    type: list
    elements: str
    choices: [pods, certificates, routes]
    default: [pods, certificates, routes]
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.cluster.info
notes:
  - Needs C(list) on C(gateways) and C(virtualservices) of C(networking.istio.io) and on C(services) in all namespaces,
    and in the namespaces of both sides' pods on C(pods), C(secrets), C(deployments) and C(horizontalpodautoscalers); as
    far as O(aspects) asks for it.
seealso:
  - module: bluegreen.mesh.mesh_findings_info
  - module: bluegreen.mesh.replicas_pin
"""

EXAMPLES = r"""
- name: Can we go back?
  bluegreen.mesh.way_back_info:
    kubeconfig: ~/.kube/config
    context: production
    pairs:
      - blue: istio-system/public
        green: istio-gateway/public-ingressgateway
    workloads:
      - name: public
        blue:
          namespace: istio-system
          service: public-ingressgateway
        green:
          namespace: istio-gateway
          release: public-ingressgateway
  register: blue
  failed_when: not blue.good
"""

RETURN = r"""
good:
  description: Whether there is nothing against going back.
  type: bool
  returned: success
reasons:
  description: What is against it, one sentence each.
  type: list
  elements: str
  returned: success
one_sided:
  description: Routes that only one side serves. Empty if O(aspects) does not ask for them.
  type: list
  elements: dict
  returned: success
  contains:
    side:
      description: V(blue) or V(green).
      type: str
    object:
      description: The object, by kind, namespace and name.
      type: str
    field:
      description: Where in the object.
      type: str
    found:
      description: What is there.
      type: str
    text:
      description: All of it in one line.
      type: str
"""

import dataclasses
import datetime

from ansible_collections.bluegreen.mesh.plugins.module_utils import _inventory, _module, _way_back


def operation(module, cluster):
    check(module.params["workloads"])
    aspects = module.params["aspects"]
    pairs, workloads = _inventory.parse(module.params["pairs"], module.params["workloads"])
    inventory = _inventory.read(cluster, _inventory.Inventory(pairs, workloads), only=_way_back.kinds(aspects))
    reasons = _way_back.reasons(inventory, datetime.datetime.now(datetime.timezone.utc), aspects)
    one_sided = _way_back.one_sided(inventory) if "routes" in aspects else []
    return {
        "changed": False,
        "good": not reasons,
        "reasons": reasons,
        "one_sided": [{**dataclasses.asdict(route), "text": route.text} for route in one_sided],
    }


def check(workloads):
    """What _inventory.parse() takes for granted."""
    for number, workload in enumerate(workloads):
        for side, wanted in (("blue", ("namespace", "service")), ("green", ("namespace", "release"))):
            missing = [name for name in wanted if not workload[side].get(name)]
            if missing:
                raise _module.Refusal("bad_option", f"workloads[{number}].{side}: lacks {', '.join(missing)}.")


def main():
    text = {"type": "str", "required": True}
    side = {"type": "dict", "required": True}
    pair = {"blue": text, "green": text, "workload": {"type": "str"}}
    aspects = list(_way_back.ASPECTS)
    workload = {"name": text, "method": {"type": "str"}, "blue": side, "green": side}
    _module.run(
        operation,
        {
            "pairs": {"type": "list", "elements": "dict", "required": True, "options": pair},
            "workloads": {"type": "list", "elements": "dict", "required": True, "options": workload},
            "aspects": {"type": "list", "elements": "str", "choices": aspects, "default": aspects},
        },
    )


if __name__ == "__main__":
    main()
