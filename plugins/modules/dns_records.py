#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dns_records
short_description: Hosts whose DNS records point to blue or to green, moved by dynamic updates
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Reads the address and CNAME records of hosts at the zone's primary server, and moves as many hosts from blue's
    addresses to green's, or back, as a share asks for. Uses dynamic updates (RFC 2136), signed with a TSIG key.
  - All hosts of a zone move in one update, which the server carries out as a whole or not at all. It has prerequisites,
    so that the server refuses it when a record is no longer as it was read. What was written is read back, and every
    secondary is waited for.
  - A share is one of hosts, rounded up. Going up, the first hosts in O(order) that are blue's join those that are
    green's; going down, the last ones leave.
  - A host that only a wildcard record answers is moved by moving that wildcard, and all other names with it.
options:
  server:
    description: The zones' primary server, as C(HOST), C(HOST:PORT) or C([IPV6]:PORT).
    type: str
    required: true
  secondaries:
    description:
      - The zones' other authoritative servers, written like O(server). A change has been made when all of them have
        a serial number that is not older than the primary's.
    type: list
    elements: str
    default: []
  zones:
    description: The zones that have the hosts. A host belongs to the innermost.
    type: list
    elements: str
    required: true
  key_file:
    description:
      - File with the TSIG key, as C(tsig-keygen) (BIND) or C(keymgr -t) (Knot) writes it, on the host that the task
        runs on.
      - Without it and without O(key_secret) requests are not signed.
    type: path
  key_name:
    description: Name of the TSIG key, with O(key_secret).
    type: str
  key_algorithm:
    description: Algorithm of the TSIG key, with O(key_secret).
    type: str
    choices: [hmac-sha224, hmac-sha256, hmac-sha384, hmac-sha512]
    default: hmac-sha256
  key_secret:
    description: The TSIG key itself, in Base64. Is never written to the journal; a rollback has to be given it again.
    type: str
  endpoints:
    description:
      - Where clients are sent. A record belongs to the side of the entry whose addresses are exactly its own. A host
        that has only some of an entry's types (only A, say) keeps to these.
    type: list
    elements: dict
    required: true
    suboptions:
      blue:
        description: Blue's addresses, or one name where records are CNAMEs.
        type: list
        elements: str
        required: true
      green:
        description: Green's, of the same types.
        type: list
        elements: str
        required: true
  hosts:
    description: Names of the hosts, wildcards such as C(*.apps.example.com) among them. Required, but with O(records).
    type: list
    elements: str
    default: []
  order:
    description:
      - In which order hosts move. V(names) is by name, with wildcard records last. V(listed) is as in O(hosts).
    type: str
    choices: [names, listed]
    default: names
  missing:
    description: What to do about hosts without a record; V(skip) returns them in RV(missing).
    type: str
    choices: [refuse, skip]
    default: refuse
  foreign:
    description:
      - What to do about records that are neither blue's nor green's. V(leave) moves the others and warns, which is for
        the way back.
    type: str
    choices: [refuse, leave]
    default: refuse
  green_percent:
    description:
      - Share of the hosts that green is to have. Without this, O(max_ttl) and O(records) the module only reads.
    type: float
  max_ttl:
    description: Lowers every TTL that is above this many seconds. Addresses stay.
    type: int
  records:
    description:
      - Records as they are to be, by C(name), C(type), C(ttl) and C(values). One without C(values) keeps its own. For
        putting back what was there.
    type: list
    elements: dict
  expect_green_percent:
    description:
      - The share that is there if nobody else changed it. If another number of hosts is green's, the module fails with
        V(foreign_change) and changes nothing. The number that is wanted is accepted, so that a run that was killed can
        be repeated.
    type: float
  wait:
    description:
      - Whether to return only when caches that honour the TTL have let go of what was there before. Counts from when
        the change was made, by this run or, with O(journal), by an earlier one.
      - With O(max_ttl) that is the old TTL. Wait for it before hosts are moved; with O(green_percent) and O(records)
        only the TTL of the records that these move is waited for.
    type: bool
    default: false
  timeout:
    description: Seconds to wait for an answer of a server.
    type: float
    default: 5.0
  secondary_timeout:
    description: Seconds to wait until all secondaries have a change.
    type: float
    default: 60.0
  kubeconfig:
    description: Path of the kubeconfig file; used for O(journal) only, and required with it.
    type: path
  context:
    description: Name of the context in O(kubeconfig); used for O(journal) only, and required with it.
    type: str
requirements:
  - dnspython >= 2.6 (Python)
  - kubernetes >= 31 (Python), with O(journal) only
extends_documentation_fragment:
  - bluegreen.mesh.cluster.journal
  - bluegreen.mesh.cluster.attributes
notes:
  - Check mode foresees everything but a refusal of the server.
  - Whether a name has records of its own or a wildcard's is asked by an update that changes nothing, in check mode too.
