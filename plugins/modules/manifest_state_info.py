#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: manifest_state_info
short_description: Wait until the cluster is as a folder of manifests says
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Compares the files of M(bluegreen.mesh.manifest_files) with the cluster, as often as needed, until every field of
    every file is in the live object. What the cluster has besides, such as defaults and labels, does no harm.
  - Fails after O(timeout), and says which object lacks what. Changes nothing.
options:
  dir:
    description: The folder of a phase. One that is not there says nothing.
    type: path
    required: true
  gone:
    description: Objects that must not be there, unless a file of O(dir) has them.
    type: list
    elements: dict
    default: []
    suboptions:
      api_version:
        description: Group and version.
        type: str
        required: true
      kind:
        description: Kind.
        type: str
        required: true
      namespace:
        description: Namespace, empty where there is none.
        type: str
        default: ""
      name:
        description: Name.
        type: str
        required: true
  timeout:
    description: Seconds to wait. V(0) looks once.
    type: int
    default: 600
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.cluster.info
notes:
  - Needs C(get) on the kinds of the files and of O(gone).
seealso:
  - module: bluegreen.mesh.manifest_files
"""

EXAMPLES = r"""
- name: Wait until the controller has applied what was committed
  bluegreen.mesh.manifest_state_info:
    kubeconfig: ~/.kube/config
    context: production
    dir: ~/src/cluster/migration/bind
    timeout: 900
"""

RETURN = r"""
objects:
  description: How many objects the files have.
  returned: success
  type: int
failure:
  description: What went wrong, for programs.
  returned: failure
  type: dict
  contains:
    code:
      description: V(not_reconciled), for example.
      type: str
    missing:
      description: What is not as it should be, each with C(object) and C(text).
      type: list
      elements: dict
"""

from ansible_collections.bluegreen.mesh.plugins.module_utils import _manifests, _module
from ansible_collections.bluegreen.mesh.plugins.module_utils._resources import Ref


def operation(module, cluster):
    params = module.params
    gone = [Ref(**ref) for ref in params["gone"]]
    found = _manifests.reconciled(cluster, params["dir"], gone, params["timeout"])
    return {"changed": False, "objects": len(found)}


def main() -> None:
    text = {"type": "str", "required": True}
    ref = {"api_version": text, "kind": text, "namespace": {"type": "str", "default": ""}, "name": text}
    _module.run(
        operation,
        {
            "dir": {"type": "path", "required": True},
            "gone": {"type": "list", "elements": "dict", "default": [], "options": ref},
            "timeout": {"type": "int", "default": 600},
        },
    )


if __name__ == "__main__":
    main()
