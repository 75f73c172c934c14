# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where live traffic can be measured: one file each, with what it can tell of blue and of green.

A source has a NAME, OPTIONS (its argument spec), REAL (whether it counts real clients), COUNTS_PROBES (whether our own
probes of the gateways are in its counts, so that its window must begin after them), UNSEEN (what it can't tell), and
  begin(options, tools)                     what is read now, and kept in the snapshot until the window is judged
  measure(options, begun, window, tools)    a Measured of the window; raises Refusal where it can't be read
To add one: a file here, its name in both lists below, its options in roles/mesh/meta/argument_specs.yml, and a row in
docs/gates.md. The imports are written out because Ansible ships to the target only what it can see imported.
"""

from __future__ import annotations

from . import gateway, haproxy, probe, prometheus
from ._source import Measured, Tally, Tools, Window

__all__ = ["SOURCES", "Measured", "Tally", "Tools", "Window"]
SOURCES = {source.NAME: source for source in (probe, haproxy, gateway, prometheus)}
