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
  gateways:
    description:
      - Istio Gateways, as C(NAMESPACE/NAME). One that does not exist is only reported.
      - The Secrets that their servers get certificates from are included, V(credentialName) and V(credentialNames) for
        modes V(SIMPLE), V(MUTUAL) and V(OPTIONAL_MUTUAL), and for the latter two a Secret for the CA (C(NAME-cacert),
        or V(caCertCredentialName)) where there is one.
    type: list
    elements: str
  secrets_namespace:
    description:
      - Namespace in which the gateways' pods run, from which Istio reads those Secrets.
      - If not given, each Gateway's own namespace.
    type: str
  resources:
    description: More objects of any kind.
    type: list
    elements: dict
    suboptions:
      api_version:
        description: Group and version, such as V(apps/v1).
        type: str
        required: true
      kind:
        description: Kind, such as V(Deployment).
        type: str
        required: true
      namespace:
        description: Namespace. Leave it out for a cluster-scoped object.
        type: str
      name:
        description: Name.
        type: str
        required: true
  needs:
    description:
      - Look as well at what the O(gateways) can't serve without. See O(bluegreen.mesh.resource_keep#module:needs).
    type: bool
    default: false
notes:
  - Needs the verb C(list) on Secrets and ConfigMaps, and C(get) on the objects.
seealso:
  - module: bluegreen.mesh.resource_keep
extends_documentation_fragment:
  - bluegreen.mesh.cluster
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
  description: The release's highest revision, which C(helm uninstall) goes by whatever its status.
  type: dict
  returned: O(release) is given
  contains:
    release:
      description: Name.
      type: str
      returned: always
    namespace:
      description: Namespace that it is installed in.
      type: str
      returned: always
    revision:
      description: The highest revision.
      type: int
      returned: always
    status:
      description: Its status.
      type: str
      returned: always
    storage:
      description: The Secret or ConfigMap that holds it.
      type: str
      returned: always
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
owners:
  description: The objects and their owners.
  type: list
  elements: dict
  returned: O(gateways) or O(resources) is given
  contains:
    api_version:
      description: Group and version.
      type: str
      returned: always
    kind:
      description: Kind.
      type: str
      returned: always
    namespace:
      description: Namespace; empty for a cluster-scoped object.
      type: str
      returned: always
    name:
      description: Name.
      type: str
      returned: always
    origin:
      description: Why it is concerned, V(gateway), V(resources), or the field of the Gateway that names this Secret.
      type: str
      returned: always
    owner:
      description:
        - The Helm release that has it in its manifest, or that its annotations name; V(null) for none.
        - RV(owners[].owner.storage) is the object that holds the release's highest revision, or V(null) where
          nothing is stored of it.
      type: dict
      returned: always
      contains:
        release:
          description: Name of the release.
          type: str
          returned: always
        namespace:
          description: Namespace of the release, which may be another than that of its storage.
          type: str
          returned: always
        revision:
          description: Its highest revision.
          type: int
          returned: always
        status:
          description: Status of that revision.
          type: str
          returned: always
        storage:
          description: Where that revision is stored.
          type: str
          returned: always
    live:
      description: Whether the live object says V(keep), so that an upgrade or a rollback that drops it leaves it.
      type: bool
      returned: always
    record:
      description: Whether the stored manifest says keep, so that C(helm uninstall) leaves it.
      type: bool
      returned: always
    record_reason:
      description: Why RV(owners[].record) is what it is.
      type: str
      returned: always
    guard:
      description: Whether it is marked as kept by a migration, which that migration's admission policy goes by.
      type: bool
      returned: always
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
    safe:
      description: Whether it outlives the removal of each of its owners.
      type: bool
      returned: always
    shared:
      description: Whether more than these Gateways need it, so that it stays when they go.
      type: bool
      returned: always
would_delete:
  description:
    - What each owner would delete now if it was removed, as C(owner), C(name) and C(objects), each of those with a
      C(reason).
  type: list
  elements: dict
  returned: O(gateways) or O(resources) is given
missing:
  description: Objects that do not exist.
  type: list
  elements: dict
  returned: O(gateways) or O(resources) is given
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

from ansible_collections.bluegreen.mesh.plugins.module_utils import _keep, _module

SPEC = {
    "release": {
        "type": "dict",
        "options": {"name": {"type": "str", "required": True}, "namespace": {"type": "str", "required": True}},
    },
    "gateways": {"type": "list", "elements": "str"},
    "secrets_namespace": {"type": "str", "no_log": False},
    "resources": {
        "type": "list",
        "elements": "dict",
        "options": {
            "api_version": {"type": "str", "required": True},
            "kind": {"type": "str", "required": True},
            "namespace": {"type": "str"},
            "name": {"type": "str", "required": True},
        },
    },
    "needs": {"type": "bool", "default": False},
}


def main() -> None:
    _module.run(
        _keep.inform,
        SPEC,
        required_one_of=[("release", "gateways", "resources")],
        mutually_exclusive=[("release", "gateways"), ("release", "resources")],
    )


if __name__ == "__main__":
    main()
