#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: virtual_service_ingress
short_description: Turn the routes of VirtualServices into Ingresses, a whole host at a time
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Makes Ingresses for the routes that VirtualServices have on the old Gateways, in the namespace of each backend, and
    reports of every field of every VirtualService whether it is translated, not needed, or not translated, and then
    what a person must do.
  - A host moves whole or not at all. It does not where a field can't be said with the given controller, where a
    controller of an operator's makes the VirtualService, or where the backend's pods take Istio's mutual TLS alone.
    Such hosts are in RV(left_out), or refused if O(hosts) names them.
  - Istio takes the first route that matches, an Ingress controller the longest path. Routes that an earlier one hides
    are left out, and paths are added where Istio's prefixes of characters and an Ingress's of whole elements differ.
  - VirtualServices are never written. They go on serving by the old gateway, so the way back is to remove the
    Ingresses.
options:
  state:
    description: V(absent) removes what this module has made for O(hosts).
    type: str
    choices: [present, absent]
    default: present
  hosts:
    description:
      - The hosts to be moved now, as VirtualServices or Gateways write them. Others are left as they are.
      - Empty, nothing is written, and the report is of all hosts.
    type: list
    elements: str
    default: []
  stay:
    description:
      - Hosts that stay behind the old gateway for now, as they are forwarded there. They are in none of RV(waves), and
        among RV(stays) in the place of RV(left_out).
    type: list
    elements: str
    default: []
  wave_size:
    description: How many hosts a wave of RV(waves) has at most.
    type: int
    default: 10
  owned:
    description:
      - V(leave) leaves hosts alone whose VirtualServices an operator makes (C(ownerReferences)), since it would know
        nothing of the Ingresses. V(convert) takes them too.
    type: str
    choices: [leave, convert]
    default: leave
  controller_in_mesh:
    description: Whether the new controller's pods have a sidecar of Istio's, and so may call pods that take mutual TLS
      alone.
    type: bool
    default: false
  certificates:
    description:
      - An Ingress takes its certificate from its own namespace. V(copy) copies there what the Gateway names,
        V(require) takes it that it is there, V(controller) leaves it to the controller's default certificate.
      - A copy is made once more whenever this module runs; it does not follow its source by itself.
    type: str
    choices: [copy, require, controller]
    default: copy
  root_namespace:
    description: Istio's root namespace.
    type: str
    default: istio-system
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.ingress
  - bluegreen.mesh.cluster.journal
  - bluegreen.mesh.cluster.attributes
notes:
  - Needs C(list) on VirtualServices, DestinationRules, PeerAuthentications, Services, Pods and Secrets, C(get) on the
    Gateways, and C(get), C(list), C(create), C(patch) and C(delete) on Ingresses, Services and Secrets; for V(traefik)
    also on C(serverstransports) and C(middlewares) of C(traefik.io).
  - Run M(bluegreen.mesh.interim_ingress) right behind it, so that the host's interim Ingress goes. Which of the two
    answers until then is in C(docs/ingress_dialects.md).
seealso:
  - module: bluegreen.mesh.interim_ingress
  - module: bluegreen.mesh.route_verify
"""

EXAMPLES = r"""
- name: See what would become of every field
  bluegreen.mesh.virtual_service_ingress:
    kubeconfig: ~/.kube/config
    context: production
    gateways: [istio-system/public]
    gateway_service: istio-system/istio-ingressgateway
    class_name: traefik
    dialect: traefik
  register: looked

- name: Move the first wave
  bluegreen.mesh.virtual_service_ingress:
    kubeconfig: ~/.kube/config
    context: production
    gateways: [istio-system/public]
    gateway_service: istio-system/istio-ingressgateway
    class_name: traefik
    dialect: traefik
    hosts: "{{ looked.waves[0] }}"
    journal:
      namespace: bluegreen-mesh
      name: to-linkerd
      epoch: "{{ journal.epoch }}"
      phase: bind
"""

RETURN = r"""
objects:
  description: C(object) and C(state) of each that is written or is so already.
  returned: success
  type: list
  elements: dict
report:
  description:
    - Of every field, C(virtual_service), C(host), C(route) (empty for the VirtualService itself), C(field), C(verdict)
      (one of C(translated), C(not_needed), C(not_translated)) and C(why), which is what differs, or what a person must
      do.
  returned: success
  type: list
  elements: dict
counts:
  description: How many fields have each verdict.
  returned: success
  type: dict
left_out:
  description: Hosts that are not moved, with why.
  returned: success
  type: dict
stays:
  description: Those of O(stay), with why they can't be moved, or nothing where they could.
  returned: success
  type: dict
waves:
  description: The hosts that can move, in waves, the plainest first.
  returned: success
  type: list
  elements: list
manifests:
  description: The objects for O(hosts), for GitOps; without Secrets.
  returned: success
  type: list
  elements: dict
findings:
  description: What was found of the hosts that are looked at and is not waived.
  returned: success
  type: list
  elements: dict
failure:
  description: What went wrong, C(code) for machines; with C(code=findings), all C(findings).
  returned: failure
  type: dict
