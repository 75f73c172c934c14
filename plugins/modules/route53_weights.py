#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: route53_weights
short_description: Share of DNS answers that Route 53 gives with blue's and with green's records
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Reads and sets the weights of record sets in hosted zones of Route 53, so that a share of the answers for each host
    leads to green. Values and aliases of the types A, AAAA and CNAME are moved.
  - A simple record becomes two weighted ones in one request, which Route 53 carries out as a whole, so that the host
    has a record at any time. Weighted ones get other weights; what else they have (health check, set identifier) stays.
  - Every record set that changes is deleted as it was read and created anew in one request. Route 53 refuses all of it
    when one is no longer as it was read. What was written is waited for until all of Route 53's servers have it, and
    read back.
  - Hosts move together. Where they need several requests (several zones, many hosts) and one is refused, those before
    it are taken back.
options:
  region:
    description:
      - A region of the partition that the hosted zones are in. Route 53 itself has no regions.
      - If not given, the environment variable E(AWS_REGION) or E(AWS_DEFAULT_REGION) is used.
    type: str
    required: false
    default: us-east-1
  zones:
    description: Ids of the hosted zones that have the hosts. A host belongs to the innermost by name.
    type: list
    elements: str
    required: true
  endpoints:
    description:
      - Where clients are sent. A record belongs to the side of the entry to which it leads. A host that has only some
        of an entry's types (only A, say) keeps to these.
    type: list
    elements: dict
    required: true
    suboptions:
      blue:
        description: Blue's addresses, or one name, of a CNAME or of an alias.
        type: list
        elements: str
        required: true
      green:
        description: Green's, of the same types.
        type: list
        elements: str
        required: true
      blue_zone:
        description:
          - Records are aliases of O(endpoints[].blue), which is in this hosted zone, such as that which a load balancer
            has from AWS (its C(CanonicalHostedZoneId)).
        type: str
      green_zone:
        description: The same of green. Required with O(endpoints[].blue_zone).
        type: str
  hosts:
    description:
      - Names of the records, wildcards such as C(*.apps.example.com) among them. Required, but with O(records).
    type: list
    elements: str
    default: []
  missing:
    description: What to do about hosts without a record; V(skip) returns them in RV(missing).
    type: str
    choices: [refuse, skip]
    default: refuse
  foreign:
    description:
      - What to do about records that lead elsewhere, or have another routing policy. V(leave) moves the others and
        warns, which is for the way back.
    type: str
    choices: [refuse, leave]
    default: refuse
  green_percent:
    description:
      - Share of the answers that lead to green, in percent. Weights go to 255, so that any whole number can be given,
        and tenths from 0.4 to 99.6.
      - Without this, O(max_ttl) and O(records) the module only reads.
    type: float
  max_ttl:
    description: Lowers every TTL that is above this many seconds. An alias has none.
    type: int
  records:
    description:
      - Record sets as they are to be, by C(name), C(type) and C(sets). For putting back what was there.
      - Of several for one name and type, the last counts.
    type: list
    elements: dict
  finish:
    description:
      - With O(records), leaves green alone, with the TTL that these have, and simple where they are. Refused unless
        green has everything.
    type: bool
    default: false
  before:
    description:
      - Record sets as they were before the migration, as O(records) has them. RV(resources) has what came since.
    type: list
    elements: dict
    default: []
  expect_green_percent:
    description:
      - The share that is there if nobody else changed it. If another one is found, by more than half a percentage
        point, the module fails with V(foreign_change) and changes nothing. V(0) and V(100) are taken exactly.
      - A host that has the wanted share already is accepted, so that a run that was killed can be repeated.
    type: float
  wait:
    description:
      - Whether to return only when caches that honour the TTL have let go of what was there before. Counts from when
        the change was made, by this run or, with O(journal), by an earlier one.
      - With O(max_ttl) that is the old TTL. Wait for it before hosts are moved; with O(green_percent) and O(records)
        only the TTL of the records that these change is waited for. An alias is cached for 60 seconds.
    type: bool
    default: false
  timeout:
    description: Seconds that all of Route 53's servers have to take a change over.
    type: float
    default: 300.0
  kubeconfig:
    description: Path of the kubeconfig file; used for O(journal) only, and required with it.
    type: path
  context:
    description: Name of the context in O(kubeconfig); used for O(journal) only, and required with it.
    type: str
requirements:
  - kubernetes >= 31 (Python), with O(journal) only
extends_documentation_fragment:
  - bluegreen.mesh.aws
  - bluegreen.mesh.cluster.journal
  - bluegreen.mesh.cluster.attributes
