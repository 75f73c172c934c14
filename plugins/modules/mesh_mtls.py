#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mesh_mtls
short_description: Let Istio's sidecars talk to pods without one, before a wave leaves the mesh
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Makes C(PERMISSIVE) of every C(STRICT) in the PeerAuthentications of O(namespaces). A namespace that has it from the
    root namespace gets a PeerAuthentication of its own, so that others keep what they have.
  - Takes C(ISTIO_MUTUAL) out of the DestinationRules for Services of O(namespaces), so that sidecars find out by
    themselves who takes mutual TLS.
  - With O(pod_networks), lets each rule of the namespaces' AuthorizationPolicies that goes by identities admit these
    networks too.
  - All of it weakens what the mesh insists on, for as long as the swap lasts. The journal takes it back.
options:
  state:
    description: What Istio's sidecars insist on.
    type: str
    choices: [permissive]
    default: permissive
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.swap
  - bluegreen.mesh.cluster.journal
  - bluegreen.mesh.cluster.attributes
notes:
  - Needs C(list), C(get), C(create), C(patch) and C(delete) on PeerAuthentications, and C(list), C(get) and C(patch) on
    DestinationRules and AuthorizationPolicies.
  - What is made by a source (Argo CD, Flux, Helm) comes back from it. Change it there as well.
  - O(max_unavailable) and O(waive) mean nothing here.
seealso:
  - module: bluegreen.mesh.mesh_swap_info
  - module: bluegreen.mesh.mesh_wave
"""

EXAMPLES = r"""
- name: Let both meshes talk to each other
  bluegreen.mesh.mesh_mtls:
    kubeconfig: ~/.kube/config
    context: production
    namespaces: [shop, pay]
    pod_networks: [10.0.0.0/14]
    journal:
      namespace: bluegreen-mesh
      name: to-linkerd
      epoch: "{{ journal.epoch }}"
      phase: deploy
"""

RETURN = r"""
objects:
  description: C(object) and C(state) of each, C(created), C(edited) or C(unchanged).
  returned: success
  type: list
  elements: dict
"""

from ansible_collections.bluegreen.mesh.plugins.module_utils import _edits, _mesh_mtls, _module, _swap_options
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import path_of
from ansible_collections.bluegreen.mesh.plugins.module_utils._journal import Journal
from ansible_collections.bluegreen.mesh.plugins.module_utils._objects import ref_of
from ansible_collections.bluegreen.mesh.plugins.module_utils._resources import Ref
from ansible_collections.bluegreen.mesh.plugins.module_utils.swap_findings import swap_istio_mutual, swap_principals

READ = ("namespaces", "peerauthentications", "destinationrules", "authorizationpolicies")
PART = "swap"
NAME = "bluegreen-mesh-permissive"


def plan(cluster, params):
    mesh = _swap_options.read(cluster, params, READ)
    done = []
    for policy in mesh.within("peerauthentications"):
        done += edited("peerauthentications", policy, _mesh_mtls.strict_fields(policy))
    for name in mesh.namespaces:
        wide = [p for p in mesh["peerauthentications"] if not _mesh_mtls.selector(p)]
        mode, policy = _mesh_mtls.mode_for(wide, mesh.root, name, {})
        if mode == _mesh_mtls.STRICT and ref_of(policy)[0] != name:
            own = [p for p in wide if ref_of(p)[0] == name]
            # The oldest one of a namespace counts: one that leaves it to the mesh must say so itself.
            done += [edited("peerauthentications", p, {"/spec/mtls": {"mode": "PERMISSIVE"}})[0] for p in own]
            done += [] if own else [permissive(cluster, policy, name)]
    for rule in mesh["destinationrules"]:
        if swap_istio_mutual.concerns(mesh, rule):
            done += edited("destinationrules", rule, _mesh_mtls.mutual_fields(rule))
    for policy in mesh.within("authorizationpolicies") if params["pod_networks"] else ():
        done += edited("authorizationpolicies", policy, opened(policy, params["pod_networks"]))
    return done


def edited(plural, item, fields):
    path = path_of(item["apiVersion"], plural, *ref_of(item))
    return [_edits.edited(Ref.of(item), path, item, fields)] if fields else []


def permissive(cluster, source, namespace):
    """The namespace's own, in the place of the mesh's."""
    item = {
        "apiVersion": source["apiVersion"], "kind": "PeerAuthentication",
        "metadata": {"namespace": namespace, "name": NAME}, "spec": {"mtls": {"mode": _mesh_mtls.PERMISSIVE}},
    }  # fmt: skip
    path = path_of(item["apiVersion"], "peerauthentications", namespace, NAME)
    return _edits.made(Ref.of(item), path, cluster.find(path), _edits.marked(item, PART))


def opened(policy, networks):
    """Fields by which each rule that goes by identities admits the networks too."""
    fields = {}
    if ((policy.get("spec") or {}).get("action") or "ALLOW") != "ALLOW":
        return fields
    for number, rule in enumerate(policy["spec"].get("rules") or ()):
        if swap_principals.by_identity(rule or {}) and not swap_principals.opened(rule):
            pointer = _edits.pointer("spec", "rules", number, "from")
            fields[pointer] = [*rule["from"], {"source": {"ipBlocks": list(networks)}}]
    return fields


def operation(module, cluster):
    journal = Journal.load(cluster, module.params["journal"])
    return _edits.carry_out(module, cluster, journal, lambda: plan(cluster, module.params))


def main():
    state = {"state": {"type": "str", "choices": ["permissive"], "default": "permissive"}}
    _module.run(operation, {**_swap_options.SPEC, **state}, journal=True)


if __name__ == "__main__":
    main()
