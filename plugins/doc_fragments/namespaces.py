# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option of modules that make objects in namespaces that an earlier task has made, as _module.carry_out() reads it."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  expect_namespaces:
    description:
      - In check mode, take it that a namespace that is missing will have been made by then. Without it, check mode fails
        there, as the module itself would.
    type: bool
    default: false
"""
