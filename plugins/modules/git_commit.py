#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: git_commit
short_description: Commit files to a working copy, and take that back
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Commits what has changed under some paths of a git working copy, on the host that the task runs on. It never pushes
    by itself; O(command) may.
  - Other changes in the working copy are left as they are, and what somebody has staged is refused.
  - With a journal, rollback takes the commits back by commits of their own.
options:
  state:
    description: V(reverted) takes back the commits that have O(marker) in their message.
    type: str
    choices: [committed, reverted]
    default: committed
  repo:
    description: The working copy, its top folder.
    type: path
    required: true
  branch:
    description: The branch that must be checked out there.
    type: str
    required: true
  paths:
    description: Files and folders to commit, in O(repo). Needed to commit.
    type: list
    elements: path
  subject:
    description: First line of the message. Needed to commit.
    type: str
  marker:
    description: A line of the message, by which these commits are known again.
    type: str
    required: true
  awaited:
    description:
      - What going back waits for, once the commits are taken back and the cluster has made it so. It is kept in the
        journal with them, and not used here.
    type: dict
    suboptions:
      dir:
        description: Folder of manifests that the cluster must agree with.
        type: path
      objects:
        description:
          - Objects that must be gone, unless that folder has them, as RV(bluegreen.mesh.manifest_files#module:objects).
        type: list
        elements: dict
      pairs:
        description: Those of M(bluegreen.mesh.binding_policy), where that folder has the policy.
        type: list
        elements: dict
      wishes:
        description: What sources of VirtualServices want, one line for each.
        type: list
        elements: str
  first:
    description: Whether going back begins with these commits, before all else of their phase.
    type: bool
    default: false
  command:
    description:
      - Run in O(repo) after a commit, such as C(git push). Where it fails, the next run begins with it.
    type: list
    elements: str
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.cluster.attributes
  - bluegreen.mesh.cluster.journal
requirements:
  - git
"""

EXAMPLES = r"""
- name: Commit what makes the sources name green
  bluegreen.mesh.git_commit:
    kubeconfig: ~/.kube/config
    context: production
    repo: ~/src/applications
    branch: main
    paths: [production/overrides]
    subject: "VirtualServices are green"
    marker: "Migration: ingress-2026/unbind"
    command: [git, push]
"""

RETURN = r"""
commits:
  description: The commits that were made, newest last.
  returned: success
  type: list
  elements: str
files:
  description: The files that were committed, or in check mode would be.
  returned: success
  type: list
  elements: str
"""

import hashlib
import json
import os

from ansible_collections.bluegreen.mesh.plugins.module_utils import _git, _module
from ansible_collections.bluegreen.mesh.plugins.module_utils._journal import Journal


def ref_of(marker):
    """A name for a ref of git's."""
    return "".join(c if c.isalnum() or c in "-/" else "-" for c in marker).strip("-/")


def inverse_of(params):
    """(key of the step, inverse). What is awaited is a part of the key: a later run may have more of it."""
    kept = {key: params[key] for key in ("branch", "marker", "command") if params[key] is not None}
    repo, key = os.path.abspath(params["repo"]), params["marker"]
    awaited = {name: value for name, value in (params["awaited"] or {}).items() if value}
    if awaited:
        kept["awaited"] = awaited
        key += f" {hashlib.sha256(json.dumps(awaited, sort_keys=True).encode()).hexdigest()[:8]}"
    first = {"first": True} if params["first"] else {}
    return f"{repo} {key}", {"module": "git_commit", "params": {"state": "reverted", "repo": repo, **kept}, **first}


def operation(module, cluster):
    params = module.params
    copy = _git.WorkingCopy(params["repo"], params["branch"])
    marker, commits = params["marker"], []
    if params["state"] == "reverted":
        files, before = [], copy.ours(marker)
        copy.changed(["."])  # refuses what is staged
        acts = bool(before)
    else:
        paths = copy.inside(params["paths"])
        files = copy.changed(paths) if paths else []
        acts = bool(files)
    name = ref_of(marker)
    # A command that failed is owed, whether there is something new or not.
    owed = bool(params["command"]) and not acts and copy.owes(name, marker)
    diff = {"prepared": copy.difference(files) + "".join(f"# {file}\n" for file in files)}
    if module.check_mode or not (acts or owed):
        return {"changed": acts or owed, "commits": [], "files": files, "diff": diff}
    journal = Journal.load(cluster, params["journal"])
    step = None
    if journal:
        journal.check()
        step = journal.record("git_commit", *inverse_of(params))
    if params["state"] == "reverted":
        commits = [copy.revert(commit, marker) for commit in before]
    elif files:
        commits = [copy.commit(files, f"{params['subject']}\n\n{marker}\n")]
    if step:
        journal.done(step)
    if params["command"]:
        copy.hand_on(name, params["command"])
    return {"changed": True, "commits": commits, "files": files, "diff": diff}


def main():
    several = {"type": "list", "elements": "dict"}
    awaited = {
        "dir": {"type": "path"}, "objects": several, "pairs": several, "wishes": {"type": "list", "elements": "str"},
    }  # fmt: skip
    _module.run(
        operation,
        {
            "state": {"type": "str", "choices": ["committed", "reverted"], "default": "committed"},
            "repo": {"type": "path", "required": True},
            "branch": {"type": "str", "required": True},
            "paths": {"type": "list", "elements": "path"},
            "subject": {"type": "str"},
            "marker": {"type": "str", "required": True},
            "awaited": {"type": "dict", "options": awaited},
            "first": {"type": "bool", "default": False},
            "command": {"type": "list", "elements": "str"},
        },
        journal=True,
        required_if=[("state", "committed", ["paths", "subject"])],
    )


if __name__ == "__main__":
    main()
