# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options by which modules name a cluster and a journal."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  kubeconfig:
    description:
      - Path of the kubeconfig file. There is no default on purpose; a run in a pod never falls back to the pod's own
        cluster.
      - If not given, the environment variable E(K8S_AUTH_KUBECONFIG) is used.
    type: path
    required: true
  context:
    description:
      - Name of the context in O(kubeconfig). The file's current context is never used.
      - If not given, the environment variable E(K8S_AUTH_CONTEXT) is used.
    type: str
    required: true
requirements:
  - kubernetes >= 31 (Python)
"""

    JOURNAL = r"""
options:
  journal:
    description:
      - The migration's journal, and the place that this run holds in it. With it, the module stops when a newer run has
        taken over, and writes down how to undo what it will do before it does it.
      - Without it the module acts on its own and keeps no record.
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
      epoch:
        description: The epoch that M(bluegreen.mesh.migration_journal) gave this run.
        type: int
        required: true
      phase:
        description: The phase on whose account this is done.
        type: str
        required: true
"""

    ATTRIBUTES = r"""
options: {}
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode), when in diff mode.
    support: full
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second invocation indicates no change.
    support: full
"""

    INFO = r"""
options: {}
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode), when in diff mode.
    support: N/A
    details: This module changes nothing.
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second invocation indicates no change.
    support: full
"""
