# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy of a journal outside the cluster, and the way back from it.

A copy holds the ConfigMap's data and the Secrets with what is too large or too secret for it. So it is a secret itself:
mode 0600, one file for each run.
"""

from __future__ import annotations

import json
import os
import tempfile
import typing as t

from ._client import ApiError, path_of
from ._journal import JOURNAL_LABEL, LABELS, State, Store, now
from ._module import Refusal

FORMAT = 1
# A run that took an epoch after the copy was made may still be there: what is restored is beyond any of these.
EPOCHS_BETWEEN = 1000
Copy = dict[str, t.Any]


def copy_of(store: Store, state: State) -> Copy:
    """Reads the journal's Secrets: one list."""
    secrets = store.cluster.list(
        path_of("v1", "secrets", store.namespace), {"labelSelector": f"{JOURNAL_LABEL}={store.name}"}
    )
    return {
        "format": FORMAT, "saved_at": now(), "cluster": state.cluster, "namespace": store.namespace, "name": store.name,
        "data": state.dump(), "secrets": {item["metadata"]["name"]: item.get("data") or {} for item in secrets},
    }  # fmt: skip


def save(folder: str, copy: Copy) -> str:
    """Writes NAME-CLUSTER-EPOCH.json, whole or not at all. Raises Refusal no_backup."""
    name = f"{copy['name']}-{copy['cluster'][:8]}-{int(copy['data']['epoch']):05}.json"
    path = os.path.join(folder, name)
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=folder, delete=False, encoding="utf-8") as file:  # mode 0600
            json.dump(copy, file)
        os.replace(file.name, path)
    except OSError as exc:
        raise Refusal(
            "no_backup",
            f"mesh_journal_backup_dir: {path} can't be written: {exc.strerror}. The journal in the cluster is as it should"
            " be; only its copy is missing.",
        ) from exc
    return path


def load(path: str) -> Copy:
    """Raises Refusal backup_unreadable."""
    try:
        with open(path, encoding="utf-8") as file:
            copy = json.load(file)
        if copy["format"] != FORMAT:
            raise ValueError(f"format {copy['format']}")
        State.parse(copy["data"])
        return {key: copy[key] for key in ("cluster", "namespace", "name", "data", "secrets", "saved_at")}
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise Refusal(
            "backup_unreadable",
            f"{path} can't be read as a copy of a journal: {type(exc).__name__}: {exc}. Give a file that was written to"
            " mesh_journal_backup_dir.",
        ) from exc


def check(store: Store, copy: Copy, there: State | None, older: bool, path: str) -> None:
    """Raises Refusal (wrong_cluster, wrong_migration, backup_older) unless the copy may take the journal's place."""
    if copy["cluster"] != store.uid():
        raise Refusal(
            "wrong_cluster",
            f"{path} is a journal of the cluster whose kube-system has UID {copy['cluster']}; that of context"
            f" {store.cluster.context} has {store.uid()}. Check kubeconfig and context.",
            found=store.uid(), expected=copy["cluster"],
        )  # fmt: skip
    if (copy["namespace"], copy["name"]) != (store.namespace, store.name):
        raise Refusal(
            "wrong_migration",
            f"{path} is journal {copy['namespace']}/{copy['name']}; asked for is {store.where}. Check mesh_migration and"
            " mesh_journal_namespace.",
        )
    saved = State.parse(copy["data"])
    if there and not older and (there.steps, there.phases) != (saved.steps, saved.phases):
        raise Refusal(
            "backup_older",
            f"{path} was saved at {copy['saved_at']} (epoch {saved.epoch}), and journal {store.where} is there with epoch"
            f" {there.epoch} and other steps or phases. What it has beyond the copy would be forgotten and could not be"
            " rolled back. If it is the journal that is wrong, say so with -e mesh_journal_restore_older=true.",
            saved=saved.epoch, found=there.epoch,
        )  # fmt: skip


def restored(copy: Copy, there: State | None, run: dict[str, t.Any]) -> State:
    """The journal as it will be: closed, and beyond every epoch that may have been given out."""
    state = State.parse(copy["data"])
    state.epoch = max(state.epoch, there.epoch if there else 0) + EPOCHS_BETWEEN
    state.run = {**run, "state": "closed", "closed": now()}
    state.runs = [*state.runs, {"epoch": state.epoch, **run}]
    return state


def put_secrets(store: Store, copy: Copy) -> None:
    """Those that are missing. Their content never changes, so one that is there is the same."""
    for name, data in copy["secrets"].items():
        metadata = {"name": name, "namespace": store.namespace, "labels": {**LABELS, JOURNAL_LABEL: store.name}}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data}
        try:
            store.cluster.create(path_of("v1", "secrets", store.namespace), body)
        except ApiError as exc:
            if exc.status != 409:
                raise
