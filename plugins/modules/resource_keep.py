#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: resource_keep
short_description: Protects objects from removal by their owner, and releases them again
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Makes an owner's removal leave what a migration still needs, and refuses any other deletion of it.
  - C(helm uninstall) decides from the manifest that Helm stored with the release's highest revision, and never looks at
    the live object; an upgrade or a rollback that drops an object decides from the live annotation. So
    C(helm.sh/resource-policy=keep) is written to both.
  - The stored manifest is edited as text, in the one document of that object, and only if what comes out is the same
    release with just this annotation more. The record is saved first, and written only if nobody changed it meanwhile.
  - An admission policy (C(ValidatingAdmissionPolicy)) refuses to delete what is kept, whoever asks, Helm, Flux, Argo
    CD, an operator, the garbage collector, the deletion of the namespace, or a person. It concerns only objects that
    carry this migration's annotation C(bluegreen.mesh/kept-by). The module waits until the API server does refuse, by
    dry runs of the deletions.
  - Every owner is found from the live object, several at once where several claim it, and each is met in its own way.
    A Flux HelmRelease is suspended, or renders the annotation itself (O(flux_method)); one that renders HelmReleases
    (an umbrella) goes on, and its upgrades leave what carries the live annotation. What a Flux Kustomization
    applies gets C(kustomize.toolkit.fluxcd.io/prune=disabled) and C(reconcile=disabled), what an Argo CD Application
    tracks C(Prune=false,Delete=false) among its sync-options. The labels by which an Istio operator prunes come off,
    after the operator is scaled to 0, and the HelmRelease suspended that would scale it back.
  - What was changed is noted on each object in the annotation C(bluegreen.mesh/kept-undo). V(released) takes away
    exactly that; an object that was kept before stays kept.
  - Nothing is changed if one of the objects can't be protected.
notes:
  - It does not protect from edits, nor from scaling to zero.
  - What is suspended or scaled on account of a kept object carries the annotation C(bluegreen.mesh/frozen), with what
    was there before, and is set in motion again when the last object that it was held still for is released, before
    that object is let go. The guard is the last that goes.
  - What it needs is in C(docs/rbac/keep.yml). On what is kept C(get), C(patch) and C(delete), the last for dry runs only.
options:
  state:
    description:
      - V(kept) protects, V(released) takes that protection off.
    type: str
    choices: [kept, released]
    default: kept
  migration:
    description:
      - Name of the migration that keeps these objects; lower-case letters, digits and dashes, at most 40.
      - If not given, O(journal.name). One of the two is needed.
    type: str
  frozen:
    description: Objects to set in motion again with O(state=released), besides those that the other objects lead to.
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
      former:
        description: What was there before, for an object that lost the annotation that says so.
        type: list
        elements: dict
        suboptions:
          path:
            description: The field, from the outside in.
            type: list
            elements: str
            required: true
          value:
            description: Its value. None for a field that was not there.
            type: raw
  live_annotation:
    description: Set C(helm.sh/resource-policy=keep) on the live object.
    type: bool
    default: true
  helm_record:
    description:
      - Keep it in the stored manifest of the Helm release that owns it, too.
      - Needs to list Secrets and ConfigMaps in all namespaces, because a release may be stored elsewhere than
        installed, and because two releases may hold the same object.
    type: bool
    default: true
  flux_method:
    description:
      - How a Flux HelmRelease is kept from deleting what its release holds.
      - V(suspend) suspends it and edits the stored manifest; nothing is rolled out.
      - V(post_renderers) adds a patch to its C(spec.postRenderers) and waits for the new revision; it goes on being
        reconciled, and everything else that is new in its source is rolled out with it.
      - V(none) fails with V(owner_reconciles) where it is not suspended already.
    type: str
    choices: [suspend, post_renderers, none]
    default: suspend
  owner_timeout:
    description: Seconds to wait for an owner, for a new revision of a HelmRelease or the end of an operator's pods.
    type: int
    default: 300
  owner_deletes:
    description:
      - What to do with O(state=released) where an owner would then delete one of these without being asked, because it
        is being deleted itself or its source has them no more.
      - V(refuse) leaves all of them kept, with the code V(owner_deletes). V(accept) is for what is to go.
    type: str
    choices: [refuse, accept]
    default: refuse
  thaw:
    description:
      - With O(state=released), whether to set in motion again what was held still for these alone.
      - V(false) leaves that to the release of the rest, so that no owner is at work while what goes is deleted.
    type: bool
    default: true
  guard:
    description:
      - V(auto) sets up the admission policy where the API server has it (Kubernetes 1.30 and later), and warns where
        not.
      - V(required) fails where it has not. V(none) leaves the policy alone.
    type: str
    choices: [auto, required, none]
    default: auto
  guard_written_by:
    description:
      - Who writes and removes the policy and its binding. V(others) is for one that comes from Git, and is applied by
        Argo CD or Flux. With O(state=kept) the module then refuses, before it changes anything, where they are not in
        the cluster as RV(guard_manifests) has them; with O(state=released) it leaves them.
    type: str
    choices: [module, others]
    default: module
  guard_timeout:
    description: Seconds to wait until the API server refuses the deletions.
    type: int
    default: 60
  backup_dir:
    description:
      - Directory on the host that the module runs on. Each Helm record is saved to a file of mode 0600 there before it
        is edited. A record holds the release's values, which may be secret.
      - Needed without O(journal) when a record has to be edited; with a journal the record is saved to a Secret beside
        it. In check mode its lack is only a warning, so that there can be a preview before there is a journal.
    type: path
