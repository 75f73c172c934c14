#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: linkerd_values_info
short_description: Values for Linkerd's charts, and whether the cluster's Gateway API fits them
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Returns the values of C(linkerd-crds) and C(linkerd-control-plane), with which certificates come from
    M(bluegreen.mesh.linkerd_certificates), so that there is no key in them.
  - Looks at the CRDs of the Gateway API. Where nobody has installed them, the chart is told to; where somebody has, it
    is told not to, and what does not fit Linkerd is a finding.
  - Changes nothing, and does not fail because of findings.
options:
  version:
    description: The charts' version, which is pinned. Linkerd's open builds are edge releases.
    type: str
    required: true
  release:
    description: Name of the Helm release of C(linkerd-crds).
    type: str
    default: linkerd-crds
  trust_domain:
    description: The trust domain of all identities.
    type: str
    default: cluster.local
  cluster_networks:
    description: Networks of pods and Services. If not given, the chart's default, which is all private ones.
    type: list
    elements: str
    default: []
  high_availability:
    description: Three of each, spread over nodes, and pods that are not made while the injector is down.
    type: bool
    default: true
  default_inbound_policy:
    description: Who may call a port that no Server names. While callers come from both meshes, everyone.
    type: str
    choices: [all-unauthenticated, all-authenticated, cluster-unauthenticated, cluster-authenticated, deny]
    default: all-unauthenticated
  values:
    description: More values of the control plane's chart, which come last.
    type: dict
    default: {}
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.cluster.info
notes:
  - Needs C(list) on C(customresourcedefinitions).
seealso:
  - module: bluegreen.mesh.linkerd_certificates
"""

EXAMPLES = r"""
- name: Get the values
  bluegreen.mesh.linkerd_values_info:
    kubeconfig: ~/.kube/config
    context: production
    version: 2026.3.2
  register: linkerd

- name: Install the CRDs
  kubernetes.core.helm:
    kubeconfig: ~/.kube/config
    context: production
    name: linkerd-crds
    namespace: linkerd
    create_namespace: true
    chart_ref: linkerd-edge/linkerd-crds
    chart_version: 2026.3.2
    values: "{{ linkerd.values['linkerd-crds'] }}"
"""

RETURN = r"""
values:
  description: By chart.
  returned: success
  type: dict
findings:
  description: What does not fit, errors first.
  returned: success
  type: list
  elements: dict
errors:
  description: Those of RV(findings) that stop the installation.
  returned: success
  type: list
  elements: dict
"""

from ansible_collections.bluegreen.mesh.plugins.module_utils import _ingress_options, _inventory, _linkerd, _module
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import path_of


def operation(module, cluster):
    params = module.params
    crds = cluster.list(path_of("apiextensions.k8s.io/v1", "customresourcedefinitions"))
    install, findings = _linkerd.gateway_api(crds, params["release"])
    shown = [
        _ingress_options.shown(f)
        for f in sorted([*_linkerd.pinned(params["version"]), *findings], key=lambda f: (f.severity, f.object))
    ]
    return {
        "changed": False,
        "values": _linkerd.values(
            params["trust_domain"], params["cluster_networks"], params["high_availability"], params["default_inbound_policy"],
            install, params["values"],
        ),
        "findings": shown,
        "errors": [one for one in shown if one["severity"] == _inventory.ERROR],
    }  # fmt: skip


def main():
    policies = ["all-unauthenticated", "all-authenticated", "cluster-unauthenticated", "cluster-authenticated", "deny"]
    _module.run(
        operation,
        {
            "version": {"type": "str", "required": True},
            "release": {"type": "str", "default": "linkerd-crds"},
            "trust_domain": {"type": "str", "default": "cluster.local"},
            "cluster_networks": {"type": "list", "elements": "str", "default": []},
            "high_availability": {"type": "bool", "default": True},
            "default_inbound_policy": {"type": "str", "choices": policies, "default": "all-unauthenticated"},
            "values": {"type": "dict", "default": {}},
        },
    )


if __name__ == "__main__":
    main()
