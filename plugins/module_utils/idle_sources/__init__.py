# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where it can be seen whether one side is still in use: one file each.

A source has a NAME, OPTIONS (its argument spec), TELLS (which of requests, connections and open_connections it can know),
UNSEEN (what it can't tell), and
  check(options)        raises Refusal(bad_option) for what can't be meant
  look(options, tools)  a Look of this moment; raises Refusal where it can't be read
and may have
  tell_ages(options, look)  gives the look's meters the ages of their open connections, if it can have them. It may cost
                            more than a look, and is asked at the end only.
To add one: a file here, its name in both lists below, its options in roles/mesh/meta/argument_specs.yml and in
traffic_idle_info, and a row in docs/idleness.md. The imports are written out because Ansible ships to the target only what
it can see imported.
"""

from __future__ import annotations

from . import access_log, gateway, haproxy, prometheus
from ._source import Tools

__all__ = ["SOURCES", "Tools"]
SOURCES = {source.NAME: source for source in (gateway, haproxy, access_log, prometheus)}
