#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: linkerd_policies
short_description: Write Linkerd's policies that allow what Istio's AuthorizationPolicies do
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Writes a Server for each port of each workload that an AuthorizationPolicy with C(ALLOW) selects, and
    AuthorizationPolicies, HTTPRoutes, MeshTLSAuthentications and NetworkAuthentications of Linkerd's that allow the
    same.
  - What they can't say with the same meaning is refused, before anything is written, unless the finding is waived. That
    is so for C(DENY) and C(CUSTOM), for tokens, for exceptions (C(notPrincipals) and the like), for hosts and headers,
    and for patterns of more than one namespace. Nothing is ever written that allows more.
  - They mean something to pods with Linkerd's proxy only, so they are written before the wave, when they do nothing
    yet.
  - What a former run has written and is no longer wanted is removed.
options:
  state:
    description: V(absent) removes what this module has written in O(namespaces).
    type: str
    choices: [present, absent]
    default: present
  identities:
    description: A principal of Istio's and the service account that takes its place, as C(NAMESPACE/NAME).
    type: dict
    default: {}
  strict:
    description:
      - Leave out what admits O(pod_networks) alone, which M(bluegreen.mesh.mesh_mtls) has added for the swap. Set it
        once all callers are in Linkerd's mesh.
    type: bool
    default: false
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.swap
  - bluegreen.mesh.cluster.journal
  - bluegreen.mesh.cluster.attributes
notes:
  - Needs what M(bluegreen.mesh.mesh_swap_info) needs, and C(get), C(list), C(create), C(patch) and C(delete) on
    C(servers), C(httproutes), C(authorizationpolicies), C(meshtlsauthentications) and C(networkauthentications) of
    C(policy.linkerd.io).
  - A Server that nothing allows refuses everyone. A port that no Server names is open, unless the pod's
    C(config.linkerd.io/default-inbound-policy) says otherwise.
seealso:
  - module: bluegreen.mesh.mesh_swap_info
  - module: bluegreen.mesh.mesh_wave
"""

EXAMPLES = r"""
- name: Have the policies there before the pods
  bluegreen.mesh.linkerd_policies:
    kubeconfig: ~/.kube/config
    context: production
    namespaces: [shop, pay]
    identities:
      cluster.local/ns/istio-system/sa/istio-ingressgateway: ingress/traefik
"""

RETURN = r"""
objects:
  description: C(object) and C(state) of each.
  returned: success
  type: list
  elements: dict
sources:
  description: By object, the AuthorizationPolicy of Istio's that it comes from.
  returned: success
  type: dict
failure:
  description: What went wrong, C(code) for machines; with C(code=findings), all C(findings).
  returned: failure
  type: dict
"""

import copy

from ansible_collections.bluegreen.mesh.plugins.module_utils import (
    _edits, _ingress_options, _linkerd_policy, _module, _swap_options, swap_findings,
)  # fmt: skip
from ansible_collections.bluegreen.mesh.plugins.module_utils._journal import Journal

PART = "policy"
KINDS = tuple(
    (_linkerd_policy.ROUTE_API if plural in ("httproutes", "servers") else _linkerd_policy.API, plural)
    for plural in ("networkauthentications", "meshtlsauthentications", "httproutes", "authorizationpolicies", "servers")
)
CHECKED = ("swap_deny_rule", "swap_jwt_lost", "swap_policy_not_said")


def plan(cluster, params, seen):
    if params["state"] == "absent":
        return _swap_options.writes(cluster, [], KINDS, params["namespaces"], PART)
    mesh = _swap_options.read(cluster, params)
    if params["strict"]:
        tighten(mesh, params["pod_networks"])
    findings = [f for check in swap_findings.CHECKS if check.CODE in CHECKED for f in check.check(mesh)]
    _ingress_options.gate(findings, params["waive"], swap_findings.CODES)
    done = _linkerd_policy.convert(mesh, params["identities"])
    seen["sources"] = done.from_
    return _swap_options.writes(cluster, done.objects, KINDS, params["namespaces"], PART)


def tighten(mesh, networks):
    """Takes out of the policies what was added for the swap."""
    policies = copy.deepcopy(mesh["authorizationpolicies"])
    for policy in policies:
        for rule in (policy.get("spec") or {}).get("rules") or ():
            kept = [e for e in (rule or {}).get("from") or () if e != {"source": {"ipBlocks": networks}}]
            if kept:  # an empty list would be everyone
                rule["from"] = kept
    mesh.objects["authorizationpolicies"] = policies


def operation(module, cluster):
    journal = Journal.load(cluster, module.params["journal"])
    seen = {"sources": {}}
    result = _edits.carry_out(module, cluster, journal, lambda: plan(cluster, module.params, seen))
    return {**result, **seen}


def main():
    _module.run(
        operation,
        {
            **_swap_options.SPEC,
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "identities": {"type": "dict", "default": {}},
            "strict": {"type": "bool", "default": False},
        },
        journal=True,
    )


if __name__ == "__main__":
    main()
