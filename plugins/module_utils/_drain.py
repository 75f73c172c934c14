# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ending a gateway pod so that what is open at it ends: which pods, how long they have, and what became of it. Pure."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ._module import Refusal

GRACE = 30  # terminationGracePeriodSeconds, where a pod does not say it
# Of the proxy, as a variable of its container, and as a setting in the annotation or variable of its configuration.
VARIABLES = {
    "exit_on_zero_active_connections": "EXIT_ON_ZERO_ACTIVE_CONNECTIONS",
    "minimum_drain_duration": "MINIMUM_DRAIN_DURATION",
    "termination_drain_duration": "TERMINATION_DRAIN_DURATION_SECONDS",
}
# What of a pod's time is told to people, by the names that docs/idleness.md has.
TOLD = {
    "termination_grace_period_seconds": "terminationGracePeriodSeconds", **VARIABLES,
    "termination_drain_duration": "terminationDrainDuration",
}  # fmt: skip
_DURATION = re.compile(r'terminationDrainDuration"?\s*:\s*"?([\d.]+\w*)')
Pod = dict[str, t.Any]


@dataclasses.dataclass
class Drained:
    """One pod. open_connections: when it was evicted; last_seen: those open when it was seen for the last time, so many
    seconds (last_seen_after) after that; seconds: until it was gone. None is unknown."""

    namespace: str
    name: str
    open_connections: int | None
    last_seen: int | None
    last_seen_after: float = 0.0
    seconds: float = 0.0
    time_given: dict[str, t.Any] = dataclasses.field(default_factory=dict)


def grace_of(pod: Pod) -> int:
    said = pod["spec"].get("terminationGracePeriodSeconds")
    return GRACE if said is None else int(said)


def time_given(pod: Pod) -> dict[str, t.Any]:
    """How long it may take to end, and what the proxy does with that time, as far as the pod says it."""
    variables: dict[str, str] = {}
    for container in pod["spec"].get("containers") or []:
        for one in container.get("env") or []:
            if "value" in one:
                variables.setdefault(one["name"], str(one["value"]))
    found: dict[str, t.Any] = {"termination_grace_period_seconds": grace_of(pod)}
    found |= {name: variables.get(variable) for name, variable in VARIABLES.items()}
    annotations = pod["metadata"].get("annotations") or {}
    for text in (annotations.get("proxy.istio.io/config") or "", variables.get("PROXY_CONFIG") or ""):
        if match := _DURATION.search(text):
            found["termination_drain_duration"] = found["termination_drain_duration"] or match[1]
    return found


def going(pod: Pod) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))


def check_replaced(pods: t.Iterable[Pod]) -> None:
    """Refuses a pod that nothing would replace: blue must remain. Raises Refusal(no_controller)."""
    alone = [
        f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        for pod in pods
        if not any(owner.get("controller") for owner in pod["metadata"].get("ownerReferences") or [])
    ]
    if alone:
        raise Refusal(
            "no_controller",
            f"Pod {', '.join(alone)}: metadata.ownerReferences has no controller, so nothing would replace it. End its"
            " connections by hand, or have a Deployment own it. Nothing was evicted.",
            pods=alone,
        )


def eviction(pod: Pod, dry_run: bool) -> dict[str, t.Any]:
    """The request for exactly this pod, and not for another one of the same name."""
    meta = pod["metadata"]
    options: dict[str, t.Any] = {"preconditions": {"uid": meta["uid"]}, **({"dryRun": ["All"]} if dry_run else {})}
    return {
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"namespace": meta["namespace"], "name": meta["name"]},
        "deleteOptions": options,
    }  # fmt: skip


def forbidden(pod: Pod, body: dict[str, t.Any]) -> Refusal | None:
    """What a PodDisruptionBudget's refusal means, from the API server's answer; None where it is not one."""
    causes = (body.get("details") or {}).get("causes") or []
    why = "; ".join(one.get("message") or "" for one in causes if one.get("reason") == "DisruptionBudget")
    if not why:
        return None
    return Refusal(
        "budget_forbids",
        f"Pod {pod['metadata']['namespace']}/{pod['metadata']['name']}: a PodDisruptionBudget does not let it be evicted"
        f" now: {why.rstrip('.')}. Have one more pod ready (spec.replicas, or the minimum of its autoscaler), or allow one"
        " disruption there, and run it again.",
        pod=pod["metadata"]["name"], why=why,
    )  # fmt: skip


def replaced(before: t.Sequence[Pod], now: t.Sequence[Pod], ready: t.Callable[[Pod], bool]) -> bool:
    """Whether as many pods are ready as before, without those that are ending."""

    def serving(pods: t.Sequence[Pod]) -> int:
        return sum(ready(pod) and not going(pod) for pod in pods)

    return serving(now) >= max(1, serving(before))


def total_cut(drained: t.Iterable[Drained]) -> int | None:
    """Connections that were open when their pod was last seen; None when it is not known of one of them."""
    numbers = [one.last_seen for one in drained]
    return None if None in numbers else sum(t.cast("list[int]", numbers))


def words_of(one: Drained) -> str:
    """What became of one pod's connections, for people."""
    begun = "an unknown number of" if one.open_connections is None else one.open_connections
    last = "it is not known how many at its end" if one.last_seen is None else (
        f"{one.last_seen} when last seen, {one.last_seen_after:g} s later"
    )  # fmt: skip
    given = [f"{name} {one.time_given[key]}" for key, name in TOLD.items() if one.time_given.get(key) is not None]
    return (
        f"{one.namespace}/{one.name}: {begun} open connections when evicted, {last}; gone after {one.seconds:g} s"
        f" ({', '.join(given)})"
    )
