#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: bigbang_values
short_description: Put green's values into the values file of a Big Bang
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Works out, from the live blue, the values by which Big Bang deploys its new gateways beside it - NodePorts of
    their own,
    blue's ports, and autoscaling that never goes below what blue has now - and merges them into a values file below
    C(istioGateway.values.gateways).
  - Where the file says nothing of them, blue's resources, its pods' proxy annotations, and what decides who gets in at its
    Service come along, except what names one balancer or address.
  - Comments, order and quotes of the file stay. Its other values are not touched, its autoscaling is never lowered, and
    ports that only the file has stay. The diff shows what is changed and nothing else, since the file may hold secrets.
  - A file with a key that is there twice, or that can't be parsed, is refused with the line. So is one that is
    encrypted,
    and a place that is shared by an anchor.
options:
  state:
    description: V(restored) takes O(changes) back. The journal uses it.
    type: str
    choices: [present, restored]
    default: present
  path:
    description: The values file, on the host where this runs. It must exist.
    type: path
    required: true
  gateways:
    description: Big Bang's gateways to be deployed. Required with O(state=present).
    type: list
    elements: dict
    suboptions:
      name:
        description: Its key in C(istioGateway.values.gateways). Big Bang calls its release C(NAME-ingressgateway).
        type: str
        required: true
      service:
        description: Blue's Service, as C(NAMESPACE/NAME).
        type: str
        required: true
      labels:
        description:
          - Labels of green's pods. C(app) and C(istio) are set by Big Bang and can't be others; others are added.
        type: dict
        default: {}
      node_ports:
        description: NodePort of each port of blue's Service, by port name.
        type: dict
        required: true
      alb:
        description:
          - Blue's Gateway, as C(NAMESPACE/NAME), if an Application Load Balancer sends to this gateway. It sends
            no server
            name, so the gateway has to take every host, with the one certificate that blue's Gateway names.
        type: str
  backup:
    description: Leave a copy of the file as it was, beside it, with the time in its name.
    type: bool
    default: true
  changes:
    description: Changes to take back, each with C(path), C(before) and C(after).
    type: list
    elements: dict
requirements:
  - ruamel.yaml (Python)
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.cluster.journal
  - bluegreen.mesh.cluster.attributes
notes:
  - Needs C(get) on C(services), C(list) on C(deployments) and C(horizontalpodautoscalers) in blue's namespace, and
    C(get) on
    C(gateways.networking.istio.io).
seealso:
  - module: bluegreen.mesh.bigbang_info
  - module: bluegreen.mesh.flux_release_info
"""

EXAMPLES = r"""
- name: Deploy the new public gateway on NodePorts of its own, behind an ALB
  bluegreen.mesh.bigbang_values:
    kubeconfig: ~/.kube/config
    context: production
    path: bigbang-values.yaml
    gateways:
      - name: public
        service: istio-system/public-ingressgateway
        node_ports: {status-port: 30022, http2: 30081, https: 30444}
        alb: istio-system/public
"""

RETURN = r"""
changes:
  description: What was changed in the file.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The keys that lead there.
      type: list
      elements: str
    before:
      description: What was there, or null.
      type: raw
    after:
      description: What is there now.
      type: raw
backup_file:
  description: The copy of the file as it was.
  returned: when one was made
  type: str
"""

import os
import tempfile

from ansible.module_utils.basic import missing_required_lib
from ansible_collections.bluegreen.mesh.plugins.module_utils import (
    _bigbang,
    _module,
    _node_ports,
    _replicas,
    _values,
    _values_file,
)
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import path_of
from ansible_collections.bluegreen.mesh.plugins.module_utils._journal import Journal
from ansible_collections.bluegreen.mesh.plugins.module_utils._resources import parse_namespaced


def wanted(cluster, gateway, file):
    """Values of one gateway, nested to where they belong."""
    namespace, name = parse_namespaced(gateway["service"], "gateways[].service")
    service, deployment = _values.read(cluster, namespace, name)
    hpas = cluster.list(path_of("autoscaling/v2", "horizontalpodautoscalers", namespace))
    alb = None
    if gateway["alb"]:
        ref = parse_namespaced(gateway["alb"], "gateways[].alb")
        alb = cluster.find(path_of("networking.istio.io/v1", "gateways", *ref))
        if alb is None:
            raise _module.Refusal("no_such_gateway", f"Gateway {gateway['alb']} does not exist. Check mesh_gateways.")
    place = (*_bigbang.GATEWAYS, gateway["name"])
    values = _bigbang.gateway_values(
        gateway["name"],
        service,
        deployment,
        _replicas.scalers_of(deployment, hpas),
        {str(key): str(value) for key, value in gateway["labels"].items()},
        _node_ports.numbers(gateway["node_ports"]),
        file.get(place) or {},
        alb,
    )
    return _bigbang.nested(place, values)


def write(module, path, text):
    """In one step, with the file's own mode."""
    handle, name = tempfile.mkstemp(dir=module.tmpdir)
    with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
        file.write(text)
    module.atomic_move(name, path)


def operation(module, cluster):
    if _values_file.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("ruamel.yaml"), exception=_values_file.IMPORT_ERROR)
    params = module.params
    path = params["path"]
    if params["state"] == "restored" and not os.path.exists(path):
        module.warn(f"{path} is not on this host: take green's values out of Big Bang's values by hand.")
        return {"changed": False, "changes": []}
    file = _values_file.ValuesFile(_values_file.read(path), path)
    if params["state"] == "restored":
        changes = file.restore(params["changes"])
    else:
        changes = [c for gateway in params["gateways"] for c in file.merge(wanted(cluster, gateway, file))]
    result = {
        "changed": bool(changes),
        "changes": changes,
        "diff": {
            "before": {f"File {path}": {".".join(c["path"]): c["before"] for c in changes}},
            "after": {f"File {path}": {".".join(c["path"]): c["after"] for c in changes}},
        },
    }
    if not changes or module.check_mode:
        return result
    journal = Journal.load(cluster, params["journal"])
    step = None
    if journal:
        journal.check()
        inverse = {"state": "restored", "path": os.path.abspath(path), "changes": changes}
        step = journal.record("bigbang_values", os.path.abspath(path), {"module": "bigbang_values", "params": inverse})
    if params["backup"]:
        result["backup_file"] = module.backup_local(path)
    write(module, path, file.dump())
    if step:
        journal.done(step)
    if params["state"] == "restored":
        module.warn(f"{path} is as it was. Big Bang is not: deploy it with this file.")
    return result


def main():
    gateway = {
        "name": {"type": "str", "required": True},
        "service": {"type": "str", "required": True},
        "labels": {"type": "dict", "default": {}},
        "node_ports": {"type": "dict", "required": True},
        "alb": {"type": "str"},
    }
    _module.run(
        operation,
        {
            "state": {"type": "str", "choices": ["present", "restored"], "default": "present"},
            "path": {"type": "path", "required": True},
            "gateways": {"type": "list", "elements": "dict", "options": gateway},
            "backup": {"type": "bool", "default": True},
            "changes": {"type": "list", "elements": "dict"},
        },
        journal=True,
        required_if=[("state", "present", ["gateways"]), ("state", "restored", ["changes"])],
    )


if __name__ == "__main__":
    main()
