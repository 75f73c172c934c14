#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mesh_findings_info
short_description: Known traps of replacing an Istio gateway, found before they bite
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Reads the cluster once, with a fixed number of lists, and reports everything that is known to go wrong when the
    given gateways are replaced, each with its object, what was found, and what to do. Changes nothing.
  - Does not fail because of findings. RV(errors) are those that ought to stop a migration.
  - A kind of object that may not be listed is a finding as well, V(unreadable).
  - Every code is described in C(docs/findings.md), each with a page of its own.
options:
  pairs:
    description: The Gateways to be replaced, each with the one that takes its place.
    required: true
  workloads:
    description: The gateways' pods and Services, of both sides.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: A name for reports.
        type: str
        required: true
      method:
        description: How green is deployed, as in the role's C(mesh_deploy_method).
        type: str
        default: helm
      blue:
        description: The Service that clients reach now.
        type: dict
        required: true
        suboptions:
          namespace:
            description: Its namespace.
            type: str
            required: true
          service:
            description: Its name.
            type: str
            required: true
      green:
        description: What takes its place, whether it is there yet or not.
        type: dict
        required: true
        suboptions:
          namespace:
            description: Namespace of the Helm release.
            type: str
            required: true
          release:
            description: Name of the Helm release, and so of its Service.
            type: str
            required: true
          labels:
            description: Labels of its pods.
            type: dict
            required: true
          node_ports:
            description: NodePorts it is to have, by port name.
            type: dict
            default: {}
          chart_values:
            description: Values of the chart; C(serviceAccount.name) is used.
            type: dict
            default: {}
  balancer:
    description: What shifts the traffic, as in the role's C(mesh_balancer.type).
    type: str
    default: ''
  binding:
    description:
      - What keeps VirtualServices bound, as M(bluegreen.mesh.binding_policy) returns it with its O(bluegreen.mesh.binding_policy#module:state=chosen).
      - With V(direct), each VirtualService that a source would put back is a finding. With any other, each Argo CD
        Application that takes for a difference what admission adds is one. Not looked for if not given.
    type: str
    default: ''
  certificates:
    description:
      - V(require) if TLS Secrets are not to be copied, and so must be in green's namespace already. V(certificate) if
        cert-manager is to write those that it writes for blue.
    type: str
    choices: [copy, certificate, require]
    default: copy
  policies:
    description:
      - V(copy) if what is bound to blue is going to be copied for green by M(bluegreen.mesh.policy_twin), so that only
        what will be missing even then is reported, with the reason.
      - V(require) reports all that green lacks, as is right once green is there, since what has no copy then gets none.
    type: str
    choices: [copy, require]
    default: require
  waive:
    description:
      - Findings that are known and accepted, as C(CODE), or as C(CODE:NAMESPACE/NAME) for one object.
      - A code that does not exist is an error.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.pairs.workloads
  - bluegreen.mesh.cluster.info
notes:
  - Needs C(list) in all namespaces on the C(networking), C(security), C(telemetry) and C(extensions) kinds of
    C(istio.io), on C(gateway.networking.k8s.io), on C(servicemonitors), C(podmonitors) and C(prometheusrules), on
    C(networkpolicies), C(ingresses), C(ingressclasses), C(services), C(configmaps), C(namespaces) and C(nodes); and in
    the namespaces of both sides' pods on C(pods), C(secrets), C(deployments), C(horizontalpodautoscalers),
    C(poddisruptionbudgets) and cert-manager's C(certificates). Deployments of external-dns are looked for in all
    namespaces, by label and by name. With O(binding), also on Argo CD's C(applications) and
    Flux's C(helmreleases) and C(kustomizations). Kinds that the cluster does not have are passed over.
  - Of ConfigMaps only those labelled C(grafana_dashboard), those in C(kube-system) and istiod's are asked for. Of
    Secrets, values are dropped as soon as they are read, except for the certificate of those that a Gateway names.
seealso:
  - module: bluegreen.mesh.gateway_twin
  - module: bluegreen.mesh.policy_twin
"""

EXAMPLES = r"""
- name: Look for traps
  bluegreen.mesh.mesh_findings_info:
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
          labels:
            istio: public-gateway
          node_ports:
            http2: 30081
            https: 30444
    waive:
      - field_owner
      - app_owned_gateway:team-a/legacy
  register: looked

- name: Stop if one stands
  ansible.builtin.assert:
    that: looked.errors == []
    fail_msg: "{{ looked.errors | map(attribute='text') | join('\n') }}"
"""

RETURN = r"""
findings:
  description: Everything found that is not waived, errors first.
  returned: success
  type: list
  elements: dict
  contains: &finding
    code:
      description: The trap.
      type: str
    severity:
      description: V(error) or V(warning).
      type: str
    object:
      description: Kind, namespace and name.
      type: str
    field:
      description: Where in the object.
      type: str
    found:
      description: What is there.
      type: str
    fix:
      description: What to do.
      type: str
    text:
      description: All of it in one line.
      type: str
    digest:
      description: Of RV(findings[].text), so that what was shown already can be told apart where little may be kept.
      type: str
errors:
  description: Those of RV(findings) that ought to stop a migration.
  returned: success
  type: list
  elements: dict
  contains: *finding
waived:
  description: Findings that O(waive) accepts.
  returned: success
  type: list
  elements: dict
  contains: *finding
unused_waivers:
  description: Entries of O(waive) that no finding needs.
  returned: success
  type: list
  elements: str
examined:
  description: The codes that were looked for.
  returned: success
  type: list
  elements: str
"""

import dataclasses
import hashlib

from ansible_collections.bluegreen.mesh.plugins.module_utils import (
    _inventory,
    _module,
    _policies,
    binding_policies,
    findings,
)


def check_waivers(waive):
    unknown = sorted({entry for entry in waive if entry.partition(":")[0] not in findings.CODES})
    if unknown:
        raise _module.Refusal(
            "bad_option",
            f"waive: no finding is called {', '.join(unknown)}. There are: {', '.join(sorted(findings.CODES))}.",
        )


def check_binding(binding):
    if binding and binding not in binding_policies.NAMES:
        raise _module.Refusal(
            "bad_option", f"binding: {binding!r} is none of {', '.join(binding_policies.NAMES)}."
        )


def shown(finding):
    plain = dataclasses.asdict(finding)
    where = f" {finding.field}" if finding.field else ""
    text = f"{finding.severity} {finding.code}: {finding.object}{where}: {finding.found}. {finding.fix}"
    return {**plain, "text": text, "digest": hashlib.sha256(text.encode()).hexdigest()[:10]}


def operation(module, cluster):
    params = module.params
    check_waivers(params["waive"])
    check_binding(params["binding"])
    pairs, workloads = _inventory.parse(params["pairs"], params["workloads"])
    inventory = _inventory.Inventory(
        pairs, workloads, root_namespace=params["root_namespace"], certificates=params["certificates"],
        balancer=params["balancer"], binding=params["binding"],
    )  # fmt: skip
    unwanted = () if params["binding"] else _inventory.SOURCES
    _inventory.read(cluster, inventory, only={kind.name for kind in _inventory.KINDS}.difference(unwanted))
    if params["policies"] == "copy":
        _policies.foresee(inventory, params["waive"])
    standing, waived, unused = findings.examine(inventory, params["waive"])
    return {
        "changed": False,
        "findings": [shown(finding) for finding in standing],
        "errors": [shown(finding) for finding in standing if finding.severity == _inventory.ERROR],
        "waived": [shown(finding) for finding in waived],
        "unused_waivers": unused,
        "examined": sorted(findings.CODES),
    }


def main():
    blue = {"namespace": {"type": "str", "required": True}, "service": {"type": "str", "required": True}}
    green = {
        "namespace": {"type": "str", "required": True},
        "release": {"type": "str", "required": True},
        "labels": {"type": "dict", "required": True},
        "node_ports": {"type": "dict", "default": {}},
        "chart_values": {"type": "dict", "default": {}},
    }
    workload = {
        "name": {"type": "str", "required": True},
        "method": {"type": "str", "default": "helm"},
        "blue": {"type": "dict", "required": True, "options": blue},
        "green": {"type": "dict", "required": True, "options": green},
    }
    _module.run(
        operation,
        {
            "pairs": {"type": "list", "elements": "dict", "required": True, "options": _inventory.PAIR},
            "workloads": {"type": "list", "elements": "dict", "required": True, "options": workload},
            "balancer": {"type": "str", "default": ""},
            "binding": {"type": "str", "default": ""},
            "certificates": {"type": "str", "choices": ["copy", "certificate", "require"], "default": "copy"},
            "policies": {"type": "str", "choices": ["copy", "require"], "default": "require"},
            "root_namespace": {"type": "str", "default": "istio-system"},
            "waive": {"type": "list", "elements": "str", "default": []},
        },
    )


if __name__ == "__main__":
    main()
