#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: balancer_endpoints_info
short_description: Where clients of blue and of green are sent, by the status of Services and Ingresses
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Reads the addresses of both sides of each workload from C(status.loadBalancer.ingress) of its Service, of each entry
    the address, else the name. Where that is empty and the side is an Ingress controller, from that of the Ingresses of
    its classes, which have to agree. Changes nothing.
  - Once records were moved by addresses, as O(migration) or O(known) say, these are returned. The cluster's are
    compared with them, and not followed.
options:
  classes:
    description: The classes of Ingresses that a side serves.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The class.
        type: str
        required: true
      side:
        description: The side whose Service is that of the controller.
        type: str
        choices: [blue, green]
        required: true
      workload:
        description: Name of the entry of O(workloads). All of them, if not given.
        type: str
  migration:
    description: Name of the migration, whose journal has the addresses that records were moved by, if there is one.
    type: str
  namespace:
    description: Namespace of the journal.
    type: str
    default: bluegreen-mesh
  known:
    description: Addresses that were read before, as RV(endpoints). The journal is not asked then.
    type: list
    elements: dict
    default: []
  unmoved:
    description:
      - Sides of which a Service that is gone, or has another address than records were moved by, is refused. Another
        address of the others is a warning.
    type: list
    elements: str
    choices: [blue, green]
    default: [blue, green]
  missing:
    description: What to do where a side has no address and none is known. V(skip) returns none of any.
    type: str
    choices: [refuse, skip]
    default: refuse
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.cluster.info
  - bluegreen.mesh.sides
notes:
  - Needs C(get) on C(services) in the namespaces of O(workloads); with O(classes), where their Services have no
    address, C(list) on C(ingresses.networking.k8s.io) in all; with O(migration), to read the journal.
seealso:
  - module: bluegreen.mesh.dns_records
  - module: bluegreen.mesh.route53_weights
"""

EXAMPLES = r"""
- name: Where are both sides?
  bluegreen.mesh.balancer_endpoints_info:
    kubeconfig: ~/.kube/config
    context: production
    workloads:
      - name: public
        blue: {namespace: ingress-nginx, service: ingress-nginx-controller}
        green: {namespace: istio-gateway, release: public-ingressgateway}
    classes:
      - {name: nginx, side: blue}
  register: addresses

- name: Which hosts are where?
  bluegreen.mesh.dns_records:
    server: ns1.example.com
    zones: [example.com]
    endpoints: "{{ addresses.endpoints }}"
    hosts: [shop.example.com]
"""

RETURN = r"""
endpoints:
  description: Each place where clients are sent, once. As records were moved by, if they were.
  returned: success
  type: list
  elements: dict
  contains:
    blue:
      description: Blue's addresses, or its one name.
      type: list
      elements: str
    green:
      description: Green's.
      type: list
      elements: str
  sample: [{blue: [192.0.2.10], green: [192.0.2.20]}]
failure:
  description: What went wrong, for programs.
  returned: failure
  type: dict
  contains:
    code:
      description: V(address_unknown), or V(foreign_change) where an address has changed.
      type: str
    addresses:
      description: What is not as it has to be, in words.
      type: list
      elements: str
"""

from ansible_collections.bluegreen.mesh.plugins.module_utils import (
    _balancer_endpoints,
    _green,
    _inventory,
    _journal,
    _module,
)
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import path_of
from ansible_collections.bluegreen.mesh.plugins.module_utils._ingresses import API
from ansible_collections.bluegreen.mesh.plugins.module_utils._resources import read_all


def recorded(cluster, params):
    """What records were moved by, as the journal has it."""
    if not params["migration"]:
        return []
    store = _journal.Store(cluster, params["namespace"], params["migration"])
    state = store.read()
    steps = _journal.to_undo(state, "cutover") if state else []  # the newest first
    newest = next((step for step in steps if step["op"] in _balancer_endpoints.OPS), None)
    return _balancer_endpoints.recorded(store.inverse(newest)) if newest else []


def read(cluster, params):
    """Both sides of each workload. One GET for each Service, and one list of Ingresses where a Service has no
    address."""
    asked = [
        {
            colour: (ref, [c["name"] for c in params["classes"]
                           if c["side"] == colour and c["workload"] in (None, workload["name"])])
            for colour, ref in zip(_balancer_endpoints.COLOURS, _green.service_names(workload))
        }
        for workload in params["workloads"]
    ]  # fmt: skip
    every = [side for pair in asked for side in pair.values()]
    names = list(dict.fromkeys(ref for ref, _classes in every))
    services = dict(zip(names, read_all(cluster, [path_of("v1", "services", *name.split("/")) for name in names])))
    needed = _balancer_endpoints.needs_ingresses(services, every)
    ingresses = cluster.list(path_of(API, "ingresses")) if needed else []
    return [
        {
            colour: _balancer_endpoints.side_of(ref, services[ref], classes, ingresses)
            for colour, (ref, classes) in pair.items()
        }
        for pair in asked
    ]


def operation(module, cluster):
    params = module.params
    known = params["known"] or recorded(cluster, params)
    pairs = read(cluster, params)
    if not known:
        return {"changed": False, "endpoints": _balancer_endpoints.endpoints_of(pairs, params["missing"])}
    for text in _balancer_endpoints.held(pairs, known, params["unmoved"]):
        module.warn(f"An address has changed: {text}")
    return {"changed": False, "endpoints": known}


def main():
    text = {"type": "str", "required": True}
    colours = list(_balancer_endpoints.COLOURS)
    classes = {"name": text, "side": {**text, "choices": colours}, "workload": {"type": "str"}}
    _module.run(
        operation,
        {
            "workloads": {"type": "list", "elements": "dict", "required": True, "options": _inventory.WORKLOAD},
            "classes": {"type": "list", "elements": "dict", "default": [], "options": classes},
            "migration": {"type": "str"},
            "namespace": {"type": "str", "default": "bluegreen-mesh"},
            "known": {"type": "list", "elements": "dict", "default": []},
            "unmoved": {"type": "list", "elements": "str", "choices": colours, "default": colours},
            "missing": {"type": "str", "choices": ["refuse", "skip"], "default": "refuse"},
        },
    )


if __name__ == "__main__":
    main()
