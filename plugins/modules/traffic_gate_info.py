#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: traffic_gate_info
short_description: Judge a step of a cutover by the live traffic since it was made
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Waits until the traffic recorded by M(bluegreen.mesh.traffic_probe) since O(since) is enough to judge, then compares it
    with the limits.
  - Too few samples within O(deadline) are a breach, and so is a probe that no longer runs. No gate passes on no data.
  - Failures are seen as they come; a breach by error rate ends the wait at once.
extends_documentation_fragment:
  - bluegreen.mesh.cluster.info
options:
  dir:
    description: Folder of the running traffic probe.
    type: path
    required: true
  since:
    description: When the step was made, in seconds since 1970.
    type: float
    required: true
  colours:
    description: For V(blue) and V(green), the C(via) values that tell who answered, usually the addresses of gateway pods.
    type: dict
    required: true
  blue_p99_ms:
    description: Blue's C(p99_sent_ms) before the first step, for when blue no longer answers enough.
    type: float
  min_samples:
    description: Requests needed since O(since).
    type: int
    default: 500
  min_green_samples:
    description: Requests needed that green is known to have answered.
    type: int
    default: 20
  max_error_rate:
    description: Share of failed requests that is allowed, of all and of green's, from V(0.0) to V(1.0).
    type: float
    default: 0.0
  p99_ratio:
    description: How many times blue's 99th percentile green's may be.
    type: float
    default: 3.0
  p99_floor_ms:
    description: Latency in milliseconds up to which green is never too slow.
    type: float
    default: 100.0
  deadline:
    description: Seconds to wait for enough samples.
    type: float
    default: 120.0
seealso:
  - module: bluegreen.mesh.traffic_probe
"""

EXAMPLES = r"""
- name: May the tenth stand?
  bluegreen.mesh.traffic_gate_info:
    dir: /run/migration/traffic
    since: 1795262400.0
    colours:
      blue: [10.0.1.4, 10.0.2.9]
      green: [10.0.1.17, 10.0.2.21]
    min_samples: 2000
"""

RETURN = r"""
passed:
  description: Whether the step may stand.
  type: bool
  returned: success
breaches:
  description: Why it may not, one sentence each.
  type: list
  elements: str
  returned: success
summary:
  description: C(total), C(colours), C(routes), C(protocols) and C(errors), as M(bluegreen.mesh.traffic_probe) counts them.
  type: dict
  returned: success
waited:
  description: Seconds until there was enough.
  type: float
  returned: success
"""

import time
from dataclasses import fields

from ansible_collections.bluegreen.mesh.plugins.module_utils import _gate, _module, _traffic

POLL_SECONDS = 0.5
LIMITS = [field.name for field in fields(_gate.Limits)]


def operation(module, _cluster):
    params = module.params
    limits = _gate.Limits(**{name: params[name] for name in LIMITS})
    begin = time.monotonic()
    while True:
        records = _traffic.read_records(_traffic.records_path(params["dir"]), since=params["since"])
        summary = _traffic.summarise(records, params["colours"])
        breaches = _gate.breaches(summary, limits, params["blue_p99_ms"])
        lacking = _gate.lacking(summary, limits)
        if not _traffic.running(_traffic.read_state(params["dir"])):
            breaches.append(f"no traffic probe runs in {params['dir']}: start one with traffic_probe, state=started")
        waited = time.monotonic() - begin
        if breaches or not lacking or waited > params["deadline"]:
            break
        time.sleep(POLL_SECONDS)
    reasons = breaches + [f"{text} within {params['deadline']:g} s" for text in lacking if not breaches]
    return {"changed": False, "passed": not reasons, "breaches": reasons, "summary": summary, "waited": round(waited, 1)}


def main() -> None:
    _module.run(
        operation,
        {
            "dir": {"type": "path", "required": True},
            "since": {"type": "float", "required": True},
            "colours": {"type": "dict", "required": True},
            "blue_p99_ms": {"type": "float"},
            "min_samples": {"type": "int", "default": 500},
            "min_green_samples": {"type": "int", "default": 20},
            "max_error_rate": {"type": "float", "default": 0.0},
            "p99_ratio": {"type": "float", "default": 3.0},
            "p99_floor_ms": {"type": "float", "default": 100.0},
            "deadline": {"type": "float", "default": 120.0},
        },
        cluster=False,
    )


if __name__ == "__main__":
    main()
