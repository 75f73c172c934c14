#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: override_files
short_description: Write the files that make VirtualServices green at their sources
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Writes what M(bluegreen.mesh.desired_state_info) returns as C(overrides) into a folder, on the host that the task
    runs on. Every file says in its first lines what it is for, and what to do with it.
  - A kustomize component lists what earlier runs have written as well, because builds go on using it when their objects
    are green. Files are never removed.
options:
  dest:
    description: The folder. It is made where it is missing.
    type: path
    required: true
  overrides:
    description: The files.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Path in the folder.
        type: str
        required: true
      content:
        description: Text of the file.
        type: str
        required: true
      virtual_services:
        description: What it makes green. Not used.
        type: list
        elements: str
extends_documentation_fragment:
  - bluegreen.mesh.cluster.attributes
seealso:
  - module: bluegreen.mesh.desired_state_info
"""

EXAMPLES = r"""
- name: Ask what every source wants
  bluegreen.mesh.desired_state_info:
    kubeconfig: ~/.kube/config
    context: production
    pairs:
      - blue: istio-system/public
        green: istio-gateway/public-ingressgateway
  register: desired

- name: Write what would make them green
  bluegreen.mesh.override_files:
    dest: overrides/production
    overrides: "{{ desired.overrides }}"
"""

RETURN = r"""
files:
  description: Paths of all files that belong to O(overrides), in O(dest).
  type: list
  elements: str
  returned: success
"""

from ansible_collections.bluegreen.mesh.plugins.module_utils import _module, _override_files


def main() -> None:
    override = {
        "path": {"type": "str", "required": True},
        "content": {"type": "str", "required": True},
        "virtual_services": {"type": "list", "elements": "str"},
    }
    _module.run(
        lambda module, _cluster: _override_files.write(
            module.params["dest"], module.params["overrides"], module.check_mode
        ),
        {
            "dest": {"type": "path", "required": True},
            "overrides": {"type": "list", "elements": "dict", "required": True, "options": override},
        },
        cluster=False,
    )


if __name__ == "__main__":
    main()
