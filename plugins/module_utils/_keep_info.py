# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What owners would keep and delete, who they are, and what goes with blue: looked at, and nothing changed."""

from __future__ import annotations

import typing as t

from . import _blue_proxies, _goes_with_blue, owners
from . import _helm_release as helm
from ._client import Cluster
from ._deletion_guard import KEPT_BY
from ._helm_storage import read_storage
from ._journal import Store
from ._keep import Wish, find_claims, frozen_by_journal, kept_by_journal, references
from ._keep_target import Target, read_targets
from ._module import Refusal
from ._resources import Ref, Resources, parse_namespaced, read_all
from .owners import istio_operator

WEBHOOKS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")


def inform(module: t.Any, cluster: Cluster) -> dict[str, t.Any]:
    resources = Resources(cluster)
    wanted = module.params.get("release")
    if wanted:
        return _inform_release(cluster, resources, wanted["name"], wanted["namespace"])
    wish = Wish(*references(module.params))
    journal = module.params.get("journal")
    store = Store(cluster, journal["namespace"], journal["name"]) if journal else None
    recorded = kept_by_journal(store, resources) if store else []
    services = module.params.get("services") or []
    mine = [Ref("v1", "Service", *parse_namespaced(name, "services")) for name in services]
    targets = read_targets(
        cluster, resources, wish.gateways, wish.secrets_namespace, [*wish.resources, *mine, *recorded], wish.needs
    )  # fmt: skip
    look = find_claims(cluster, targets, wish, module.warn)
    there = [target for target in targets if target.body is not None]
    owned = [
        {
            **target.report(
                live=target.annotations.get(helm.POLICY) == helm.KEEP,
                record=target.why == "kept", guard=KEPT_BY in target.annotations,
            ),
            "kept_by": target.annotations.get(KEPT_BY), "intact": target.intact,
        }
        for target in there
    ]  # fmt: skip
    operated = any(claim.owner == istio_operator.NAME for target in there for claim in target.claims)
    rest = istio_operator.rest(look, frozen_by_journal(store) if store else ()) if services and operated else None
    releases, going, ended = _goes_with_blue.going(owned, services, journal["name"] if journal else None, rest)
    for claim in (claim for item in owned for claim in item["claims"] if claim["name"] in ended):
        claim["source"] = False  # it makes nothing again once it is gone
    return {
        "changed": False, "owners": owned, **({"releases": releases, "going": going} if services else {}),
        "would_delete": owners.would_delete(there),
        "missing": [target.ref.as_dict() for target in targets if target.body is None],
        **(_blue_proxies.look(cluster, wish.gateways) if module.params.get("proxies") else {}),
    }  # fmt: skip


def _inform_release(cluster: Cluster, resources: Resources, name: str, namespace: str) -> dict[str, t.Any]:
    storage = read_storage(cluster, [name])
    found = storage.of(name, namespace)
    if not found:
        others = sorted({r.release_namespace for r in storage.latest() if r.release == name})
        hint = f"There is one of that name in: {', '.join(others)}." if others else "helm list -A shows what there is."
        raise Refusal("not_found", f"No Helm release {name} in namespace {namespace} is stored in this cluster. {hint}")
    if len(found) > 1:
        raise Refusal(
            "two_owners",
            f"Helm release {namespace}/{name} is stored more than once: {', '.join(r.where for r in found)}. Which one"
            " counts depends on HELM_DRIVER and on Flux's storage namespace; remove the one that is left over.",
            owners=[r.as_dict() for r in found],
        )
    record = found[0]

    def namespaced(api_version: str, kind: str) -> bool:
        served = resources.find(api_version, kind)
        return served[1] if served else True

    try:
        plan = helm.uninstall_plan(record.payload.release, namespaced)
    except helm.ReleaseError as exc:
        raise Refusal(
            exc.code,
            f"Helm release {namespace}/{name}, revision {record.revision} ({record.where}): {exc}. helm uninstall"
            " would give up there and delete nothing.",
            storage=record.where,
        ) from exc
    return {
        "changed": False, "release": record.as_dict(),
        "storage": [r.where for r in storage.series[(record.kind, record.namespace, record.release)]],
        **plan, **_live(cluster, resources, plan, (name, namespace)),
    }  # fmt: skip


def _live(
    cluster: Cluster, resources: Resources, plan: dict[str, list[dict[str, t.Any]]], release: tuple[str, str]
) -> dict[str, t.Any]:
    """dropped: what an upgrade or a rollback without these objects would do to them, which goes by the live annotation.
    taken_over: those to be deleted that say to be of another release by now; uninstall does not look. own_webhooks: the
    webhook configurations to be deleted that nobody could answer any more."""
    dropped: dict[str, list[dict[str, t.Any]]] = {"keep": [], "delete": [], "missing": []}
    taken_over, own_webhooks = [], []
    delete = [(item["kind"], item["namespace"], item["name"]) for item in plan["delete"]]
    entries = []
    for item in plan["keep"] + plan["delete"] + plan["neither"]:
        ref = Ref(item["api_version"], item["kind"], item["namespace"], item["name"])
        if resources.find(ref.api_version, ref.kind) is None:
            dropped["missing"].append(ref.as_dict())
        else:
            entries.append(ref)
    for ref, body in zip(entries, read_all(cluster, [resources.path(ref) for ref in entries])):
        policy = ((body or {}).get("metadata", {}).get("annotations") or {}).get(helm.POLICY)
        where = "missing" if body is None else "keep" if policy == helm.KEEP else "delete"
        dropped[where].append(ref.as_dict())
        owner = Target(ref, "", body).claim
        if owner and owner != release and (ref.kind, ref.namespace, ref.name) in delete:
            taken_over.append({**ref.as_dict(), "release": owner[0], "release_namespace": owner[1]})
        if ref.kind in WEBHOOKS and body and (ref.kind, ref.namespace, ref.name) in delete and _calls_only(body, delete):
            own_webhooks.append(ref.as_dict())
    return {"dropped": dropped, "taken_over": taken_over, "own_webhooks": own_webhooks}


def _calls_only(body: dict[str, t.Any], going: t.Sequence[tuple[str, str, str]]) -> bool:
    """Whether every webhook of this configuration is answered by a Service of these, as (kind, namespace, name)."""
    services = [(hook.get("clientConfig") or {}).get("service") for hook in body.get("webhooks") or []]
    return all(one and ("Service", one["namespace"], one["name"]) in going for one in services)
