#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: interim_ingress
short_description: Let a new Ingress controller forward every host to the old Istio gateway
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Makes an Ingress for each host that has a route on the old gateway, which forwards all of it to the old gateway's
    Service, by TLS with the host's own server name, Host untouched. Hosts with gRPC get Ingresses for it of their own.
    So traffic can move to the new controller before any application does.
  - Whatever an Ingress can't carry is refused by host, before anything is written, with what to do. That is so for TLS
    that is passed through, for client certificates, for a host that the old gateway only redirects to HTTPS, for a
    route that leads back to the new controller, and for a certificate that an Ingress can't take.
  - A host whose routes are Ingresses of M(bluegreen.mesh.virtual_service_ingress) already gets none, and its own is
    removed.
  - What it makes is in the namespace of the old gateway's Service, labelled
    C(app.kubernetes.io/managed-by=bluegreen.mesh). What others have made is never written.
options:
  state:
    description: V(absent) removes all that this module has made for O(class_name).
    type: str
    choices: [present, absent]
    default: present
  controller_service:
    description: The new controller's Service, as C(NAMESPACE/NAME). What leads to it goes round in a circle.
    type: str
    required: true
  except_hosts:
    description: Hosts, as the Gateways or VirtualServices write them, that are moved otherwise and get no Ingress.
    type: list
    elements: str
    default: []
  returning:
    description:
      - Hosts that are about to lose the Ingresses of M(bluegreen.mesh.virtual_service_ingress). They are forwarded
        beside these, so that no request finds neither. Remove those once this is done.
      - A host that has none, and so is forwarded anyway, may be named too.
    type: list
    elements: str
    default: []
  hops:
    description:
      - How many proxies will be in front of the old gateway, the new controller among them. Two where a load balancer
        that speaks HTTP is in front of the controller.
    type: int
    default: 1
  certificates:
    description:
      - V(gateway) lets each host be served with the Secret that its Gateway names, which is in the same namespace.
      - V(controller) leaves it to the controller's default certificate.
    type: str
    choices: [gateway, controller]
    default: gateway
  root_namespace:
    description: Istio's root namespace.
    type: str
    default: istio-system
  mesh_config:
    description:
      - The ConfigMap of Istio's mesh config, as C(NAMESPACE/NAME), where numTrustedProxies may be. If not given, those
        of all revisions in O(root_namespace), and the lowest number counts.
    type: str
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.ingress
  - bluegreen.mesh.cluster.journal
  - bluegreen.mesh.cluster.attributes
notes:
  - Needs C(list) on VirtualServices, Services, Ingresses and IngressClasses, C(get) on the Gateways, C(get) and
    C(list) on ConfigMaps where O(mesh_config) is, and in the namespace of the old gateway C(list) on pods and Secrets and C(get),
    C(create), C(patch) and C(delete) on Ingresses; for V(traefik) also on Services and on C(serverstransports) and
    C(middlewares) of C(traefik.io). Of Secrets, types and keys are kept and values dropped as soon as they are read.
seealso:
  - module: bluegreen.mesh.virtual_service_ingress
"""

EXAMPLES = r"""
- name: Forward everything to the old gateway
  bluegreen.mesh.interim_ingress:
    kubeconfig: ~/.kube/config
    context: production
    gateways: [istio-system/public]
    gateway_service: istio-system/istio-ingressgateway
    controller_service: ingress/traefik
    class_name: traefik
    dialect: traefik
    except_hosts: [mtls.example.com]
    journal:
      namespace: bluegreen-mesh
      name: to-linkerd
      epoch: "{{ journal.epoch }}"
      phase: bind

- name: Have the hosts of a wave forwarded again, before virtual_service_ingress removes their own Ingresses
  bluegreen.mesh.interim_ingress:
    kubeconfig: ~/.kube/config
    context: production
    gateways: [istio-system/public]
    gateway_service: istio-system/istio-ingressgateway
    controller_service: ingress/traefik
    class_name: traefik
    dialect: traefik
    returning: [shop.example.com]
