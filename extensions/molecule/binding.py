# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For the scenarios of binding by a policy: a corpus of VirtualServices of every shape, for which the cluster's answers
to dry runs are compared with the plans of _virtual_services."""

from __future__ import annotations

import json
import random
import typing as t

from ansible_collections.bluegreen.mesh.plugins.module_utils import _virtual_services as vs
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import Cluster, path_of

API = "networking.istio.io/v1"
VERSIONS = (API, "networking.istio.io/v1beta1", "networking.istio.io/v1alpha3")
NAMESPACES = ("mesh-a", "mesh-b")
# One of an everyday kind; one whose names are hard: with a dot, and called as the mesh itself is.
PAIRS = (vs.Pair("mesh-a/old", "mesh-a/new"), vs.Pair("mesh-b/side.door", "mesh-b/mesh"))
OPTIONS = [pair._asdict() for pair in PAIRS]
REFERENCES = (
    "mesh-a/old", "old", "./old", "old.mesh-a", "old.mesh-a.svc", "old.mesh-a.svc.cluster.local", "old.mesh-a.anything",
    "mesh-a/new", "new", "./new", "new.mesh-a.svc.cluster.local", "mesh-b/side.door", "side.door", "./side.door",
    "mesh-b/mesh", "mesh", "./mesh", "mesh.mesh-b", "mesh-a/mesh", "other/gateway", "gateway", "older", "mesh-a/older",
    "old.mesh-ab", "mesh-a/old.er", "xold.mesh-a", "new.mesh-b",
)  # fmt: skip
MALFORMED = ("a/b/c", "old.", "-old", "Old", "old.mesh-a/x", "mesh-a/", "./a/b", "old mesh-a", "old.mesh-a./x")


def virtual_service(
    name: str, gateways: list[str] | None, namespace: str = "mesh-a", **spec: t.Any
) -> dict[str, t.Any]:  # fmt: skip
    routes = {"http": [{"route": [{"destination": {"host": "nowhere"}}]}]}
    whole = {"hosts": [f"{name}.bind.test"], "gateways": gateways, **routes, **spec}
    meta = {"namespace": namespace, "name": name}
    used = {key: value for key, value in whole.items() if value is not None}
    return {"apiVersion": API, "kind": "VirtualService", "metadata": meta, "spec": used}


def corpus(count: int, seed: int) -> t.Iterator[dict[str, t.Any]]:
    """VirtualServices at random, the same ones each time."""
    dice = random.Random(seed)
    route = [{"destination": {"host": "nowhere", "port": {"number": 80}}}]

    def names() -> list[str]:
        pool = REFERENCES + MALFORMED if dice.random() < 0.1 else REFERENCES
        return [dice.choice(pool) for _n in range(dice.choice((1, 1, 2, 2, 3, 5)))]

    def matches(**fixed: t.Any) -> list[dict[str, t.Any]]:
        return [{**fixed, **({"gateways": names()} if dice.random() < 0.7 else {})} for _n in range(dice.randint(1, 3))]

    for number in range(count):
        spec: dict[str, t.Any] = {"http": []}
        for _n in range(dice.randint(0, 3)):
            match = matches(uri={"prefix": "/"}) if dice.random() < 0.8 else None
            spec["http"].append({"match": match, "route": route} if match else {"route": route})
        spec["http"].append({"route": route})
        if dice.random() < 0.3:
            spec["tls"] = [{"match": matches(sniHosts=["a.bind.test"]), "route": route}]
        if dice.random() < 0.3:
            spec["tcp"] = [{"match": matches(port=9000), "route": route}, {"route": route}]
        if dice.random() < 0.15:
            spec["hosts"] = None
        top = dice.choice((None, [], ["mesh"], *[names() for _n in range(7)]))
        body = virtual_service(f"corpus-{number}", top, dice.choice(NAMESPACES), **spec)
        if dice.random() < 0.05:
            body["metadata"]["labels"] = {vs.LEAVE_ALONE: dice.choice(("false", "true"))}
        yield body


def differences(
    cluster: Cluster, rule: vs.Bound, bodies: t.Iterable[dict[str, t.Any]], update: bool = False
) -> list[str]:  # fmt: skip
    """Where the cluster's admission makes something else of an object than our plan does, by dry runs in all versions.

    update: of an object that is there, `target` in each of NAMESPACES, instead of creating one.
    """

    def compare(item: tuple[int, dict[str, t.Any]]) -> str:
        number, body = item
        api, meta = VERSIONS[number % len(VERSIONS)], body["metadata"]
        if update:
            path = path_of(api, "virtualservices", meta["namespace"], "target")
            target = cluster.get(path)["metadata"]
            meta = {**meta, "name": "target", "resourceVersion": target["resourceVersion"]}
            answer = cluster.replace(path, {**body, "apiVersion": api, "metadata": meta}, dry_run=True)
        else:
            path = path_of(api, "virtualservices", meta["namespace"])
            answer = cluster.create(path, {**body, "apiVersion": api}, dry_run=True)
        plan = vs.plan_one({**body, "metadata": {"resourceVersion": "", **meta}}, rule)
        found, wanted = vs.lists_of(answer), plan.after
        ours = dict.fromkeys(("http", "tls", "tcp", "gateways"))
        rest = [{**given, **ours} for given in (answer["spec"], body["spec"])]
        if found == wanted and rest[0] == rest[1]:
            return ""
        return f"{json.dumps(body)}: {plan.verdict} ({plan.reason}), expected {wanted}, found {found}"

    answers = cluster.parallel(compare, list(enumerate(bodies)), 8)
    return [str(answer) for answer in answers if answer]
