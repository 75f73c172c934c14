#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: traffic_probe
short_description: Keep requests of a constant rate going, and count how they fared
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Starts a client in the background that sends requests at a constant rate through the load balancer, as clients do,
    and writes down every one of them. The other states read what it wrote, while it runs or after.
  - The schedule does not wait for answers. A request's latency counts from when it was due, so that a stall is seen as
    slow requests and not as fewer. A request that can't be sent in time is a failed one.
  - The client outlives the task and the playbook, and always ends by itself after O(max_seconds).
  - As browsers do, the client sends a GET or HEAD again when a connection that it reused turns out to be closed. It
    honours C(Connection) C(close) and HTTP/2 GOAWAY. A WebSocket message is sent again, once and on a new connection,
    when the connection had answered before and ended under this message; RV(total.retried) counts those.
  - Runs on the machine that the task runs on, which must be Linux.
options:
  state:
    description:
      - V(started) starts the client, if it is not already running with the same options.
      - V(read) counts what has been recorded and changes nothing.
      - V(stopped) ends the client, waits until all is written, and counts.
    type: str
    choices: [started, read, stopped]
    required: true
  dir:
    description:
      - Folder for the client's state and its records, C(records.jsonl), one line for each request, about 110 bytes.
      - A client that is started again in the same folder adds to the same file.
    type: path
    required: true
  targets:
    description: What to send. Required for O(state=started).
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the target in records and counts.
        type: str
        required: true
      url:
        description: The URL as clients write it. For V(grpc) with no path, the standard health check is called.
        type: str
        required: true
      protocol:
        description:
          - V(http1) and V(h2) are HTTP by that version; V(h2) over C(http://) is without upgrade.
          - V(grpc) is successful with C(grpc-status) 0.
          - V(websocket) counts each message that is answered as a request.
          - V(tls_passthrough) lets the server choose the HTTP version.
        type: str
        choices: [http1, h2, grpc, websocket, tls_passthrough]
        default: http1
      connect_to:
        description: Where to connect, as C(IP:PORT), whatever O(targets[].url) says. If not given, the name is
          resolved, by O(resolver) if that is given.
        type: str
        default: ''
      expect_status:
        description: The HTTP status that counts as success.
        type: int
        default: 200
      method:
        description: Request method. Others than the three listed are not sent by this module.
        type: str
        choices: [GET, HEAD, OPTIONS]
        default: GET
      headers:
        description: Request headers.
        type: dict
        default: {}
      weight:
        description: Share of O(rate), against the other targets.
        type: int
        default: 1
      connection_lifetime:
        description: Overrides O(connection_lifetime). Use 1 for WebSocket servers that close after one answer.
        type: int
        default: 0
      via_pattern:
        description:
          - Regular expression, looked for in the body of the answer and then in its headers. What its first group
            catches is recorded, to tell later which side answered; see O(colours).
        type: str
        default: ''
      body_base64:
        description:
          - For V(grpc) the message with its five byte frame, for V(websocket) the message, in Base64. Other protocols
            send no body.
        type: str
        default: ''
  rate:
    description: Requests a second, over all targets.
    type: float
    default: 100
  max_seconds:
    description: When the client ends by itself.
    type: float
    default: 3600
  connection_lifetime:
    description: Number of requests after which a connection is closed and a new one made.
    type: int
    default: 50
  timeout:
    description: Seconds after which a request has failed, counted from when it was due.
    type: float
    default: 10
  ca_file:
    description: PEM file of authorities. With it the servers' certificates are verified, without it they are not.
    type: path
    default: ''
  resolver:
    description:
      - DNS server, as C(HOST) or C(HOST:PORT), that is asked for the names of targets without C(connect_to). An answer
        is used for its TTL and not longer. A connection that is open is used on.
      - If not given, the machine's own resolver is used, by its own rules.
    type: str
    default: ''
  restart:
    description:
      - Whether O(state=started) may end a client that is running with other options and start anew. Otherwise that is
        an error.
    type: bool
    default: false
  since:
    description:
      - Count requests that were due at or after this UNIX time. V(0) counts everything in O(dir).
      - If neither this nor O(last_seconds) is given, counting begins with the start of the client that ran last.
    type: float
  last_seconds:
    description: Count requests that were due in these last seconds.
    type: float
  colours:
    description: Dictionary from a colour to the list of values, caught by O(targets[].via_pattern), that mean it.
    type: dict
    default: {}
requirements:
  - pycurl >= 7.49 (Python), for O(state=started)
  - dnspython >= 2.6 (Python), for O(resolver)
extends_documentation_fragment:
  - bluegreen.mesh.cluster.attributes
"""

EXAMPLES = r"""
- name: Ask two routes through the balancer, 300 times a second
  bluegreen.mesh.traffic_probe:
    state: started
    dir: /var/tmp/migration/traffic
    rate: 300
    targets:
      - name: shop
        url: https://shop.example.com/healthz
        protocol: h2
        connect_to: 192.0.2.10:443
        via_pattern: 'IP=(\S+)'
      - name: api
        url: https://api.example.com
        protocol: grpc
        connect_to: 192.0.2.10:443

- name: The last minute, told apart by the gateway pod that the backend saw
  bluegreen.mesh.traffic_probe:
    state: read
    dir: /var/tmp/migration/traffic
    last_seconds: 60
    colours:
      blue: [10.244.1.7, 10.244.2.7]
      green: [10.244.1.9, 10.244.2.9]
  register: traffic
  failed_when: not traffic.running or traffic.total.failed > 0

- name: End it, and count all that it sent
  bluegreen.mesh.traffic_probe:
    state: stopped
    dir: /var/tmp/migration/traffic
"""

RETURN = r"""
running:
  description: Whether the client is running now. A gate on traffic must not pass when it is not.
  returned: success
  type: bool
ended:
  description: Why the client is not running, V(stopped), V(max_seconds), V(never started), or V(died) when it did not
    say why.
  returned: when it is not running
  type: str
pid:
  description: Process id of the client that ran last.
  returned: when there was one
  type: int
started:
  description: UNIX time when that client started.
  returned: when there was one
  type: float
since:
  description: UNIX time from which requests are counted.
  returned: states read and stopped
  type: float
seconds_since_last:
  description: Seconds since the youngest request counted was due. Large while running means that records don't come.
  returned: when any were counted
  type: float
total:
  description:
    - Counts over all. With no requests, RV(total.requests) is 0 and the rate and latencies are null, never a good
      value.
  returned: states read and stopped
  type: dict
  contains: &tally
    requests:
      description: Number of requests.
      type: int
    failed:
      description: How many of them failed.
      type: int
    error_rate:
      description: Share that failed, 0 to 1.
      type: float
    p50_ms:
      description: Median latency in milliseconds, failed requests included.
      type: float
    p99_ms:
      description: 99th percentile of it.
      type: float
    p99_sent_ms:
      description:
        - 99th percentile of the latency from when a request was really sent. Compare sides by this one; on a busy
          machine, RV(total.p99_ms) is mostly the client's own lateness.
      type: float
    late:
      description: Requests that the client itself sent more than 20 ms after they were due, because its machine was
        busy.
      type: int
    retried:
      description: WebSocket messages that were sent again on a new connection.
      type: int
    first:
      description: UNIX time when the first was due.
      type: float
    last:
      description: UNIX time when the last was due.
      type: float
colours:
  description:
    - The same for each colour of O(colours), and for V(unknown). A request that failed before a backend answered is
      V(unknown).
  returned: states read and stopped
  type: dict
routes:
  description: The same for each target.
  returned: states read and stopped
  type: dict
protocols:
  description: The same for each protocol.
  returned: states read and stopped
  type: dict
errors:
  description: The first 20 failed requests.
  returned: states read and stopped
  type: list
  elements: dict
error_counts:
  description: How often each error occurred, the 20 most frequent.
  returned: states read and stopped
  type: dict
"""

import os
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.bluegreen.mesh.plugins.module_utils import (
    _compare, _module, _probe, _resolver, _traffic,
)  # fmt: skip

TARGET = {
    "name": {"type": "str", "required": True},
    "url": {"type": "str", "required": True},
    "protocol": {"type": "str", "choices": list(_traffic.PROTOCOLS), "default": "http1"},
    "connect_to": {"type": "str", "default": ""},
    "expect_status": {"type": "int", "default": 200},
    "method": {"type": "str", "choices": list(_probe.SAFE_METHODS), "default": "GET"},
    "headers": {"type": "dict", "default": {}},
    "weight": {"type": "int", "default": 1},
    "connection_lifetime": {"type": "int", "default": 0},
    "via_pattern": {"type": "str", "default": ""},
    "body_base64": {"type": "str", "default": ""},
}
SPEC = {
    "state": {"type": "str", "choices": ["started", "read", "stopped"], "required": True},
    "dir": {"type": "path", "required": True},
    "targets": {"type": "list", "elements": "dict", "options": TARGET, "default": []},
    "rate": {"type": "float", "default": 100.0},
    "max_seconds": {"type": "float", "default": 3600.0},
    "connection_lifetime": {"type": "int", "default": 50},
    "timeout": {"type": "float", "default": 10.0},
    "ca_file": {"type": "path", "default": ""},
    "resolver": {"type": "str", "default": ""},
    "restart": {"type": "bool", "default": False},
    "since": {"type": "float"},
    "last_seconds": {"type": "float"},
    "colours": {"type": "dict", "default": {}},
}


def operate(module: AnsibleModule, _cluster: None) -> dict[str, t.Any]:
    params = module.params
    folder = os.path.abspath(params["dir"])
    state = _traffic.read_state(folder)
    if params["state"] == "started":
        return _start(module, folder, state)
    changed = params["state"] == "stopped" and _traffic.running(state)
    diff = _diff(state, None) if changed else {}
    if changed:
        if not module.check_mode and not _traffic.stop(state, state["timeout"] + 15):
            raise _module.Refusal(
                "not_stopped", f"the client {state['pid']} of {folder} did not end; see client.log there."
            )
        state = _traffic.read_state(folder)
    if params["last_seconds"] is not None:
        since = time.time() - params["last_seconds"]
    elif params["since"] is not None:
        since = params["since"]
    else:
        since = state["started"] - 1 if state else 0.0
    records = _traffic.read_records(_traffic.records_path(folder), since, state["timeout"] if state else 60.0)
    summary = _traffic.summarise(records, params["colours"])
    if summary["total"]["requests"]:
        summary["seconds_since_last"] = round(time.time() - summary["total"]["last"], 1)
    return {"changed": changed, "since": since, **summary, **_traffic.describe(state), "diff": diff}


def _diff(state: dict[str, t.Any] | None, plan: _traffic.Plan | None) -> dict[str, t.Any]:
    """From the client that runs now, if one does, to one of this plan, or none. Targets by name: headers may be
    secret."""
    runs = state is not None and _traffic.running(state)
    return {
        "before": {"rate": state["rate"], "targets": state["targets"]} if runs else {},
        "after": {"rate": plan.rate, "targets": [target.name for target in plan.targets]} if plan else {},
    }


def _start(module: AnsibleModule, folder: str, state: dict[str, t.Any] | None) -> dict[str, t.Any]:
    if _probe.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("pycurl"), exception=_probe.IMPORT_ERROR)
    if module.params["resolver"] and _resolver.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("dnspython"), exception=_resolver.IMPORT_ERROR)
    try:
        plan = _traffic.plan_of(module.params)
    except ValueError as exc:
        raise _module.Refusal("bad_plan", str(exc)) from exc
    # Ansible shows what a module was told with what it says.
    module.params["targets"] = [_compare.shown_request(target) for target in module.params["targets"]]
    running = _traffic.running(state)
    if running and state["digest"] == plan.digest():
        return {"changed": False, **_traffic.describe(state)}
    if running and not module.params["restart"]:
        raise _module.Refusal(
            "already_running",
            f"a client with other options is running in {folder} (pid {state['pid']}, targets"
            f" {', '.join(state['targets'])}). Stop it, or set restart: true.",
            pid=state["pid"],
        )
    diff = _diff(state, plan)
    if module.check_mode:
        return {"changed": True, **_traffic.describe(state), "diff": diff}
    if running and not _traffic.stop(state, state["timeout"] + 15):
        raise _module.Refusal(
            "not_stopped", f"the client {state['pid']} of {folder} did not end; see client.log there."
        )
    try:
        state = _traffic.start(folder, plan)
    except (RuntimeError, OSError) as exc:
        raise _module.Refusal("not_started", f"the client in {folder} could not start: {exc}") from exc
    return {"changed": True, **_traffic.describe(state), "diff": diff}


def main() -> None:
    _module.run(
        operate, SPEC, cluster=False,
        required_if=[("state", "started", ("targets",))], mutually_exclusive=[("since", "last_seconds")],
    )  # fmt: skip


if __name__ == "__main__":
    main()