"""

RETURN = r"""
objects:
  description: C(object) and C(state) of each, one of C(created), C(edited), C(removed) and C(unchanged).
  returned: success
  type: list
  elements: dict
hosts:
  description: Every host that is forwarded, with what differs from the old gateway, in words.
  returned: success
  type: dict
left_out:
  description: Every host that is not, with why.
  returned: success
  type: dict
findings:
  description: What was found and is not waived, warnings alone. Each has C(code), C(severity), C(object), C(field),
    C(found), C(fix) and C(text).
  returned: success
  type: list
  elements: dict
failure:
  description: What went wrong, C(code) for machines; with C(code=findings), all C(findings).
  returned: failure
  type: dict
"""

from ansible_collections.bluegreen.mesh.plugins.module_utils import _edits, _ingress_options, _interim_ingress, _module
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import path_of
from ansible_collections.bluegreen.mesh.plugins.module_utils._journal import Journal
from ansible_collections.bluegreen.mesh.plugins.module_utils._objects import ref_of


def look(cluster, params):
    lists = _ingress_options.lists(cluster, ["virtualservices", "services", "ingresses", "ingressclasses"])
    service = _ingress_options.ref(params["gateway_service"], "gateway_service")
    services = {ref_of(item): item for item in lists["services"]}
    if service not in services:
        raise _module.Refusal("no_such_service", f"gateway_service: there is no Service {params['gateway_service']}.")
    pods = cluster.list(path_of("v1", "pods", service[0]))
    secrets = cluster.list(path_of("v1", "secrets", service[0]))
    return _interim_ingress.Cluster(
        _ingress_options.gateways(cluster, params["gateways"]), lists["virtualservices"], services, service,
        _ingress_options.ref(params["controller_service"], "controller_service"),
        _interim_ingress.labels_select(pods, services[service]),
        _ingress_options.mesh_configs(cluster, params["mesh_config"], params["root_namespace"]),
        {s["metadata"]["name"]: (s.get("type", "Opaque"), sorted(s.get("data") or {})) for s in secrets},
        lists["ingresses"], lists["ingressclasses"],
    )  # fmt: skip


def operation(module, cluster):
    params = module.params
    journal = Journal.load(cluster, params["journal"])
    mark = _interim_ingress.PART
    seen = {}

    def plan():
        namespace = _ingress_options.ref(params["gateway_service"], "gateway_service")[0]
        done = _interim_ingress.Plan()
        if params["state"] == "present":
            done = _interim_ingress.plan(
                look(cluster, params), _ingress_options.dialect(params), params["class_name"],
                except_hosts=params["except_hosts"], hops=params["hops"], certificates=params["certificates"],
                returning=params["returning"],
            )  # fmt: skip
        seen["done"] = done
        seen["findings"] = _ingress_options.gate(done.findings, params["waive"], _interim_ingress.CODES)
        wanted = [_edits.marked(_ingress_options.labelled(item, params["class_name"]), mark) for item in done.objects]
        return _ingress_options.writes(
            cluster, wanted, mark, params["class_name"], namespace, params["dialect"] == "traefik"
        )

    result = _edits.carry_out(module, cluster, journal, plan)
    done = seen["done"]
    return {**result, "hosts": done.differs, "left_out": done.left_out, "findings": seen["findings"]}


def main():
    _module.run(
        operation,
        {
            **_ingress_options.SPEC,
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "controller_service": {"type": "str", "required": True},
            "except_hosts": {"type": "list", "elements": "str", "default": []},
            "returning": {"type": "list", "elements": "str", "default": []},
            "hops": {"type": "int", "default": 1},
            "certificates": {"type": "str", "choices": ["gateway", "controller"], "default": "gateway"},
            "root_namespace": {"type": "str", "default": "istio-system"},
            "mesh_config": {"type": "str"},
        },
        journal=True,
    )


if __name__ == "__main__":
    main()