"""

from ansible_collections.bluegreen.mesh.plugins.module_utils import (
    _edits, _ingress_options, _module, _twin, _virtual_service_ingress,
)  # fmt: skip
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import path_of
from ansible_collections.bluegreen.mesh.plugins.module_utils._journal import Journal
from ansible_collections.bluegreen.mesh.plugins.module_utils._objects import annotations_of, ref_of
from ansible_collections.bluegreen.mesh.plugins.module_utils._resources import Ref
from ansible_collections.bluegreen.mesh.plugins.module_utils.route_features import Known

PART = "route"
CERTIFICATE = "cert-manager.io/certificate-name"  # annotation of a Secret that cert-manager writes


def look(cluster, params):
    lists = _ingress_options.lists(
        cluster, ["virtualservices", "destinationrules", "peerauthentications", "services", "pods", "secrets"]
    )
    namespace = _ingress_options.ref(params["gateway_service"], "gateway_service")[0]
    secrets = {ref_of(item): item for item in lists["secrets"]}
    services = {ref_of(item): item for item in lists["services"]}
    return secrets, _virtual_service_ingress.Cluster(
        _ingress_options.gateways(cluster, params["gateways"]), namespace, lists["virtualservices"],
        Known(services, lists["destinationrules"]), lists["peerauthentications"], lists["pods"], set(secrets),
        params["root_namespace"], {ref for ref, item in secrets.items() if _edits.ours(item, PART)},
        {ref: name for ref, item in secrets.items() if (name := annotations_of(item).get(CERTIFICATE))},
    )  # fmt: skip


def plan(cluster, params, seen):
    secrets, looked = look(cluster, params)
    options = _virtual_service_ingress.Options(
        _ingress_options.dialect(params), params["class_name"], params["waive"], params["owned"] == "convert",
        params["controller_in_mesh"], params["certificates"],
    )  # fmt: skip
    hosts = _virtual_service_ingress.convert(looked, options)
    seen["hosts"] = hosts
    for option in ("hosts", "stay"):
        unknown = [name for name in params[option] if name not in hosts]
        if unknown:
            raise _module.Refusal(
                "no_such_host",
                f"{option}: {', '.join(unknown)}: no route of these Gateways is for it. There are: {', '.join(hosts)}.",
            )
    both = sorted({*params["hosts"]} & {*params["stay"]})
    if both:
        raise _module.Refusal("bad_option", f"{', '.join(both)}: in hosts, and in stay. A host moves, or stays.")
    chosen = [hosts[name] for name in params["hosts"]]
    findings = [finding for host in chosen for finding in host.findings]
    seen["findings"] = _ingress_options.gate(findings, params["waive"], _virtual_service_ingress.CODES)
    stuck = [f"{host.name}: {host.left_out}" for host in chosen if host.left_out]
    if stuck:
        raise _module.Refusal("left_out", "\n".join(stuck))
    wanted = [item for host in chosen for item in host.objects]
    seen["manifests"] = wanted
    copies = dict.fromkeys(copy for host in chosen for copy in host.copies)  # hosts of a namespace share one
    writes = [certificate(cluster, secrets, params, *copy) for copy in copies]
    marked = [_edits.marked(_ingress_options.labelled(item, params["class_name"]), PART) for item in wanted]
    return [w for w in writes if w] + mine(_ingress_options.writes(cluster, marked, PART, params["class_name"]), params)


def mine(writes, params):
    """What was made for other hosts stays."""
    return [
        write for write in writes
        if write.state != "removed"
        or annotations_of(write.before).get(_virtual_service_ingress.HOST) in params["hosts"]
    ]  # fmt: skip


def certificate(cluster, secrets, params, source, target):
    """The copy of a TLS Secret; somebody's own of that name is left, and used."""
    body = secrets.get(source)
    if body is None:
        raise _module.Refusal("secret_missing", f"Secret {'/'.join(source)}, which a Gateway names, does not exist.")
    there = secrets.get(target)
    if there and not _edits.ours(there, PART):
        return None
    wanted = _twin.secret_copy(body, target)
    wanted["metadata"]["annotations"].pop(_twin.SOURCE_VERSION)  # it changes without the certificate
    wanted = _edits.marked(_ingress_options.labelled(wanted, params["class_name"]), PART)
    return _edits.made(Ref.of(wanted), path_of("v1", "secrets", *target), there, wanted)


def operation(module, cluster):
    params = module.params
    journal = Journal.load(cluster, params["journal"])
    seen = {"hosts": {}, "findings": [], "manifests": []}

    def planned():
        if params["state"] == "present":
            return plan(cluster, params, seen)
        return mine(_ingress_options.writes(cluster, [], PART, params["class_name"]), params)

    result = _edits.carry_out(module, cluster, journal, planned)
    hosts = seen["hosts"]
    shown = {name: host for name, host in hosts.items() if not params["hosts"] or name in params["hosts"]}
    report = [entry for host in shown.values() for entry in host.report]
    findings = seen["findings"] or [
        _ingress_options.shown(f) for host in shown.values() for f in host.findings if not f.waived_by(params["waive"])
    ]
    stay = params["stay"]
    moving = {name: host for name, host in hosts.items() if name not in stay}
    return {
        **result, "report": report, "counts": _virtual_service_ingress.counts(report), "findings": findings,
        "left_out": {name: host.left_out for name, host in moving.items() if host.left_out},
        "stays": {name: host.left_out for name, host in hosts.items() if name in stay},
        "waves": _virtual_service_ingress.waves(moving, max(1, params["wave_size"])), "manifests": seen["manifests"],
    }  # fmt: skip


def main():
    _module.run(
        operation,
        {
            **_ingress_options.SPEC,
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "hosts": {"type": "list", "elements": "str", "default": []},
            "stay": {"type": "list", "elements": "str", "default": []},
            "wave_size": {"type": "int", "default": 10},
            "owned": {"type": "str", "choices": ["leave", "convert"], "default": "leave"},
            "controller_in_mesh": {"type": "bool", "default": False},
            "certificates": {"type": "str", "choices": ["copy", "require", "controller"], "default": "copy"},
            "root_namespace": {"type": "str", "default": "istio-system"},
        },
        journal=True,
    )


if __name__ == "__main__":
    main()
