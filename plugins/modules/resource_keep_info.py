#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: resource_keep_info
short_description: What owners would keep and delete, and who they are
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - For O(release), works out what C(helm uninstall) would delete, from the stored manifest of the highest revision as
    Helm does, and what an upgrade or rollback that drops an object would do to it, from the live annotation.
  - For O(gateways) and O(resources), finds every owner of each, what protects it, and in RV(would_delete) what each
    owner would delete now.
  - Nothing is changed, and Helm is not needed.
options:
  release:
    description: A Helm release.
    type: dict
    suboptions:
      name:
        description: Name of the release.
        type: str
        required: true
      namespace:
        description: Namespace that it is installed in. It may be stored in another one.
        type: str
        required: true
  journal:
    description: Look as well at what this journal has as kept, also where nothing leads to it any more.
    type: dict
    suboptions:
      namespace:
        description: Namespace of the journal.
        type: str
        required: true
      name:
        description: Name of the migration.
        type: str
        required: true
  services:
    description:
      - Blue's Services, as C(NAMESPACE/NAME). What goes with them is told apart from what others own or need.
      - They are looked at like O(resources).
    type: list
    elements: str
  proxies:
    description:
      - Ask each pod of the O(gateways) whether it is connected to istiod, and look at the root certificate that istiod
        gives to their namespaces. Needs C(get) on C(pods/proxy).
    type: bool
    default: false
notes:
  - Needs the verb C(list) on Secrets and ConfigMaps, and C(get) on the objects.
seealso:
  - module: bluegreen.mesh.resource_keep
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.kept
  - bluegreen.mesh.cluster.info
"""

EXAMPLES = r"""
- name: See what uninstalling blue would delete
  bluegreen.mesh.resource_keep_info:
    kubeconfig: ~/.kube/config
    context: production
    release: {name: istio-ingress, namespace: istio-system}
  register: uninstall

- name: Stop if a Gateway is among it
  ansible.builtin.assert:
    that: uninstall.delete | selectattr('kind', 'equalto', 'Gateway') | length == 0

- name: Find the owners of the Gateways and of their certificates
  bluegreen.mesh.resource_keep_info:
    kubeconfig: ~/.kube/config
    context: production
    gateways: [istio-system/public]
    needs: true
  register: owners

- name: Stop if one of them would take something with it
  ansible.builtin.assert:
    that: owners.would_delete == []
"""

RETURN = r"""
release:
  description:
    - The release's highest revision, which C(helm uninstall) goes by whatever its status, as in
      RV(bluegreen.mesh.resource_keep#module:protected[].owner).
  type: dict
  returned: O(release) is given
storage:
  description: Every Secret or ConfigMap that holds a revision of the release, oldest first.
  type: list
  elements: str
  returned: O(release) is given
keep:
  description: What C(helm uninstall) would keep. Each has C(api_version), C(kind), C(namespace) and C(name).
  type: list
  elements: dict
  returned: O(release) is given
delete:
  description: What it would delete, in this order. C(in_list) marks an item of a C(List), which no annotation of its
    own saves.
  type: list
  elements: dict
  returned: O(release) is given
neither:
  description:
    - What it would neither delete nor report as kept, because its policy, in C(policy), is another word than C(keep).
  type: list
  elements: dict
  returned: O(release) is given
hooks:
  description: Its hooks, which uninstall leaves to their own delete policies.
  type: list
  elements: dict
  returned: O(release) is given
dropped:
  description:
    - What an upgrade or a rollback that drops an object would do to it. Lists C(keep), C(delete) and C(missing), the
      latter of objects that are not there.
  type: dict
  returned: O(release) is given
taken_over:
  description:
    - Those of RV(delete) whose live object says to be of another release by now, in C(release) and
      C(release_namespace). C(helm uninstall) does not look at that, and deletes them.
  type: list
  elements: dict
  returned: O(release) is given
own_webhooks:
  description:
    - Webhook configurations among RV(delete) all of whose webhooks are answered by Services of RV(delete). Where the
      Services go and these stay, the API server has nobody to ask, and may refuse what they are asked about.
  type: list
  elements: dict
  returned: O(release) is given
owners:
  description:
    - The objects and their owners, each with what RV(bluegreen.mesh.resource_keep#module:protected) has, and besides
      those here. C(guard) says whether it is marked as kept, which that migration's admission policy goes by.
  type: list
  elements: dict
  returned: O(release) is not given
  contains:
    kept_by:
      description: The migration that keeps it, or V(null).
      type: str
      returned: always
    intact:
      description: Whether it is the object that was kept, by its UID, and is not being deleted.
      type: bool
      returned: always
    claims:
      description:
        - Its owners, each with C(owner), C(name), whether the object outlives it (C(safe)), and whether the owner is
          there, so that it would make the object again (C(source)).
      type: list
      elements: dict
      returned: always
releases:
  description:
    - The Helm releases that O(services) are of, as C(owner) in RV(owners), each once. Where their IstioOperator goes,
      also its own, and that of an operator whose HelmRelease has gone while it was suspended.
  type: list
  elements: dict
  returned: O(services) are given
going:
  description:
    - Those of RV(owners) that go with blue. They are of RV(releases), or were of one that is gone or has them no more;
      or of the same Flux Kustomization, Argo CD Application or IstioOperator as O(services), and in their namespace.
    - What is C(shared) stays, but for an IstioOperator with nothing left to do. Its operator is gone, or its HelmRelease
      is, and every workload that it alone has made goes.
    - Without O(journal), nothing is kept yet, and it is what would go.
  type: list
  elements: dict
  returned: O(services) are given
proxies:
  description: Each pod, with C(namespace), C(name), C(connected) (V(null) for unknown) and C(problem).
  type: list
  elements: dict
  returned: O(proxies) is true
roots:
  description: By namespace, a digest of the root certificate that istiod keeps there.
  type: dict
  returned: O(proxies) is true
would_delete:
  description:
    - What each owner would delete now if it was removed, as C(owner), C(name) and C(objects), each of those with a
      C(reason).
  type: list
  elements: dict
  returned: O(release) is not given
missing:
  description: Objects that do not exist.
  type: list
  elements: dict
  returned: O(release) is not given
failure:
  description: What went wrong, for programs, with what the message names.
  type: dict
  returned: failure
  contains:
    code:
      description: A stable word, such as V(undecodable_release).
      type: str
      returned: always
"""

from ansible_collections.bluegreen.mesh.plugins.module_utils import _keep_info, _keep_target, _module

SPEC = {
    "release": {
        "type": "dict",
        "options": {"name": {"type": "str", "required": True}, "namespace": {"type": "str", "required": True}},
    },
    **_keep_target.TARGETS_SPEC,
    "journal": {
        "type": "dict",
        "options": {"namespace": {"type": "str", "required": True}, "name": {"type": "str", "required": True}},
    },
    "services": {"type": "list", "elements": "str"},
    "proxies": {"type": "bool", "default": False},
}


def main() -> None:
    _module.run(
        _keep_info.inform,
        SPEC,
        required_one_of=[("release", "gateways", "resources", "services", "journal")],
        mutually_exclusive=[("release", "gateways"), ("release", "resources")],
    )


if __name__ == "__main__":
    main()
