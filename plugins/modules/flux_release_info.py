#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: flux_release_info
short_description: Wait until every HelmRelease of a namespace is Ready
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Waits until each HelmRelease of Flux in a namespace is Ready for its current generation, and all of O(required) are
    there. Changes nothing.
  - One that is suspended is not waited for, and is named.
  - Fails after O(deadline) with the names of those that are not ready, and why.
options:
  namespace:
    description: The namespace.
    type: str
    required: true
  required:
    description: Names of HelmReleases that must exist.
    type: list
    elements: str
    default: []
  deadline:
    description: Seconds to wait. V(0) looks once.
    type: int
    default: 0
  settle:
    description:
      - Seconds for which they have to stay Ready. An umbrella release changes its children some time after it has been
        changed itself, and until then all look as if nothing was to be done.
    type: int
    default: 10
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.cluster.info
notes:
  - Needs C(list) on C(helmreleases.helm.toolkit.fluxcd.io) in the namespace.
seealso:
  - module: bluegreen.mesh.bigbang_values
"""

EXAMPLES = r"""
- name: Wait for Big Bang
  bluegreen.mesh.flux_release_info:
    kubeconfig: ~/.kube/config
    context: production
    namespace: bigbang
    required: [public-ingressgateway]
    deadline: 3600
"""

RETURN = r"""
ready:
  description: Names of the HelmReleases that are Ready.
  returned: success
  type: list
  elements: str
suspended:
  description: Names of those that are suspended.
  returned: success
  type: list
  elements: str
failure:
  description: What went wrong, for programs.
  returned: failure
  type: dict
  contains:
    code:
      description: V(not_ready), for example.
      type: str
    releases:
      description: Why each is not ready, by name.
      type: dict
"""

import time

from ansible_collections.bluegreen.mesh.plugins.module_utils import _bigbang, _module

POLL_SECONDS = 2.0


def look(cluster, namespace, required):
    """(ready, suspended, why not by name)"""
    releases = {release["metadata"]["name"]: release for release in _bigbang.helm_releases(cluster, namespace)}
    reasons = {name: _bigbang.not_ready(release) for name, release in releases.items()}
    why = {name: reason for name, reason in reasons.items() if reason}
    why.update({name: "does not exist" for name in required if name not in releases})
    if not releases:
        why["*"] = "there is no HelmRelease at all"
    suspended = [name for name in releases if _bigbang.suspended(releases[name]) and name not in why]
    return [name for name in releases if name not in why and name not in suspended], suspended, why


def operation(module, cluster):
    params = module.params
    namespace = params["namespace"]
    until = time.monotonic() + params["deadline"]
    settled = None
    while True:
        ready, suspended, why = look(cluster, namespace, params["required"])
        now = time.monotonic()
        settled = None if why else settled or now
        if settled is not None and (params["deadline"] == 0 or now - settled >= params["settle"]):
            return {"changed": False, "ready": ready, "suspended": suspended}
        if why and now >= until:
            told = "; ".join(f"{namespace}/{name} {reason}" for name, reason in sorted(why.items()))
            raise _module.Refusal(
                "not_ready",
                f"HelmReleases are not Ready after {params['deadline']} s: {told}. Look at these"
                " (kubectl describe helmrelease), then run this again.",
                releases=why,
            )
        time.sleep(POLL_SECONDS)


def main():
    _module.run(
        operation,
        {
            "namespace": {"type": "str", "required": True},
            "required": {"type": "list", "elements": "str", "default": []},
            "deadline": {"type": "int", "default": 0},
            "settle": {"type": "int", "default": 10},
        },
    )


if __name__ == "__main__":
    main()
