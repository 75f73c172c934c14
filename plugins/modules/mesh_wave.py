#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mesh_wave
short_description: Take a wave of namespaces or workloads from Istio's mesh to Linkerd's, or back
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Turns off Istio's injection and turns on Linkerd's, in one patch of each namespace, and then has the workloads make
    their pods anew, so many at once as O(parallel) says. Each is followed until its new pods are ready and all of them
    have the proxy of the mesh that they are to be in, and none the other.
  - A workload that does not get there in time stops the wave. What has been done stays, and is told; O(state=istio)
    takes the wave back.
  - With O(limit), stops after so many workloads, so that traffic can be looked at in between. Run it again to go on.
  - Findings of M(bluegreen.mesh.mesh_swap_info) that are errors stop it before anything is written.
options:
  state:
    description: In which mesh the wave is to be. V(istio) gives back what this module had found.
    type: str
    choices: [linkerd, istio]
    default: linkerd
  name:
    description: The wave's name. A workload that is in a wave already is not restarted for another name.
    type: str
    required: true
  workloads:
    description:
      - Only these, as C(KIND NAMESPACE/NAME). Their namespaces stay as they are, and they say themselves which mesh is
        theirs. Empty, whole namespaces are swapped.
    type: list
    elements: str
    default: []
  parallel:
    description: How many workloads roll out at once.
    type: int
    default: 1
  pause:
    description:
      - Seconds between one batch and the next. At their end the pods of the batch before are looked at once more, and
        the next one is not begun while they are not as they were.
    type: int
    default: 0
  limit:
    description: How many workloads to do in this run at most. V(0) does all.
    type: int
    default: 0
  timeout:
    description: Seconds until a workload must have rolled out.
    type: int
    default: 600
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.swap
  - bluegreen.mesh.cluster.journal
  - bluegreen.mesh.cluster.attributes
notes:
  - Needs what M(bluegreen.mesh.mesh_swap_info) needs, and C(get) and C(patch) on C(namespaces), C(deployments),
    C(statefulsets) and C(daemonsets).
  - Jobs and CronJobs get the new proxy with their next pods.
  - What was there is noted on the namespace and on the workload, in the annotation C(bluegreen.mesh/istio-was).
seealso:
  - module: bluegreen.mesh.mesh_swap_info
  - module: bluegreen.mesh.traffic_gate_info
"""

EXAMPLES = r"""
- name: Take the first wave over, four workloads, then look
  bluegreen.mesh.mesh_wave:
    kubeconfig: ~/.kube/config
    context: production
    name: wave-1
    namespaces: [shop]
    parallel: 2
    limit: 4
    journal:
      namespace: bluegreen-mesh
      name: to-linkerd
      epoch: "{{ journal.epoch }}"
      phase: cutover
  register: wave

- name: Take it back
  bluegreen.mesh.mesh_wave:
    kubeconfig: ~/.kube/config
    context: production
    name: wave-1
    namespaces: [shop]
    state: istio
"""

RETURN = r"""
objects:
  description: C(object) and C(state) of each that is written or is so already.
  returned: success
  type: list
  elements: dict
done:
  description: Workloads whose pods are all in the wanted mesh.
  returned: success
  type: list
  elements: str
remaining:
  description: Workloads of this wave that are still to come.
  returned: success
  type: list
  elements: str
failure:
  description: What went wrong, C(code) for machines; with C(code=not_arrived), C(done), C(stuck) and C(remaining).
  returned: failure
  type: dict
"""

from ansible_collections.bluegreen.mesh.plugins.module_utils import _mesh_wave, _module, _swap_options


def main():
    _module.run(
        _mesh_wave.operate,
        {
            **_swap_options.SPEC,
            "state": {"type": "str", "choices": ["linkerd", "istio"], "default": "linkerd"},
            "name": {"type": "str", "required": True},
            "workloads": {"type": "list", "elements": "str", "default": []},
            "parallel": {"type": "int", "default": 1},
            "pause": {"type": "int", "default": 0},
            "limit": {"type": "int", "default": 0},
            "timeout": {"type": "int", "default": 600},
        },
        journal=True,
    )


if __name__ == "__main__":
    main()
