# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""tls_secret_copy: what is copied under which name, what is left alone, and how it is undone."""

from __future__ import annotations

import base64
import json
import typing as t

from ansible_collections.bluegreen.mesh.plugins.modules import gateway_twin, migration_journal, tls_secret_copy
from fake_cluster import FakeCluster, run_module

KEY = base64.b64encode(b"the private key").decode()
COPY = {"source": "shop/cert", "target": "edge/shop-cert", "gateway": "edge/public"}
JOURNAL = {"namespace": "bluegreen-mesh", "name": "m", "epoch": 1, "phase": "deploy"}


def secret(ref: str, key: str = KEY, **meta: t.Any) -> dict[str, t.Any]:
    namespace, name = ref.split("/")
    return {
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "data": {"tls.crt": "Y2VydA==", "tls.key": key},
        "metadata": {"namespace": namespace, "name": name, **meta},
    }  # fmt: skip


def cluster(*objects: dict[str, t.Any]) -> FakeCluster:
    namespaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in ("edge", "bluegreen-mesh")]
    return FakeCluster(*namespaces, *objects)


def copied(fake: FakeCluster) -> dict[str, t.Any] | None:
    return fake.peek("secrets", "edge", "shop-cert")


def states(result: dict[str, t.Any]) -> list[str]:
    return [entry["state"] for entry in result["secrets"]]


def test_a_copy_is_made_once_and_shows_no_key():
    fake = cluster(secret("shop/cert", labels={"argocd": "x"}))
    done = run_module(tls_secret_copy, {"copies": [COPY]}, fake)
    assert done["changed"] and states(done) == ["created"] and KEY not in json.dumps(done)
    made = copied(fake)
    assert made["data"]["tls.key"] == KEY and "argocd" not in made["metadata"]["labels"]
    again = run_module(tls_secret_copy, {"copies": [COPY]}, fake)
    assert not again["changed"] and states(again) == ["unchanged"]


def test_check_mode_writes_nothing():
    fake = cluster(secret("shop/cert"))
    done = run_module(tls_secret_copy, {"copies": [COPY]}, fake, check=True)
    assert done["changed"] and copied(fake) is None


def test_a_renewed_source_is_followed():
    fake = cluster(secret("shop/cert"))
    run_module(tls_secret_copy, {"copies": [COPY]}, fake)
    fake.edit("secrets", "shop", "cert", lambda body: body["data"].update({"tls.key": "bmV3"}))
    done = run_module(tls_secret_copy, {"copies": [COPY]}, fake)
    assert states(done) == ["updated"]
    assert copied(fake)["data"]["tls.key"] == "bmV3"


def test_what_others_made_is_refused_or_left():
    other = run_module(tls_secret_copy, {"copies": [COPY]}, cluster(secret("shop/cert"), secret("edge/shop-cert", "b3RoZXI=")))
    assert other["failed"] and "edge/shop-cert" in other["msg"]
    same = run_module(tls_secret_copy, {"copies": [COPY]}, cluster(secret("shop/cert"), secret("edge/shop-cert")))
    assert not same["changed"] and states(same) == ["foreign"]


def test_one_name_for_two_sources_is_refused_before_anything_is_written():
    fake = cluster(secret("shop/cert"), secret("pay/cert"))
    done = run_module(tls_secret_copy, {"copies": [COPY, {**COPY, "source": "pay/cert"}]}, fake)
    assert done["failed"] and done["failure"]["code"] == "bad_option"
    assert copied(fake) is None


def test_the_journal_takes_it_back():
    fake = cluster(secret("shop/cert"))
    run_module(migration_journal, {"name": "m", "namespace": "bluegreen-mesh", "state": "open"}, fake)
    run_module(tls_secret_copy, {"copies": [COPY], "journal": JOURNAL}, fake)
    read = run_module(migration_journal, {"name": "m", "namespace": "bluegreen-mesh", "state": "read", "undo_from": "deploy"}, fake)
    (step,) = read["undo"]
    assert step["inverse"]["module"] == "gateway_twin"
    run_module(gateway_twin, {**step["inverse"]["params"], "journal": {**JOURNAL, "phase": "rollback"}}, fake)
    assert copied(fake) is None
