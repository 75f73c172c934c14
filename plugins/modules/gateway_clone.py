#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_clone
short_description: Make green from the live blue
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Makes a second gateway workload from the one that is there, without its chart or operator. Copied are the
    Deployment,
    the Service, the service account with its Roles and RoleBindings, the HorizontalPodAutoscaler and the
    PodDisruptionBudget, under green's names, in green's namespace, with green's labels and NodePorts.
  - What the cluster set (addresses, UIDs, status) and what says whose an object is (labels and annotations of
    Helm, Flux,
    Argo CD or the Istio operator) does not come along.
  - Green's pods lose every label by which something selects blue's, and get O(labels). It is refused if something would
    still select both.
  - Green is never smaller than blue is now, whatever blue's specification says.
  - The clone follows its source. Run the module again after blue has changed. Replicas are only ever raised.
  - An object of green's name that this module did not make is refused, before anything is made.
options:
  state:
    description:
      - V(present) makes or updates green.
      - V(absent) removes O(objects) that this module made. V(restored) puts O(objects) back to a former content. The
        journal uses these two.
    type: str
    choices: [present, absent, restored]
    default: present
  service:
    description: Blue's Service, as C(NAMESPACE/NAME). Required with O(state=present).
    type: str
  namespace:
    description: Green's namespace, which must exist. Required with O(state=present).
    type: str
  name:
    description: Name of green's objects. Required with O(state=present).
    type: str
  labels:
    description:
      - Labels of green's pods, by which its Service and its Gateways select them. Required with O(state=present).
    type: dict
  node_ports:
    description: NodePort of each port of blue's Service, by port name. Required with O(state=present).
    type: dict
  annotations:
    description:
      - Names of annotations that are copied from blue's objects. None is by default, because many are orders to
        controllers. A copy of one for external-dns would move the DNS name at once.
    type: list
    elements: str
    default: []
  objects:
    description:
      - Objects for V(absent) and V(restored), each with C(api_version), C(kind), C(namespace), C(name), and for
        V(restored) C(body).
    type: list
    elements: dict
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.cluster.journal
  - bluegreen.mesh.cluster.attributes
notes:
  - Needs C(get), C(list), C(create), C(update) and C(delete) on C(deployments), C(services), C(serviceaccounts),
    C(roles), C(rolebindings), C(horizontalpodautoscalers) and C(poddisruptionbudgets) in green's namespace, C(get) and
    C(list) on them in blue's, and C(list) on C(services) and C(gateways.networking.istio.io) in all namespaces.
    Kubernetes
    lets nobody create a Role with rights that they do not have themselves.
  - Does not wait for the pods. M(bluegreen.mesh.gateway_ready_info) does.
seealso:
  - module: bluegreen.mesh.gateway_values_info
  - module: bluegreen.mesh.gateway_twin
"""

EXAMPLES = r"""
- name: Make green from the live blue
  bluegreen.mesh.gateway_clone:
    kubeconfig: ~/.kube/config
    context: production
    service: istio-system/public-ingressgateway
    namespace: istio-gateway
    name: public-ingressgateway
    labels: {app: public-gateway, istio: public-gateway}
    node_ports: {status-port: 30022, http2: 30081, https: 30444}
"""

RETURN = r"""
objects:
  description: What became of each object.
  returned: success
  type: list
  elements: dict
  contains:
    object:
      description: Kind, namespace and name.
      type: str
    state:
      description:
        - V(created), V(updated), V(unchanged), V(removed), V(absent), or V(foreign) if it is not of this
          module's making.
      type: str
replicas:
  description: How many pods green's Deployment asks for.
  returned: with O(state=present)
  type: int
