#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: istio_removal_info
short_description: What there is of Istio, in which order it can go, and who still needs it
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Finds everything of Istio's in the cluster, puts it in the order in which it is removed, and says who still needs
    it. Changes nothing. A pod that still has Istio's proxy, a namespace where its injection is on, an interim Ingress
    and a Gateway that istiod runs are errors.
  - Its RV(stages) are what M(bluegreen.mesh.resource_archive) takes as
    O(bluegreen.mesh.resource_archive#module:resources) and O(bluegreen.mesh.resource_archive#module:releases). CRDs are
    the last stage, and there on request only.
options:
  root_namespace:
    description: Istio's namespace.
    type: str
    default: istio-system
  gateways:
    description: The gateways' pods, which go too. Others with Istio's proxy are in the way.
    type: list
    elements: dict
    default: []
    suboptions:
      namespace:
        description: Their namespace.
        type: str
        required: true
      labels:
        description: Their labels.
        type: dict
        required: true
  configuration:
    description: Also remove what is configured in Istio's kinds (VirtualServices and so on).
    type: bool
    default: false
  crds:
    description: Also remove Istio's CRDs, and with them all objects of these kinds in the whole cluster.
    type: bool
    default: false
  remove:
    description:
      - The stages that are to go, where that is known. A Helm release that they would tear apart is an error.
    type: list
    elements: str
    choices: [gateways, webhooks, control_plane, access, configuration, crds]
    default: []
  waive:
    description: Findings that are known and accepted, as C(CODE), or as C(CODE:NAMESPACE/NAME) for one object.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.cluster.info
notes:
  - Needs C(list) in the whole cluster on what it looks at, which C(docs/rbac/istio_removal.yml) lists. Of Secrets only
    those that are called C(cacerts) and C(istio-ca-secret) are asked for.
  - Whether the old gateway is idle is for M(bluegreen.mesh.traffic_idle_info) to say.
seealso:
  - module: bluegreen.mesh.resource_archive
  - module: bluegreen.mesh.traffic_idle_info
"""

EXAMPLES = r"""
- name: See whether Istio can go
  bluegreen.mesh.istio_removal_info:
    kubeconfig: ~/.kube/config
    context: production
    gateways:
      - namespace: istio-system
        labels: {istio: ingressgateway}
  register: removal

- name: Stop while somebody needs it
  ansible.builtin.assert:
    that: removal.errors == []
    fail_msg: "{{ removal.errors | map(attribute='text') | join('\n') }}"

- name: Remove the gateways, and wait until their load balancers are released
  bluegreen.mesh.resource_archive:
    kubeconfig: ~/.kube/config
    context: production
    state: removed
    key: istio gateways
    resources: "{{ removal.stages[0].resources }}"
    journal: {namespace: bluegreen-mesh, name: to-linkerd, epoch: 7, phase: cleanup}
"""

RETURN = r"""
stages:
  description:
    - In the order of removal, C(stage), C(resources) and C(releases). What a Helm release has made goes with its
      release, by C(helm uninstall), in the stage of its pods. Its webhooks alone are in C(resources), too, so that they
      can go before.
  returned: success
  type: list
  elements: dict
findings:
  description: Everything found that is not waived, errors first.
  returned: success
  type: list
  elements: dict
errors:
  description: Those of RV(findings) that are in the way.
  returned: success
  type: list
  elements: dict
balancers:
  description: The load balancers that are released with the gateways, by Service, with their addresses.
  returned: success
  type: dict
kept:
  description: What stays, with why.
  returned: success
  type: dict
"""

from ansible_collections.bluegreen.mesh.plugins.module_utils import (
    _ingress_options, _inventory, _istio_removal, _module,
)  # fmt: skip
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import path_of

LISTED = {
    "services": "v1", "pods": "v1", "namespaces": "v1", "configmaps": "v1", "serviceaccounts": "v1", "deployments": "apps/v1",
    "daemonsets": "apps/v1", "horizontalpodautoscalers": "autoscaling/v2", "poddisruptionbudgets": "policy/v1",
    "mutatingwebhookconfigurations": "admissionregistration.k8s.io/v1",
    "validatingwebhookconfigurations": "admissionregistration.k8s.io/v1",
    "customresourcedefinitions": "apiextensions.k8s.io/v1", "ingresses": "networking.k8s.io/v1",
    "ingressclasses": "networking.k8s.io/v1", "roles": "rbac.authorization.k8s.io/v1",
    "rolebindings": "rbac.authorization.k8s.io/v1", "clusterroles": "rbac.authorization.k8s.io/v1",
    "clusterrolebindings": "rbac.authorization.k8s.io/v1", "gateways": "gateway.networking.k8s.io/v1",
    "istiooperators": "install.istio.io/v1alpha1",
}  # fmt: skip


def look(cluster, params):
    root = params["root_namespace"]
    within = {"configmaps": root}
    answers = cluster.parallel(
        lambda entry: _ingress_options.listed(cluster, (entry[1],), entry[0], within.get(entry[0])), list(LISTED.items())
    )
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    objects = dict(zip(LISTED, answers))
    names = [path_of("v1", "secrets", root, name) for name in ("cacerts", "istio-ca-secret")]
    found = [body for body in (cluster.find(path) for path in names) if body]
    objects["secrets"] = [{"kind": "Secret", "metadata": body["metadata"]} for body in found]
    gateways = [(one["namespace"], {k: str(v) for k, v in one["labels"].items()}) for one in params["gateways"]]
    return _istio_removal.Cluster(objects, root, gateways, configured(cluster, objects["customresourcedefinitions"]))


def configured(cluster, crds):
    """Every object of Istio's own kinds, but operators'."""
    found = []
    for crd in crds:
        spec = crd.get("spec") or {}
        served = [v["name"] for v in spec.get("versions") or () if v.get("served")]
        if spec.get("group", "").endswith(_istio_removal.CRD_GROUPS) and spec["group"] != "install.istio.io" and served:
            found += _ingress_options.listed(cluster, (f"{spec['group']}/{served[-1]}",), spec["names"]["plural"])
    return found


def operation(module, cluster):
    params = module.params
    for number, one in enumerate(params["gateways"]):
        if not one["labels"]:
            raise _module.Refusal("bad_option", f"gateways[{number}].labels: without labels it would be every pod.")
    unknown = sorted({w for w in params["waive"] if w.partition(":")[0] not in _istio_removal.CODES})
    if unknown:
        raise _module.Refusal("bad_option", f"waive: no finding is called {', '.join(unknown)}.")
    done = _istio_removal.plan(look(cluster, params), params["crds"], params["configuration"], params["remove"])
    standing = sorted(
        {f for f in done.findings if not f.waived_by(params["waive"])}, key=lambda f: (f.severity, f.code, f.object)
    )
    shown = [_ingress_options.shown(finding) for finding in standing]
    return {
        "changed": False, "findings": shown, "balancers": done.balancers, "kept": done.kept,
        "errors": [one for one in shown if one["severity"] == _inventory.ERROR],
        "stages": [{"stage": name, **part} for name, part in done.stages.items()],
    }  # fmt: skip


def main():
    gateway = {"namespace": {"type": "str", "required": True}, "labels": {"type": "dict", "required": True}}
    _module.run(
        operation,
        {
            "root_namespace": {"type": "str", "default": "istio-system"},
            "gateways": {"type": "list", "elements": "dict", "default": [], "options": gateway},
            "configuration": {"type": "bool", "default": False},
            "crds": {"type": "bool", "default": False},
            "remove": {"type": "list", "elements": "str", "default": [], "choices": list(_istio_removal.STAGES)},
            "waive": {"type": "list", "elements": "str", "default": []},
        },
    )


if __name__ == "__main__":
    main()