"""

EXAMPLES = r"""
- name: Which hosts are where?
  bluegreen.mesh.dns_records: &dns
    server: ns1.example.com
    secondaries: [ns2.example.com]
    zones: [example.com]
    key_file: /etc/mesh/mover.key
    endpoints:
      - {blue: [192.0.2.10], green: [192.0.2.20]}
    hosts: [shop.example.com, "*.apps.example.com"]

- name: Lower the TTL, and wait until nobody has the old one any more
  bluegreen.mesh.dns_records:
    <<: *dns
    max_ttl: 30
    wait: true

- name: Give green half of the hosts, if it has none
  bluegreen.mesh.dns_records:
    <<: *dns
    green_percent: 50
    expect_green_percent: 0
    wait: true
"""

RETURN = r"""
green_percent:
  description: Share of the hosts that is green's (in check mode, would be). V(null) if a host is neither's.
  returned: success
  type: float
  sample: 50.0
shares:
  description: The same for each zone, with the names of the hosts.
  returned: success
  type: list
  elements: dict
  contains:
    zone:
      description: The zone.
      type: str
    green_percent:
      description: Share of its hosts that is green's. V(null) if a host is neither's.
      type: float
    blue:
      description: Hosts that are blue's.
      type: list
      elements: str
    green:
      description: Hosts that are green's.
      type: list
      elements: str
    neither:
      description: Hosts with other records.
      type: list
      elements: str
records:
  description: The records, as they are now.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Owner name.
      type: str
    type:
      description: V(A), V(AAAA) or V(CNAME).
      type: str
    ttl:
      description: TTL in seconds.
      type: int
    values:
      description: Addresses, or the CNAME's target.
      type: list
      elements: str
