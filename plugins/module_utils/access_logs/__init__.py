# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The access-log formats that are known: one file each, with NAME and parse(line).

parse returns a Record for an HTTP request, NOT_HTTP for a line about a connection without one (TCP, a broken request),
None for a line that is not of this format. It must not raise, whatever clients managed to get into a line.

To add one: a file here, its name in both lists below, a test in tests/unit/test_access_logs.py and a row in
docs/verifying.md. The imports are written out because Ansible ships to the target only what it can see imported.
"""

from __future__ import annotations

from . import envoy_text, haproxy_http, istio_json

FORMATS = {module.NAME: module.parse for module in (envoy_text, istio_json, haproxy_http)}
