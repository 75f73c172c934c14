#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: freeze_window_info
short_description: Whether changes are frozen now
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Says whether a time is in one of the given windows, and until when.
  - Goes by wall clocks and time zones. Where a time of a window is there twice, or not at all, in the night in which
    clocks change, the longer window is meant.
extends_documentation_fragment:
  - bluegreen.mesh.cluster.info
options:
  windows:
    description: The windows.
    type: list
    elements: dict
    required: true
    suboptions:
      from:
        description:
          - When it begins. V(Fri 16:00) is each week, V(16:00) each day of O(windows[].days), V(2026-12-20T16:00) once.
        type: str
        required: true
      to:
        description: When it ends, in the same form. A time of day may be one of the next day.
        type: str
        required: true
      days:
        description: Days on which a time of day begins a window, V(Mon) to V(Sun). All of them if none is given.
        type: list
        elements: str
        default: []
      timezone:
        description: Whose clocks, such as V(Europe/Berlin).
        type: str
        default: UTC
      reason:
        description: What to tell people.
        type: str
        default: ""
  at:
    description: The time that is asked about, in seconds since 1970. Now, if not given.
    type: float
"""

EXAMPLES = r"""
- name: May we change anything now?
  bluegreen.mesh.freeze_window_info:
    windows:
      - from: Fri 16:00
        to: Mon 08:00
        timezone: Europe/Berlin
        reason: nobody is there at weekends
  register: asked
  failed_when: asked.frozen
"""

RETURN = r"""
frozen:
  description: Whether the time is in one of the windows.
  type: bool
  returned: success
until:
  description: When that window ends, in its own time zone. Of several, the one that ends last.
  type: str
  returned: if RV(frozen)
window:
  description: The window, as it was given.
  type: dict
  returned: if RV(frozen)
"""

import datetime
import zoneinfo

from ansible_collections.bluegreen.mesh.plugins.module_utils import _freeze, _module


def operation(module, _cluster):
    params = module.params
    utc = datetime.timezone.utc
    now = datetime.datetime.now(utc) if params["at"] is None else datetime.datetime.fromtimestamp(params["at"], utc)
    span = _freeze.frozen(params["windows"], now)
    if span is None:
        return {"changed": False, "frozen": False}
    window = params["windows"][span.index]
    zone = utc if window["timezone"] == "UTC" else zoneinfo.ZoneInfo(window["timezone"])
    until = f"{span.end.astimezone(zone):%a %Y-%m-%d %H:%M} {window['timezone']}"
    return {"changed": False, "frozen": True, "until": until, "window": window}


def main():
    window = {
        "from": {"type": "str", "required": True},
        "to": {"type": "str", "required": True},
        "days": {"type": "list", "elements": "str", "default": []},
        "timezone": {"type": "str", "default": "UTC"},
        "reason": {"type": "str", "default": ""},
    }
    spec = {
        "windows": {"type": "list", "elements": "dict", "required": True, "options": window},
        "at": {"type": "float"},
    }
    _module.run(operation, spec, cluster=False)


if __name__ == "__main__":
    main()