weights:
  description: The same, as O(bluegreen.mesh.infrastructure_files#module:weights) takes them.
  returned: success
  type: list
  elements: dict
hosts:
  description: The owner names in the order in which they move, each with the names of O(hosts) that it answers.
  returned: success
  type: dict
missing:
  description: Hosts without a record, with O(missing=skip).
  returned: success
  type: list
  elements: str
backends:
  description: Each host with blue's and green's addresses, as other balancers' servers.
  returned: success
  type: list
  elements: dict
  contains:
    backend:
      description: Owner name.
      type: str
    server:
      description: Address, or CNAME target.
      type: str
    colour:
      description: V(blue) or V(green).
      type: str
    active:
      description: Whether the record is this side's now.
      type: bool
    admin:
      description: Always V(ready).
      type: str
    health:
      description: Always V(UNCHECKED).
      type: str
    scur:
      description: Always V(null). DNS knows nothing of sessions.
      type: int
    zone:
      description: The zone.
      type: str
    type:
      description: Type of the record.
      type: str
    ttl:
      description: Its TTL.
      type: int
    dns_server:
      description: O(server).
      type: str
    key_file:
      description: O(key_file), or empty.
      type: str
stale_seconds:
  description: For how many more seconds caches that honour the TTL may give out what was there before.
  returned: success
  type: float
hosts_changed:
  description: Number of hosts whose records were changed; in check mode, would be.
  returned: success
  type: int
"""

import time

from ansible.module_utils.basic import env_fallback, missing_required_lib

from ansible_collections.bluegreen.mesh.plugins.module_utils import _dns, _dns_client, _dns_journal, _module
from ansible_collections.bluegreen.mesh.plugins.module_utils._journal import Journal

MAKES = ("green_percent", "max_ttl", "records")
# What an inverse needs to find the records again. The secret is never among it.
KEPT = ("server", "secondaries", "zones", "key_file", "key_name", "key_algorithm", "endpoints", "timeout",
        "secondary_timeout")  # fmt: skip


def servers_of(params):
    text = None
    if params["key_file"]:
        try:
            with open(params["key_file"], encoding="utf-8") as file:
                text = file.read()
        except (OSError, ValueError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) else "it is not text"
            raise _module.Refusal("bad_key", f"key_file {params['key_file']} can't be read: {reason}.") from exc
    key = _dns.read_key(params["key_name"], params["key_algorithm"], params["key_secret"], text, params["key_file"])
    zones = [_dns.host_name("zones", zone) for zone in params["zones"]]
    primary, *others = [
        _dns.address("server" if index == 0 else "secondaries", one)
        for index, one in enumerate([params["server"], *params["secondaries"]])
    ]
    return _dns_client.Servers(
        _dns_client.Server(*primary, params["timeout"], key),
        [_dns_client.Server(*one, params["timeout"]) for one in others],
        zones, params["secondary_timeout"],
    )  # fmt: skip


def changes_of(params, hosts):
    if params["expect_green_percent"] is not None:
        _dns.check_expected(hosts, params["expect_green_percent"], params["green_percent"])
    if params["green_percent"] is not None:
        return _dns.move(hosts, params["green_percent"])
    if params["max_ttl"] is not None:
        return _dns.lower(hosts, params["max_ttl"])
    return _dns.restore(hosts, params["records"])


def check_options(params):
    for name in ("green_percent", "expect_green_percent"):
        if params[name] is not None and not 0 <= params[name] <= 100:
            raise _module.Refusal("bad_option", f"{name}: {params[name]} is not between 0 and 100.")
    if params["max_ttl"] is not None and not 0 < params["max_ttl"] <= 86400:
        raise _module.Refusal("bad_option", f"max_ttl: {params['max_ttl']} is not between 1 and 86400 seconds.")
    for one in params["records"] or ():
        if not {"name", "type"} <= one.keys() <= {"name", "type", "ttl", "values"}:
            raise _module.Refusal("bad_option", f"records: {one} is not of name, type, ttl and values.")
    if not params["hosts"] and not params["records"]:
        raise _module.Refusal("bad_option", "hosts is empty; name the hosts to look at.")


def operation(module, _cluster):
    params = module.params
    if _dns_client.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("dnspython"), exception=_dns_client.IMPORT_ERROR)
    check_options(params)
    endpoints = _dns.endpoints_of(params["endpoints"])
    names = [_dns.host_name("hosts", name) for name in params["hosts"] or [one["name"] for one in params["records"]]]
    servers = servers_of(params)
    hosts, missing = servers.read(list(dict.fromkeys(names)), endpoints, params["missing"])
    hosts = _dns.ordered(hosts, params["order"])
    wished = any(params[name] is not None for name in MAKES)
    if wished and params["foreign"] == "refuse":
        _dns.check_neither(hosts)
    changes = changes_of(params, hosts) if wished else []
    kind = "ttl" if params["max_ttl"] is not None else "records"
    stale = _dns_journal.Stale(Journal.of(module) if wished and not module.check_mode else None, kind)
    if changes and not module.check_mode:
        kept = {name: params[name] for name in KEPT if params[name] is not None}
        steps = stale.record(changes, hosts, kept)
        servers.apply(changes)
        stale.done(steps)
    hosts = _dns.with_changes(hosts, changes, endpoints)
    if wished and not module.check_mode:
        servers.agree(host.zone for host in hosts)
        stale.made(sorted({host.zone for host in hosts}))
        if params["wait"]:
            time.sleep(stale.left())  # what caches elsewhere hold can't be asked for; only its time is known
    left_alone = [host.name for host in hosts if not host.colour]
    if wished and left_alone:
        module.warn(f"Left as they are, neither blue's nor green's: {', '.join(left_alone)}")
    place = {"dns_server": params["server"], "key_file": params["key_file"] or ""}
    return {
        "changed": bool(changes),
        "green_percent": _dns.share(hosts),
        "shares": _dns.shares(hosts),
        "records": [rrset.plain() for host in hosts for rrset in host.rrsets],
        "weights": _dns.weights(hosts),
        "hosts": {host.name: list(host.hosts) for host in hosts},
        "missing": missing,
        "backends": [{**one, **place} for one in _dns.backends(hosts)],
        "stale_seconds": round(stale.left(), 1),
        "hosts_changed": len(changes),
        "diff": _dns.diff(changes),
    }


def main():
    side = {"type": "list", "elements": "str", "required": True}
    _module.run(
        operation,
        {
            "server": {"type": "str", "required": True},
            "secondaries": {"type": "list", "elements": "str", "default": []},
            "zones": {"type": "list", "elements": "str", "required": True},
            "key_file": {"type": "path", "no_log": False},
            "key_name": {"type": "str", "no_log": False},
            "key_algorithm": {
                "type": "str", "choices": list(_dns.ALGORITHMS), "default": "hmac-sha256", "no_log": False,
            },
            "key_secret": {"type": "str", "no_log": True},
            "endpoints": {
                "type": "list", "elements": "dict", "required": True, "options": {"blue": side, "green": side},
            },
            "hosts": {"type": "list", "elements": "str", "default": []},
            "order": {"type": "str", "choices": ["names", "listed"], "default": "names"},
            "missing": {"type": "str", "choices": ["refuse", "skip"], "default": "refuse"},
            "foreign": {"type": "str", "choices": ["refuse", "leave"], "default": "refuse"},
            "green_percent": {"type": "float"},
            "max_ttl": {"type": "int"},
            "records": {"type": "list", "elements": "dict"},
            "expect_green_percent": {"type": "float"},
            "wait": {"type": "bool", "default": False},
            "timeout": {"type": "float", "default": 5.0},
            "secondary_timeout": {"type": "float", "default": 60.0},
            "kubeconfig": {"type": "path", "fallback": (env_fallback, ["K8S_AUTH_KUBECONFIG"])},
            "context": {"type": "str", "fallback": (env_fallback, ["K8S_AUTH_CONTEXT"])},
        },
        cluster=False,
        journal=True,
        mutually_exclusive=[MAKES, ("key_file", "key_secret")],
        required_by={"journal": ["kubeconfig", "context"], "key_secret": ["key_name"]},
    )  # fmt: skip


if __name__ == "__main__":
    main()
