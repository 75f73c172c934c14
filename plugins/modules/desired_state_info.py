#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: desired_state_info
short_description: What the sources of VirtualServices will make of their gateways
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Finds out for every VirtualService that names a Gateway of a pair where it comes from, and which gateways that
    source wants there, as far as the cluster tells. Changes nothing.
  - Known are Argo CD Applications, Flux Kustomizations and HelmReleases, Helm releases, owning controllers, server-side
    apply, and C(kubectl apply). Each is described in C(docs/sources.md).
  - A VirtualService that comes from nowhere has no source, and is not listed. Nobody will put it back.
  - Does not fail because of what it finds. RV(blocking) is what ought to stop an unbinding.
options:
  pairs:
    description: The Gateways that stand for each other.
    required: true
  waived:
    description:
      - What is known and accepted although its source does not name green, or may not. A VirtualService as
        C(NAMESPACE/NAME), or a source as RV(sources[].source) has it.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.pairs
  - bluegreen.mesh.cluster.info
notes:
  - Needs C(list) in all namespaces on VirtualServices; and where such sources are found, on Secrets and ConfigMaps (the
    records of Helm releases), on C(applications.argoproj.io), on C(kustomizations.kustomize.toolkit.fluxcd.io) and
    C(helmreleases.helm.toolkit.fluxcd.io), and on the kinds of owners. What may not be listed is unknown.
  - Of values and manifests only references to gateways are returned.
seealso:
  - module: bluegreen.mesh.override_files
  - module: bluegreen.mesh.virtual_service_gateways
"""

EXAMPLES = r"""
- name: Ask what every source wants
  bluegreen.mesh.desired_state_info:
    kubeconfig: ~/.kube/config
    context: production
    pairs:
      - blue: istio-system/public
        green: istio-gateway/public-ingressgateway
    waived:
      - team-a/legacy
      - flux_kustomize:flux-system/apps
  register: desired

- name: Stop where blue would come back
  ansible.builtin.assert:
    that: desired.blocking == []
    fail_msg: "{{ desired.blocking | map(attribute='text') | join('\n') }}"
"""

RETURN = r"""
sources:
  description: Every source of every VirtualService that names a Gateway of a pair.
  returned: success
  type: list
  elements: dict
  contains: &judgement
    virtual_service:
      description: C(NAMESPACE/NAME).
      type: str
    source:
      description: The source, as O(waived) names it.
      type: str
      sample: helm:team-a/shop
    title:
      description: The source in words.
      type: str
    names:
      description: The gateways that it wants, as written there. Null where that is unknown.
      type: list
      elements: str
    told_by:
      description: Where that was read, or why it is unknown.
      type: str
    green:
      description: Whether it keeps the VirtualService on green. Null where that is unknown.
      type: bool
    puts_back:
      description: Why it would undo a patch by itself. Empty where it acts only when somebody makes it.
      type: str
    fights_policy:
      description: Why it can't live with an admission policy that adds a gateway to what it applies. Empty where it can.
      type: str
    overrides:
      description: Paths of those of RV(overrides) that make it green.
      type: list
      elements: str
    text:
      description: All of it in one line.
      type: str
blocking:
  description: Those of RV(sources) that do not keep it on green, or may not, and are not waived.
  returned: success
  type: list
  elements: dict
  contains: *judgement
waived:
  description: Those that O(waived) accepts.
  returned: success
  type: list
  elements: dict
  contains: *judgement
unused_waivers:
  description: Entries of O(waived) that were not needed.
  returned: success
  type: list
  elements: str
contested:
  description: Those of RV(sources) that would undo a patch by themselves.
  returned: success
  type: list
  elements: dict
  contains: *judgement
fights:
  description: Those of RV(sources) that can't live with an admission policy.
  returned: success
  type: list
  elements: dict
  contains: *judgement
without_source:
  description: How many VirtualServices name a Gateway of a pair and have no source.
  returned: success
  type: int
overrides:
  description: Files that make green what is not, for M(bluegreen.mesh.override_files).
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: Path in the folder of overrides.
      type: str
    content:
      description: Text of the file.
      type: str
    virtual_services:
      description: What it makes green.
      type: list
      elements: str
"""

from ansible_collections.bluegreen.mesh.plugins.module_utils import _binding, _desired, _module


def operation(module, cluster):
    pairs = _binding.pairs_of(module.params["pairs"])
    _desired.check_waivers(module.params["waived"])
    _api, bodies = _binding.read_all(cluster)
    evidence = _desired.ClusterEvidence(cluster)
    judgements = _desired.judge(bodies, pairs, evidence)
    files = _desired.overrides(judgements, pairs, evidence)
    standing, waived, unused = _desired.gate(judgements, module.params["waived"])
    paths = {}
    for file in files:
        for key in file.virtual_services:
            paths.setdefault(key, []).append(file.path)

    def shown(which):
        return [
            {**j.as_dict(), "text": j.explain(), "overrides": paths.get(j.key, []) if not j.green else []}
            for j in which
        ]

    with_source = {judgement.key for judgement in judgements}
    return {
        "changed": False,
        "sources": shown(judgements),
        "blocking": shown(standing),
        "waived": shown(waived),
        "unused_waivers": unused,
        "contested": shown(j for j in judgements if j.puts_back),
        "fights": shown(j for j in judgements if j.fights),
        "without_source": len(_desired.served(bodies, pairs)) - len(with_source),
        "overrides": [
            {"path": file.path, "content": file.text(), "virtual_services": list(file.virtual_services)}
            for file in files
        ],
    }


def main() -> None:
    pair = {"blue": {"type": "str", "required": True}, "green": {"type": "str", "required": True}}
    _module.run(
        operation,
        {
            "pairs": {"type": "list", "elements": "dict", "required": True, "options": pair},
            "waived": {"type": "list", "elements": "str", "default": []},
        },
    )


if __name__ == "__main__":
    main()