seealso:
  - module: bluegreen.mesh.resource_keep_info
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.kept
  - bluegreen.mesh.cluster.journal
  - bluegreen.mesh.cluster.attributes
"""

EXAMPLES = r"""
- name: Keep blue's Gateways and their certificates
  bluegreen.mesh.resource_keep:
    kubeconfig: ~/.kube/config
    context: production
    journal: "{{ mesh_journal }}"
    gateways:
      - istio-system/public
      - istio-system/passthrough
    needs: true

- name: Keep a Deployment and its Service as well, without a journal
  bluegreen.mesh.resource_keep:
    kubeconfig: ~/.kube/config
    context: production
    migration: public-gateway
    backup_dir: /var/backups/helm
    resources:
      - {api_version: apps/v1, kind: Deployment, namespace: istio-system, name: public-ingressgateway}
      - {api_version: v1, kind: Service, namespace: istio-system, name: public-ingressgateway}

- name: Let go of a Gateway
  bluegreen.mesh.resource_keep:
    kubeconfig: ~/.kube/config
    context: production
    journal: "{{ mesh_journal }}"
    state: released
    gateways: [istio-system/public]
"""

RETURN = r"""
protected:
  description: The objects, and by what each is protected now (in check mode, would be).
  type: list
  elements: dict
  returned: success
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
        - RV(protected[].owner.storage) is the object that holds the release's highest revision, or V(null) where
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
      description: Why RV(protected[].record) is what it is.
      type: str
      returned: always
    guard:
      description: Whether its deletion is refused.
      type: bool
      returned: always
    claims:
      description: Its owners, each with C(owner), C(name), C(source) and whether the object outlives it, C(safe).
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
frozen:
  description: What is held still for as long as these are kept.
  type: list
  elements: dict
  returned: O(state=kept)
guard:
  description:
    - V(active) if the API server was seen to refuse each deletion, V(pending) in check mode if that is still to come,
      V(unavailable) if the API server has no such policies, V(none) if it was not asked for.
  type: str
  returned: success
guard_manifests:
  description: The policy and its binding as they are to be; empty without a guard.
  returned: O(state=kept)
  type: list
  elements: dict
missing:
  description: Objects that are not there any more.
  type: list
  elements: dict
  returned: O(state=released)
failure:
  description: What went wrong, for programs, with what the message names.
  type: dict
  returned: failure
  contains:
    code:
      description: A stable word, such as V(two_owners).
      type: str
      returned: always
"""

from ansible_collections.bluegreen.mesh.plugins.module_utils import _keep, _keep_target, _module

SPEC = {
    "state": {"type": "str", "choices": ["kept", "released"], "default": "kept"},
    "migration": {"type": "str"},
    **_keep_target.TARGETS_SPEC,
    "frozen": {
        "type": "list",
        "elements": "dict",
        "options": {
            **_keep_target.REF_SPEC,
            "former": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "path": {"type": "list", "elements": "str", "required": True},
                    "value": {"type": "raw"},
                },
            },
        },
    },
    "live_annotation": {"type": "bool", "default": True},
    "helm_record": {"type": "bool", "default": True},
    "flux_method": {"type": "str", "choices": ["suspend", "post_renderers", "none"], "default": "suspend"},
    "owner_timeout": {"type": "int", "default": 300},
    "owner_deletes": {"type": "str", "choices": ["refuse", "accept"], "default": "refuse"},
    "thaw": {"type": "bool", "default": True},
    "guard": {"type": "str", "choices": ["auto", "required", "none"], "default": "auto"},
    "guard_written_by": {"type": "str", "choices": ["module", "others"], "default": "module"},
    "guard_timeout": {"type": "int", "default": 60},
    "backup_dir": {"type": "path"},
}


def main() -> None:
    _module.run(_keep.operate, SPEC, journal=True, required_one_of=[("gateways", "resources", "frozen")])


if __name__ == "__main__":
    main()