notes:
  - Reading sends one request for each zone, and one for each page of 300 record sets of a zone that has one of the
    hosts. Setting adds one for each 1,000 values that go or come in a zone, at least one to see that it is in force, and reads
    the record sets again. RV(requests) has the numbers.
  - Check mode foresees everything but a refusal of AWS itself.
seealso:
  - module: bluegreen.mesh.dns_records
"""

EXAMPLES = r"""
- name: How are the hosts shared?
  bluegreen.mesh.route53_weights: &hosts
    zones: [Z0123456789ABCDEFGHIJ]
    endpoints:
      - blue: [blue-1234567890.eu-central-1.elb.amazonaws.com]
        blue_zone: Z215JYRZR1TBD5
        green: [green-1234567890.eu-central-1.elb.amazonaws.com]
        green_zone: Z215JYRZR1TBD5
      - {blue: [192.0.2.10], green: [192.0.2.20]}
    hosts: [shop.example.com, "*.apps.example.com"]

- name: Give green a tenth, if it has the hundredth that was set before
  bluegreen.mesh.route53_weights:
    <<: *hosts
    green_percent: 10
    expect_green_percent: 1
    wait: true
"""

RETURN = r"""
green_percent:
  description: Green's share in percent (in check mode, would be). V(null) where hosts differ; see RV(shares).
  returned: success
  type: float
  sample: 10.0
shares:
  description: The share of every host.
  returned: success
  type: list
  elements: dict
  contains:
    host:
      description: Its name.
      type: str
    green_percent:
      description: V(null) where its types differ, or a record is neither blue's nor green's.
      type: float
    wrong:
      description: Why it is neither's, or empty.
      type: str
records:
  description: The record sets as they are now, by C(name), C(type) and C(sets).
  returned: success
  type: list
  elements: dict
