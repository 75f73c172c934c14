#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: replicas_pin
short_description: Keep a gateway as large as it is, until it may shrink again
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Raises the minimum of the autoscaler of the Deployment behind a Service to the number of pods that are there now, so
    that an idle gateway is not scaled in while it may still be needed. The former bounds are noted on the autoscaler.
  - Where there is no autoscaler, the Deployment's own number is raised to O(minimum) if it is lower.
  - Numbers are only ever raised; pinning again after the load has grown raises them further.
  - Who applies these numbers by server-side apply keeps owning them, so that its next apply meets no conflict, and puts its
    own numbers back.
options:
  state:
    description:
      - V(pinned) raises, V(released) gives autoscalers the bounds back that they had before the first pinning.
        An autoscaler that somebody else has changed since keeps what they chose.
      - V(restored) writes what O(restore) says. The journal uses it.
    type: str
    choices: [pinned, released, restored]
    default: pinned
  service:
    description: The gateway's Service, as C(NAMESPACE/NAME). Required unless O(state=restored).
    type: str
  minimum:
    description: How many pods there must be. If not given, as many as the Deployment has or asks for now.
    type: int
  timeout:
    description: Seconds to wait until that many are ready. V(0) does not wait.
    type: int
    default: 0
  restore:
    description: Objects with C(api_version), C(kind), C(namespace), C(name), their former C(spec) fields and C(mark).
    type: list
    elements: dict
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.cluster.journal
  - bluegreen.mesh.cluster.attributes
notes:
  - Needs C(get) on C(services), C(get), C(list) and C(patch) on C(deployments) and C(horizontalpodautoscalers) in the
    gateway's namespace.
seealso:
  - module: bluegreen.mesh.mesh_findings_info
"""

EXAMPLES = r"""
- name: Keep blue as it is
  bluegreen.mesh.replicas_pin:
    kubeconfig: ~/.kube/config
    context: production
    service: istio-system/public-ingressgateway

- name: Make green as large
  bluegreen.mesh.replicas_pin:
    kubeconfig: ~/.kube/config
    context: production
    service: istio-gateway/public-ingressgateway
    minimum: 5
    timeout: 300
"""

RETURN = r"""
minimum:
  description: How many pods there must be.
  returned: unless O(state=restored)
  type: int
ready:
  description: How many are ready.
  returned: unless O(state=restored)
  type: int
autoscalers:
  description: The autoscalers, as C(NAMESPACE/NAME).
  returned: unless O(state=restored)
  type: list
  elements: str
"""

from ansible_collections.bluegreen.mesh.plugins.module_utils import _module, _replicas

SPEC = {
    "state": {"type": "str", "choices": ["pinned", "released", "restored"], "default": "pinned"},
    "service": {"type": "str"},
    "minimum": {"type": "int"},
    "timeout": {"type": "int", "default": 0},
    "restore": {"type": "list", "elements": "dict"},
}


def main() -> None:
    needed = [("state", "pinned", ["service"]), ("state", "released", ["service"]), ("state", "restored", ["restore"])]
    _module.run(_replicas.operate, SPEC, journal=True, required_if=needed)


if __name__ == "__main__":
    main()
