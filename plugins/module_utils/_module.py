# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module of this collection has in common: its arguments, its way to fail, its connection."""

from __future__ import annotations

import json
import os
import traceback
import typing as t

from ansible.module_utils.basic import AnsibleModule, env_fallback, missing_required_lib

from . import _client

CLUSTER_ARGS: dict[str, t.Any] = {
    "kubeconfig": {"type": "path", "required": True, "fallback": (env_fallback, ["K8S_AUTH_KUBECONFIG"])},
    "context": {"type": "str", "required": True, "fallback": (env_fallback, ["K8S_AUTH_CONTEXT"])},
}
TRIES = 3  # of all the steps of one module
PLAN_FILE = "BLUEGREEN_MESH_PLAN"  # environment variable: where changes are written down while a plan is made
JOURNAL_ARGS: dict[str, t.Any] = {
    "journal": {
        "type": "dict",
        "options": {
            "namespace": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "epoch": {"type": "int", "required": True},
            "phase": {"type": "str", "required": True},
        },
    },
}


class Refusal(Exception):
    """A wish that we will not carry out. Nothing has been changed when it is raised before the first write.

    code: a stable word for machines (port_in_use, stale_epoch, ...); message: object, field, found, expected, what to do;
    details: plain data that goes into the module's `failure` return value.
    """

    def __init__(self, code: str, message: str, **details: t.Any) -> None:
        super().__init__(message)
        self.code = code
        self.details = details


class Step(t.Protocol):
    """One object, and what is to become of it."""

    @property
    def object(self) -> str:
        """Its kind and name."""

    @property
    def acts(self) -> bool:
        """Whether there is anything to do."""


class Write(Step, t.Protocol):
    @property
    def state(self) -> str:
        """What becomes of it, such as created."""


SomeStep = t.TypeVar("SomeStep", bound=Step)
SomeWrite = t.TypeVar("SomeWrite", bound=Write)


def settled(
    plan: t.Callable[[], t.Sequence[SomeStep]],
    write: t.Callable[[t.Sequence[SomeStep], list[str]], str | None],
    journal: t.Any,
) -> list[SomeStep]:
    """What became of each object: plans and writes, from the start again where something was changed in between.

    write(steps, recorded) returns the object that has changed since it was read, if one has, and adds to recorded the
    ids of the journal's steps. Raises Refusal conflict after TRIES tries.
    """
    first: dict[str, SomeStep] = {}
    recorded: list[str] = []
    for _attempt in range(TRIES):
        steps = plan()
        for step in steps:  # what an earlier try has written is unchanged now, and yet was changed by this run
            if step.object not in first or step.acts:
                first[step.object] = step
        contested = write(steps, recorded)
        if contested is None:
            break
    else:
        raise Refusal(
            "conflict", f"{contested} was changed by others during each of {TRIES} tries. What else writes it?"
        )
    if recorded:
        journal.done(*recorded)
    return list(first.values())


def carry_out(
    steps: t.Iterable[SomeWrite], write: t.Callable[[SomeWrite], t.Any], module: AnsibleModule,
    remedy: str = "Create the namespace first.",
) -> str | None:  # fmt: skip
    """Writes each step; returns the object that has changed since it was read, if one has, as settled() wants it.

    In check mode with the option expect_namespaces, what can't be made for want of its namespace counts as made. Raises
    Refusal namespace_missing, with the remedy, and ApiError for all else that the API server says.
    """
    for step in steps:
        try:
            write(step)
        except _client.ApiError as exc:
            if exc.status == 404 and step.state == "created":
                if module.check_mode and module.params["expect_namespaces"]:
                    continue
                raise Refusal("namespace_missing", f"{step.object} can't be made: {exc.text}. {remedy}") from exc
            if exc.status not in (404, 409):
                raise
            return step.object
    return None


def run(
    operation: t.Callable[[AnsibleModule, t.Any], dict[str, t.Any]],
    spec: dict[str, t.Any], *, cluster: bool = True, journal: bool = False, **options: t.Any,
) -> None:  # fmt: skip
    """Runs a module: operation(module, cluster or None) returns the result for exit_json.

    options go to AnsibleModule (required_if, ...); check mode is supported by every module of ours. Refusal and
    ClusterError become fail_json with failure={code, ...details}.
    """
    arguments = {**(CLUSTER_ARGS if cluster else {}), **(JOURNAL_ARGS if journal else {}), **spec}
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True, **options)
    try:
        result = operation(module, connect(module) if cluster else None)
    except Refusal as exc:
        module.fail_json(msg=str(exc), failure={"code": exc.code, **exc.details})
    except _client.ApiError as exc:
        module.fail_json(
            msg=str(exc), failure={"code": "api", "status": exc.status, "reason": exc.reason, "path": exc.path}
        )
    except _client.ClusterError as exc:
        module.fail_json(msg=str(exc), failure={"code": "cluster"})
    if module.check_mode and os.environ.get(PLAN_FILE):
        tell_plan(module, result)
    if not module._diff:
        result.pop("diff", None)
    module.exit_json(**result)


def connect(module: AnsibleModule) -> _client.Cluster:
    """By the module's own kubeconfig and context. Ends the module where Python lacks the client. Raises ClusterError."""
    try:
        return _client.Cluster(module.params["kubeconfig"], module.params["context"])
    except ImportError:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=traceback.format_exc())


def tell_plan(module: AnsibleModule, result: dict[str, t.Any]) -> None:
    """Appends what this module would change to the plan that is being made."""
    from . import _plan  # which needs Refusal

    if result.get("changed") and module._name.rpartition(".")[2] not in _plan.UNSEEN:
        changes = _plan.changes_of(module._name.rpartition(".")[2], module.params, result.get("diff") or {})
        with open(os.environ[PLAN_FILE], "a", encoding="utf-8") as file:
            file.writelines(json.dumps(change) + "\n" for change in changes)
