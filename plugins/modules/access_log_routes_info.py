#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: access_log_routes_info
short_description: Probes from what clients really ask, by access logs
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Reads access logs, finds for each request the route of the Gateways that took it, and picks some requests of each
    route as probes for M(bluegreen.mesh.route_info), so that rare routes have as many as busy ones.
  - Says which configured routes saw no traffic, and which traffic hit no route.
  - Probes are GET and HEAD only, without headers and bodies. In queries and paths, what is a secret by its name or
    its looks is masked. A request that would reach another route once masked is not used.
  - Logs are read once, line by line; memory does not grow with them. The same logs give the same probes.
  - Needs C(list) on C(gateways.networking.istio.io), C(virtualservices.networking.istio.io), C(services) and C(pods).
options:
  gateways:
    description: The Gateways to look at, as C(NAMESPACE/NAME).
    type: list
    elements: str
    required: true
  files:
    description: Access logs on the host that runs the module, as they are or compressed by gzip.
    type: list
    elements: path
    default: []
  text:
    description: Lines of a log, for example the output of a command, besides O(files).
    type: str
    default: ''
  format:
    description:
      - V(envoy) is Envoy's and Istio's default text, V(istio_json) Istio's JSON, V(haproxy) HAProxy's HTTP format.
      - V(auto) finds out for each file.
    type: str
    choices: [auto, envoy, istio_json, haproxy]
    default: auto
  per_route:
    description: Probes for each route at most.
    type: int
    default: 3
  exclude_paths:
    description:
      - Regular expressions of paths that are not asked for, besides those that look like signing out, confirming,
        deleting or returning from a sign-in.
    type: list
    elements: str
    default: []
  default_exclude_paths:
    description: Whether paths of that kind are left out.
    type: bool
    default: true
  max_unmatched:
    description: Entries in RV(unmatched) at most, the most frequent first.
    type: int
    default: 50
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.cluster.info
"""

EXAMPLES = r"""
- name: What did clients ask blue for yesterday
  bluegreen.mesh.access_log_routes_info:
    kubeconfig: ~/.kube/config
    context: prod-eu
    gateways: [istio-system/public]
    files:
      - /var/log/gateways/public.log.1.gz
  register: asked

- name: Probe just that, too
  bluegreen.mesh.route_info:
    kubeconfig: ~/.kube/config
    context: prod-eu
    gateways: [istio-system/public]
    samples: "{{ asked.samples }}"
