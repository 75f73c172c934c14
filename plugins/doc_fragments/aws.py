# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options by which modules name a region of AWS and an account."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  region:
    description:
      - The region. AWS' configuration files are not asked for one, so that none is taken by accident.
      - If not given, the environment variable E(AWS_REGION) or E(AWS_DEFAULT_REGION) is used.
    type: str
    required: true
  profile:
    description:
      - Name of a profile in AWS' configuration files. Without one, boto3 looks for credentials in its usual order, the
        environment first, an instance's role last. Credentials are no options of this module, so that none gets into
        a journal.
      - If not given, the environment variable E(AWS_PROFILE) is used.
    type: str
  endpoint_url:
    description:
      - URL to be asked instead of AWS.
      - If not given, the environment variable E(AWS_URL) is used.
    type: str
requirements:
  - boto3 >= 1.42 (Python)
"""
