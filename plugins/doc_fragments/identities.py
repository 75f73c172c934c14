# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of every module that knows who probes are."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  identities:
    description:
      - Who probes are, for hosts that ask. Routes of these hosts are probed as each identity that has the host, and
        without one, because what blue refuses to strangers green must refuse.
      - Secrets are read on the host that probes. They are in no result and no log, and answers to them are shown as
        digests only.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: A name for reports.
        type: str
        required: true
      hosts:
        description: The hosts that it is for; V(*.example.com) are all below.
        type: list
        elements: str
        required: true
      client_cert:
        description: PEM file of the client certificate, with intermediate ones behind it.
        type: path
      client_key:
        description: PEM file of its key, without a passphrase.
        type: path
      token_env:
        description: Environment variable that has a bearer token.
        type: str
      token_file:
        description: File that has a bearer token and nothing else.
        type: path
"""