"""

from ansible_collections.bluegreen.mesh.plugins.module_utils import _clone, _gateways, _module, _node_ports, _values
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import ApiError
from ansible_collections.bluegreen.mesh.plugins.module_utils._journal import Journal
from ansible_collections.bluegreen.mesh.plugins.module_utils._resources import Ref, parse_namespaced


def plan(cluster, params):
    if params["state"] != "present":
        objects = params["objects"] or []
        refs = [Ref(o["api_version"], o["kind"], o["namespace"], o["name"]) for o in objects]
        found = _clone.found(cluster, refs)
        if params["state"] == "absent":
            return _clone.plan_absent(refs, found)
        return _clone.plan_restored([(ref, o["body"]) for ref, o in zip(refs, objects)], found)
    namespace, name = parse_namespaced(params["service"], "service")
    green = _clone.Green(
        params["namespace"],
        params["name"],
        {str(k): str(v) for k, v in params["labels"].items()},
        _node_ports.numbers(params["node_ports"]),
        tuple(params["annotations"]),
    )
    if not green.labels:
        raise _module.Refusal("bad_option", "labels: empty; expected the labels of green's pods.")
    if (green.namespace, green.name) == (namespace, name):
        raise _module.Refusal("bad_option", f"name: green would be {namespace}/{name}, which is blue itself.")
    service, deployment = _values.read(cluster, namespace, name)
    blue = _clone.read(cluster, service, deployment, _gateways.istio_list(cluster, "gateways"))
    wanted = _clone.objects(blue, green)
    steps = _clone.plan_present(wanted, _clone.found(cluster, [Ref.of(item) for item in wanted]))
    if any(step.acts for step in steps):
        _clone.refuse_taken_ports(cluster, next(item for item in wanted if item["kind"] == "Service"))
        _clone.refuse_missing(cluster, wanted)
    return steps


def write(cluster, steps, journal, recorded, dry_run):
    """Carries out the steps; returns the object that has changed since it was read, if one has."""
    acting = [step for step in steps if step.acts]
    if journal and acting and not dry_run:
        journal.check()
        recorded += journal.record_all(
            [(f"clone_{s.ref.kind.lower()}", s.object, _clone.inverse(s), False, None) for s in acting]
        )
    for step in acting:
        try:
            _clone.apply(cluster, step, dry_run)
        except ApiError as exc:
            if exc.status in (404, 409) and step.state != "created" or exc.status == 409:
                return step.object
            if exc.status == 404:
                if dry_run:  # the namespace is made by a task before this one, which check mode did not carry out
                    continue
                raise _module.Refusal(
                    "namespace_missing", f"{step.object} can't be made: {exc.text}. Create the namespace first."
                ) from exc
            body = step.after if step.ref.kind == "Service" else None
            refusal = body and _node_ports.explained(exc, body, _clone.node_port_changes(body))
            raise refusal or exc from exc
    return None


def operation(module, cluster):
    journal = Journal.load(cluster, module.params["journal"])
    done = _module.settled(
        lambda: plan(cluster, module.params),
        lambda steps, recorded: write(cluster, steps, journal, recorded, module.check_mode),
        journal,
    )
    acting = [step for step in done if step.acts]
    deployment = next((s.after for s in done if s.ref.kind == "Deployment" and s.after), None)
    return {
        "changed": bool(acting),
        "objects": [{"object": s.object, "state": s.state} for s in done],
        **({"replicas": deployment["spec"]["replicas"]} if deployment else {}),
        "diff": {
            "before": {s.object: _clone.shown(s.before) for s in acting},
            "after": {s.object: _clone.shown(s.after) for s in acting},
        },
    }


def main():
    needed = ["service", "namespace", "name", "labels", "node_ports"]
    _module.run(
        operation,
        {
            "state": {"type": "str", "choices": ["present", "absent", "restored"], "default": "present"},
            "service": {"type": "str"},
            "namespace": {"type": "str"},
            "name": {"type": "str"},
            "labels": {"type": "dict"},
            "node_ports": {"type": "dict"},
            "annotations": {"type": "list", "elements": "str", "default": []},
            "objects": {"type": "list", "elements": "dict"},
        },
        journal=True,
        required_if=[
            ("state", "present", needed),
            ("state", "absent", ["objects"]),
            ("state", "restored", ["objects"]),
        ],
    )


if __name__ == "__main__":
    main()
