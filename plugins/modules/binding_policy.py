#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: binding_policy
short_description: Have every VirtualService bound to both gateways by admission, whoever writes it
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Writes a policy by which the cluster itself adds to every VirtualService that names one Gateway of a pair the other
    one, whenever it is created or updated. It does what M(bluegreen.mesh.virtual_service_gateways) does, in every list
    of gateways and for every form of reference.
  - Nothing of ours then owns the field. Its source may go on applying it as it is, by Helm, Argo CD, Flux or by hand.
  - What is there already is bound when it is next written. M(bluegreen.mesh.virtual_service_gateways) with
    O(bluegreen.mesh.virtual_service_gateways#module:method=admission) does that for all at once.
  - A policy takes a second or two to become active, and to stop being so. The module waits until dry runs of creating
    VirtualServices, and of updating one that is there, come out as they should.
  - The policy never keeps anybody from writing a VirtualService. Where it can't be evaluated, the object is stored as
    it was sent.
  - A VirtualService with the label C(bluegreen.mesh/bind=false) is left alone.
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.pairs
  - bluegreen.mesh.cluster.journal
  - bluegreen.mesh.cluster.attributes
options:
  state:
    description:
      - V(present) writes the policy.
      - V(reduced) takes from a policy that is there the rules that add blue, and leaves those that add green. Where
        there is none, nothing is done. It is for unbinding, which would otherwise be undone at once.
      - V(absent) removes the policy. VirtualServices stay as they are.
      - V(chosen) changes nothing, and returns what O(strategy) would come to here.
    type: str
    choices: [present, reduced, absent, chosen]
    default: present
  migration:
    description:
      - Name of the migration, which becomes part of the policy's name; lower-case letters, digits and dashes, at most
        40.
      - If not given, O(journal.name). One of the two is needed.
    type: str
  strategy:
    description:
      - With V(state=present) and V(state=chosen), what carries the rules out.
      - V(admission_policy) is a MutatingAdmissionPolicy of the API server, which Kubernetes 1.36 and later have.
      - V(kyverno) is a MutatingPolicy of Kyverno, or where Kyverno has none a ClusterPolicy.
        V(kyverno_cluster_policy) is a ClusterPolicy in any case.
      - V(direct) is no policy at all.
      - V(auto) takes the first of these that the cluster has.
      - A policy of another strategy that this migration had before is removed, when the new one has been proven.
    type: str
    choices: [auto, admission_policy, kyverno, kyverno_cluster_policy, direct]
    default: auto
  pairs:
    description:
      - The Gateways that stand for each other. A Gateway can be in one pair, on one side.
      - Required by V(state=present).
  both_ways:
    description: With V(state=present), also add blue to what names green only.
    type: bool
    default: true
  written_by:
    description:
      - Who writes and removes the policy. V(others) is for one that comes from Git, and is applied by Argo CD or Flux.
        The module then writes nothing. It refuses where the policy is not what it would have made of it, and else waits
        until it is seen to work, or with O(state=absent) and O(pairs) not to work any more.
    type: str
    choices: [module, others]
    default: module
  timeout:
    description: Seconds to wait until the policy is seen to work, or not to work any more.
    type: int
    default: 60
notes:
  - Needs the verbs C(get), C(create), C(update) and C(delete) on the kinds of policies that it may write, C(list) on
    VirtualServices and Gateways in all namespaces, and C(create) and C(patch) on VirtualServices (for dry runs only).
seealso:
  - module: bluegreen.mesh.virtual_service_gateways
"""

EXAMPLES = r"""
- name: Bind whatever is written from now on
  bluegreen.mesh.binding_policy:
    kubeconfig: ~/.kube/config
    context: production
    migration: public-gateway
    pairs: &pairs
      - blue: istio-system/public
        green: istio-gateway/public-ingressgateway
  register: binding

- name: Bind what is there
  bluegreen.mesh.virtual_service_gateways:
    kubeconfig: ~/.kube/config
    context: production
    pairs: *pairs
    method: "{{ 'patch' if binding.strategy == 'direct' else 'admission' }}"

- name: Before unbinding, stop adding blue
  bluegreen.mesh.binding_policy:
    kubeconfig: ~/.kube/config
    context: production
    migration: public-gateway
    state: reduced
"""

RETURN = r"""
strategy:
  description: What carries the rules out. V(null) if nothing does.
  type: str
  returned: success
reason:
  description: Why it was chosen.
  type: str
  returned: success
  sample: the API server has MutatingAdmissionPolicy admissionregistration.k8s.io/v1
objects:
  description: The objects of the policy, by C(kind) and C(name).
  type: list
  elements: dict
  returned: success
manifests:
  description: The same as a whole, as they are to be, for M(bluegreen.mesh.manifest_files).
  type: list
  elements: dict
  returned: O(state) is not V(chosen)
proven:
  description:
    - The verbs, V(create) and V(update), whose dry runs came out as they should. Without V(update), there was no
      VirtualService to try it on. Empty in check mode, and where nothing had to be proven.
  type: list
  elements: str
  returned: O(state) is not V(chosen)
reports:
  description:
    - How often the policy reports that Kyverno keeps have which result for this policy. They are late by up to minutes,
      so nothing is decided by them. Empty where there are none.
  type: dict
  returned: O(state) is not V(chosen)
  sample: {pass: 12, skip: 988}
failure:
  description: What went wrong, C(code) for machines, and what else is known.
  type: dict
  returned: failure
"""

from ansible_collections.bluegreen.mesh.plugins.module_utils import _binding_policy, _module

SPEC = {
    "state": {"type": "str", "choices": ["present", "reduced", "absent", "chosen"], "default": "present"},
    "migration": {"type": "str"},
    "strategy": {
        "type": "str",
        "choices": ["auto", "admission_policy", "kyverno", "kyverno_cluster_policy", "direct"],
        "default": "auto",
    },
    "pairs": {
        "type": "list",
        "elements": "dict",
        "options": {"blue": {"type": "str", "required": True}, "green": {"type": "str", "required": True}},
    },
    "both_ways": {"type": "bool", "default": True},
    "written_by": {"type": "str", "choices": ["module", "others"], "default": "module"},
    "timeout": {"type": "int", "default": 60},
}


def main() -> None:
    _module.run(
        lambda module, cluster: _binding_policy.operate(module.params, module.check_mode, cluster),
        SPEC,
        journal=True,
        required_if=[("state", "present", ("pairs",))],
    )


if __name__ == "__main__":
    main()
