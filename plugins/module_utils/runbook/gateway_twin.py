# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Undoes what gateway_twin has made: green's Gateways and copies of certificates, or Certificates."""

from __future__ import annotations

import json
import shlex
import typing as t

from ._command import Book, Command, on

GATEWAY = "gateways.networking.istio.io"


def commands(step: dict[str, t.Any], params: dict[str, t.Any], book: Book) -> list[Command]:
    found = []
    for pair in params.get("pairs") or []:
        namespace, _slash, name = pair["green"].partition("/")
        if params["state"] == "absent":
            run = f"k delete {on(GATEWAY, namespace, name)} --ignore-not-found"
            found.append(Command(f"remove Gateway {pair['green']}", run))
        else:
            patch = json.dumps([{"op": "replace", "path": "/spec", "value": pair["spec"]}])
            run = f"k patch {on(GATEWAY, namespace, name)} --type=json -p {shlex.quote(patch)}"
            found.append(Command(f"give Gateway {pair['green']} its former spec", run))
    for copy in params.get("copies") or []:
        namespace, _slash, name = copy.partition("/")
        found.append(
            Command(
                f"remove the copy of a certificate, Secret {copy}",
                f"k delete {on('secret', namespace, name)} --ignore-not-found",
            )
        )
    for issued in params.get("issued") or []:
        namespace, _slash, name = issued.partition("/")
        where = on("certificates.cert-manager.io", namespace, name)
        secret = f"$(k get {where} -o jsonpath='{{.spec.secretName}}')"
        run = f'secret="{secret}" && k delete {where} && k delete secret "$secret" -n {shlex.quote(namespace)}'
        found.append(Command(f"remove Certificate {issued}, and the Secret that it wrote", run))
    return found