weights:
  description: The same, as O(bluegreen.mesh.infrastructure_files#module:weights) takes them.
  returned: success
  type: list
  elements: dict
resources:
  description:
    - Weighted record sets that came beside those in O(before), as
      O(bluegreen.mesh.infrastructure_files#module:resources) takes them.
  returned: success
  type: list
  elements: dict
missing:
  description: Hosts without a record, with O(missing=skip).
  returned: success
  type: list
  elements: str
backends:
  description: Every record set, as other balancers' servers.
  returned: success
  type: list
  elements: dict
  contains:
    backend:
      description: Name and type of the record.
      type: str
    server:
      description: Its values, or the name that it is an alias of.
      type: str
    colour:
      description: V(blue) or V(green).
      type: str
    weight:
      description: Its weight; V(1) of a simple one.
      type: int
    admin:
      description: Always V(ready).
      type: str
    health:
      description: Always V(UNCHECKED).
      type: str
    scur:
      description: Always V(null). DNS knows nothing of sessions.
      type: int
    name:
      description: Name of the record as AWS writes it.
      type: str
    type:
      description: Its type.
      type: str
    ttl:
      description: Its TTL; V(60) of an alias.
      type: int
    set_identifier:
      description: Empty where it is simple.
      type: str
    zone:
      description: Id of its hosted zone.
      type: str
stale_seconds:
  description: For how many more seconds caches that honour the TTL may give out what was there before.
  returned: success
  type: float
hosts_changed:
  description: Number of hosts whose records were changed; in check mode, would be.
  returned: success
  type: int
requests:
  description: Requests sent to AWS, by operation.
  returned: success
  type: dict
  sample: {get_hosted_zone: 1, list_resource_record_sets: 2, change_resource_record_sets: 1, get_change: 1}
"""

import time

from ansible.module_utils.basic import env_fallback, missing_required_lib

from ansible_collections.bluegreen.mesh.plugins.module_utils import (
    _aws,
    _dns,
    _dns_journal,
    _module,
    _route53,
    _route53_zones,
)
from ansible_collections.bluegreen.mesh.plugins.module_utils._journal import Journal

MAKES = ("green_percent", "max_ttl", "records")
KEPT = (*_aws.CONNECTION, "zones", "endpoints", "timeout")  # what an inverse needs to find the records again


def check_options(params):
    for name in ("green_percent", "expect_green_percent"):
        if params[name] is not None and not 0 <= params[name] <= 100:
            raise _module.Refusal("bad_option", f"{name}: {params[name]} is not between 0 and 100.")
    if params["max_ttl"] is not None and not 0 < params["max_ttl"] <= 86400:
        raise _module.Refusal("bad_option", f"max_ttl: {params['max_ttl']} is not between 1 and 86400 seconds.")
    if not params["hosts"] and not params["records"]:
        raise _module.Refusal("bad_option", "hosts is empty; name the hosts to look at.")
    _route53.recorded([*(params["records"] or ()), *params["before"]])
    if params["finish"] and not params["records"]:
        raise _module.Refusal("bad_option", "finish: needs records, which say how it was before.")


def changes_of(params, hosts):
    if params["expect_green_percent"] is not None:
        _route53.check_expected(hosts, params["expect_green_percent"], params["green_percent"])
    if params["green_percent"] is not None:
        return _route53.move(hosts, params["green_percent"])
    if params["max_ttl"] is not None:
        return _route53.lower(hosts, params["max_ttl"])
    return (_route53.finish if params["finish"] else _route53.restore)(hosts, params["records"])


def operation(module, _cluster):
    params = module.params
    if _aws.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("boto3"), exception=_aws.IMPORT_ERROR)
    check_options(params)
    endpoints = _route53.endpoints_of(params["endpoints"])
    names = [_dns.host_name("hosts", name) for name in params["hosts"] or [one["name"] for one in params["records"]]]
    zones = _route53_zones.Zones(_aws.Client.of(params), params["zones"], params["timeout"])
    hosts, missing = zones.read(list(dict.fromkeys(names)), endpoints, params["missing"])
    wished = any(params[name] is not None for name in MAKES)
    if wished and params["foreign"] == "refuse":
        _route53.check_wrong(hosts)
    changes = changes_of(params, hosts) if wished else []
    kind = "ttl" if params["max_ttl"] is not None else "records"
    journal = Journal.of(module) if wished and not module.check_mode else None
    stale = _dns_journal.Stale(journal, kind, "route53_weights", _route53.stale_for)
    if changes and not module.check_mode:
        steps = stale.record(changes, hosts, {name: params[name] for name in KEPT if params[name] is not None})
        zones.apply(changes)
        stale.done(steps)
    if wished and not module.check_mode:
        stale.made(sorted({host.zone for host in hosts}))
        if params["wait"]:
            time.sleep(stale.left())  # what caches elsewhere hold can't be asked for; only its time is known
    left_alone = [host.wrong for host in hosts if host.wrong]
    if wished and left_alone:
        module.warn(f"Left as they are: {'; '.join(left_alone)}")
    hosts = _route53.with_changes(hosts, changes, endpoints)
    return {
        "changed": bool(changes),
        "green_percent": _route53.share(hosts),
        "shares": [{"host": one.name, "green_percent": one.share, "wrong": one.wrong} for one in hosts],
        "records": [group.plain() for host in hosts for group in host.rrsets],
        "weights": _route53.weights(hosts),
        "resources": _route53.made(hosts, params["before"]),
        "missing": missing,
        "backends": _route53.backends(hosts),
        "stale_seconds": round(stale.left(), 1),
        "hosts_changed": len(changes),
        "requests": zones.client.requests,
        "diff": _route53.diff(changes),
    }


def main():
    side = {"type": "list", "elements": "str", "required": True}
    region = {"type": "str", "default": "us-east-1", "fallback": _aws.ARGS["region"]["fallback"]}
    _module.run(
        operation,
        {
            **_aws.ARGS,
            "region": region,
            "zones": {"type": "list", "elements": "str", "required": True},
            "endpoints": {
                "type": "list", "elements": "dict", "required": True,
                "options": {
                    "blue": side, "green": side, "blue_zone": {"type": "str"}, "green_zone": {"type": "str"},
                },
            },
            "hosts": {"type": "list", "elements": "str", "default": []},
            "missing": {"type": "str", "choices": ["refuse", "skip"], "default": "refuse"},
            "foreign": {"type": "str", "choices": ["refuse", "leave"], "default": "refuse"},
            "green_percent": {"type": "float"},
            "max_ttl": {"type": "int"},
            "records": {"type": "list", "elements": "dict"},
            "finish": {"type": "bool", "default": False},
            "before": {"type": "list", "elements": "dict", "default": []},
            "expect_green_percent": {"type": "float"},
            "wait": {"type": "bool", "default": False},
            "timeout": {"type": "float", "default": 300.0},
            "kubeconfig": {"type": "path", "fallback": (env_fallback, ["K8S_AUTH_KUBECONFIG"])},
            "context": {"type": "str", "fallback": (env_fallback, ["K8S_AUTH_CONTEXT"])},
        },
        cluster=False,
        journal=True,
        mutually_exclusive=[MAKES],
        required_by={"journal": ["kubeconfig", "context"]},
    )  # fmt: skip


if __name__ == "__main__":
    main()