"""

RETURN = r"""
samples:
  description: Probes, as O(bluegreen.mesh.route_info#module:samples) takes them, in the order of RV(routes).
  returned: success
  type: list
  elements: dict
routes:
  description: Every route of the Gateways that takes HTTP, with what was asked of it.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: Gateway, server port, host, VirtualService and place of the route in it.
      type: str
    gateway:
      description: The Gateway.
      type: str
    port:
      description: The Gateway's server port.
      type: int
    host:
      description: The host that Gateway and VirtualService have in common.
      type: str
    virtual_service:
      description: The VirtualService, or null for a server that redirects to HTTPS.
      type: str
    route:
      description: Place in the VirtualService.
      type: str
    requests:
      description: Requests that it took.
      type: int
    statuses:
      description: Number of requests by status.
      type: dict
    unsafe:
      description: Requests by methods other than GET and HEAD, of which no probe is made.
      type: int
    samples:
      description: Number of probes picked.
      type: int
silent:
  description: RV(routes[].id) of routes that saw no traffic.
  returned: success
  type: list
  elements: str
undecided:
  description:
    - RV(routes[].id) of routes that headers decide on. Logs do not have those, so their traffic counts for the route
      behind them.
  returned: success
  type: list
  elements: str
unmatched:
  description: Traffic that hit no route.
  returned: success
  type: list
  elements: dict
  contains:
    host:
      description: Host that was asked for.
      type: str
    path:
      description: The first part of the path.
      type: str
    reason:
      description: V(unknown_host), V(no_route), or V(no_host) where the log does not have it.
      type: str
    requests:
      description: How many.
      type: int
    statuses:
      description: Number of requests by status.
      type: dict
unmatched_requests:
  description: Number of all requests that hit no route.
  returned: success
  type: int
files:
  description:
    - For each source, C(path), and the number of C(lines), of C(requests), of our C(own) probes, of lines C(not_http)
      (TCP, broken requests), of the proxy's and its agent's own C(log), and of C(unreadable) ones.
  returned: success
  type: list
  elements: dict
seconds:
  description: How long reading took.
  returned: success
  type: float
rate:
  description: Lines a second.
  returned: success
  type: float
"""

import dataclasses
import re
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bluegreen.mesh.plugins.module_utils import _access_log, _gateways, _module, _routes
from ansible_collections.bluegreen.mesh.plugins.module_utils.access_logs import FORMATS

SPEC = {
    "gateways": {"type": "list", "elements": "str", "required": True},
    "files": {"type": "list", "elements": "path", "default": []},
    "text": {"type": "str", "default": "", "no_log": True},
    "format": {"type": "str", "choices": ["auto", *FORMATS], "default": "auto"},
    "per_route": {"type": "int", "default": 3},
    "exclude_paths": {"type": "list", "elements": "str", "default": []},
    "default_exclude_paths": {"type": "bool", "default": True},
    "max_unmatched": {"type": "int", "default": 50},
}


def operate(module: AnsibleModule, cluster: t.Any) -> dict[str, t.Any]:
    params = module.params
    patterns = [*(_access_log.EXCLUDED if params["default_exclude_paths"] else ()), *params["exclude_paths"]]
    try:
        excluded = [re.compile(pattern) for pattern in patterns]
    except re.error as exc:
        raise _module.Refusal("bad_input", f"exclude_paths: {exc.pattern!r} is no regular expression: {exc}") from exc
    if not params["files"] and not params["text"]:
        raise _module.Refusal("bad_input", "there is no log; give files or text.")
    if params["per_route"] < 1:
        raise _module.Refusal("bad_input", f"per_route is {params['per_route']}; it must be at least 1.")
    world = _gateways.read(cluster, params["gateways"], nodes=False)
    tables = _routes.tables(world.gateways, _gateways.istio_list(cluster, "virtualservices"), world.workloads())
    tally = _access_log.Tally(tables, params["per_route"], excluded)
    started = time.monotonic()
    sources = [(path, _access_log.lines_of(path)) for path in params["files"]]
    if params["text"]:
        sources.append(("text", iter(params["text"].splitlines())))
    files = [{"path": name, **_read(name, lines, params["format"], tally)} for name, lines in sources]
    seconds = time.monotonic() - started
    return {
        "changed": False,
        **_access_log.summary(tally, params["max_unmatched"]),
        "files": files,
        "seconds": round(seconds, 2),
        "rate": round(sum(one["lines"] for one in files) / seconds, 1) if seconds > 0 else 0.0,
    }


def _read(name: str, lines: t.Iterable[str], wanted: str, tally: _access_log.Tally) -> dict[str, int]:
    """Raises Refusal for what can't be read, and for a log of another format: of nothing nothing follows."""
    try:
        found = _access_log.count(lines, wanted, tally)
    except (OSError, EOFError) as exc:
        raise _module.Refusal("unreadable_log", f"{name}: {exc}", path=name) from exc
    if found.unreadable > (found.lines - found.log) / 2:
        raise _module.Refusal(
            "unknown_format",
            f"{name}: {found.unreadable} of {found.lines} lines are not of format {wanted} ({', '.join(FORMATS)} are "
            "known). Set format, or give the log as the proxy wrote it.",
            path=name,
        )
    return dataclasses.asdict(found)


def main() -> None:
    _module.run(operate, SPEC)


if __name__ == "__main__":
    main()
