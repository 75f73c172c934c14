#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mesh_swap_info
short_description: What goes wrong or is lost when namespaces leave Istio's mesh for Linkerd's, and their waves
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Looks at the namespaces' workloads, and at all of Istio's configuration that holds for them, and reports what would
    break or be lost, each with its object and what to do. Changes nothing, and does not fail because of findings.
  - Every code is described in C(docs/mesh_swap.md).
options:
  wave_size:
    description: How many namespaces a wave has at most. Those that policies tie to each other come together, however
      many.
    type: int
    default: 5
  identities:
    description:
      - For policies, a principal of Istio's and the service account that takes its place, as C(NAMESPACE/NAME), such as
        the old gateway's and the new controller's.
    type: dict
    default: {}
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.swap
  - bluegreen.mesh.cluster.info
notes:
  - Needs C(list) in all namespaces on C(namespaces), C(pods), C(services), C(deployments), C(statefulsets),
    C(daemonsets), C(cronjobs) and on the C(networking), C(security) and C(extensions) kinds of C(istio.io), and C(get)
    and C(list) on the ConfigMaps where O(mesh_config) is.
seealso:
  - module: bluegreen.mesh.mesh_mtls
  - module: bluegreen.mesh.mesh_wave
  - module: bluegreen.mesh.linkerd_policies
"""

EXAMPLES = r"""
- name: See what stands in the way
  bluegreen.mesh.mesh_swap_info:
    kubeconfig: ~/.kube/config
    context: production
    namespaces: [shop, pay]
  register: looked
"""

RETURN = r"""
findings:
  description: Everything found that is not waived, errors first. Each has C(code), C(severity), C(object), C(field),
    C(found), C(fix) and C(text).
  returned: success
  type: list
  elements: dict
errors:
  description: Those of RV(findings) that stop a wave.
  returned: success
  type: list
  elements: dict
waves:
  description: The namespaces in waves.
  returned: success
  type: list
  elements: list
workloads:
  description: Of each workload that is to be swapped, how many of its pods have which proxy.
  returned: success
  type: dict
  sample: {"Deployment shop/web": {"istio": 2, "linkerd": 0, "both": 0, "none": 0}}
policies:
  description: What M(bluegreen.mesh.linkerd_policies) would write, as objects.
  returned: success
  type: list
  elements: dict
"""

from ansible_collections.bluegreen.mesh.plugins.module_utils import (
    _ingress_options, _inventory, _linkerd_policy, _mesh_swap, _module, _swap_options, swap_findings,
)  # fmt: skip
from ansible_collections.bluegreen.mesh.plugins.module_utils.swap_findings import swap_principals


def operation(module, cluster):
    params = module.params
    mesh = _swap_options.read(cluster, params)
    unknown = sorted({w for w in params["waive"] if w.partition(":")[0] not in swap_findings.CODES})
    if unknown:
        raise _module.Refusal("bad_option", f"waive: no finding is called {', '.join(unknown)}.")
    standing = [f for f in swap_findings.examine(mesh) if not f.waived_by(params["waive"])]
    standing.sort(key=lambda f: (f.severity, f.code, f.object, f.field))
    shown = [_ingress_options.shown(finding) for finding in standing]
    return {
        "changed": False,
        "findings": shown,
        "errors": [one for one in shown if one["severity"] == _inventory.ERROR],
        "waves": _mesh_swap.waves(mesh, max(1, params["wave_size"]), swap_principals.tied(mesh)),
        "workloads": {
            _mesh_swap.title(w): _mesh_swap.state_of(mesh.pods_of(w)) for w in mesh.workloads() if _mesh_swap.concerned(mesh, w)
        },
        "policies": _linkerd_policy.convert(mesh, params["identities"]).objects,
    }  # fmt: skip


def main():
    spec = {"wave_size": {"type": "int", "default": 5}, "identities": {"type": "dict", "default": {}}}
    _module.run(operation, {**_swap_options.SPEC, **spec})


if __name__ == "__main__":
    main()
