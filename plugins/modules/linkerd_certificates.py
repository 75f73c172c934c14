#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: linkerd_certificates
short_description: Give Linkerd its trust anchor and its issuer, as objects beside its release
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Writes the ConfigMap C(linkerd-identity-trust-roots) and the Secret C(linkerd-identity-issuer), from which the chart
    takes its certificates with the values of M(bluegreen.mesh.linkerd_values_info). No key is in values, on a command
    line or in Helm's records; of a Secret that is replaced, the journal keeps the old one in a Secret of its own.
  - Makes a trust anchor and an issuer where none are given and none are there. The anchor's key is written to
    O(anchor_key_file), with mode 0600, and nowhere else. It is needed again when the issuer is renewed; keep it off the
    cluster.
  - What is there already and is good is left. What is given must fit together, or nothing is written.
options:
  namespace:
    description: Linkerd's namespace. It must exist.
    type: str
    default: linkerd
  trust_domain:
    description: The trust domain of all identities.
    type: str
    default: cluster.local
  anchor_key_file:
    description:
      - Where the key of a trust anchor that is made here is written. Needed where one is made. A key that is there
        already is taken and never overwritten, so that none is lost, and a run that was killed can be done again.
    type: path
  anchor_file:
    description: A trust anchor of your own, in PEM; several are a bundle. With O(issuer_file) and O(issuer_key_file).
    type: path
  issuer_file:
    description: The issuer's certificate, in PEM.
    type: path
  issuer_key_file:
    description: The issuer's key, in PEM, without a password.
    type: path
  anchor_days:
    description: How long a trust anchor that is made here is good for.
    type: int
    default: 3650
  issuer_days:
    description: How long an issuer that is made here is good for.
    type: int
    default: 365
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.cluster.journal
  - bluegreen.mesh.cluster.attributes
requirements:
  - cryptography (Python), which ansible-core needs too
notes:
  - Needs C(get), C(create), C(patch) and C(delete) on C(configmaps) and C(secrets) in O(namespace).
  - A changed trust anchor takes every proxy down that still has the old one. So what is there is replaced only by what
    is given in files, and only if the new bundle still has the anchor of the issuer that is there.
seealso:
  - module: bluegreen.mesh.linkerd_values_info
"""

EXAMPLES = r"""
- name: Make the certificates
  bluegreen.mesh.linkerd_certificates:
    kubeconfig: ~/.kube/config
    context: production
    anchor_key_file: ~/secrets/linkerd-anchor.key

- name: Use those of the company
  bluegreen.mesh.linkerd_certificates:
    kubeconfig: ~/.kube/config
    context: production
    anchor_file: pki/anchors.pem
    issuer_file: pki/issuer.pem
    issuer_key_file: pki/issuer.key
"""

RETURN = r"""
objects:
  description: C(object) and C(state) of each.
  returned: success
  type: list
  elements: dict
expiring:
  description: What expires within 60 days, in words.
  returned: success
  type: list
  elements: str
"""

import base64
import os
from pathlib import Path

from ansible.module_utils.basic import missing_required_lib

from ansible_collections.bluegreen.mesh.plugins.module_utils import _edits, _linkerd, _module
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import path_of
from ansible_collections.bluegreen.mesh.plugins.module_utils._journal import Journal
from ansible_collections.bluegreen.mesh.plugins.module_utils._resources import Ref

SOON = 60  # days


def text_of(path, option):
    try:
        return Path(path).read_text(encoding="ascii")
    except (OSError, UnicodeError) as exc:
        raise _module.Refusal("unreadable", f"{option}: {path} can't be read ({type(exc).__name__}).") from exc


def present(cluster, namespace):
    """What is there, or None. Half of it is an error: the other half would not fit."""
    anchors = cluster.find(path_of("v1", "configmaps", namespace, _linkerd.ANCHORS))
    issuer = cluster.find(path_of("v1", "secrets", namespace, _linkerd.ISSUER))
    if anchors is None and issuer is None:
        return None
    data = {key: base64.b64decode(value).decode() for key, value in ((issuer or {}).get("data") or {}).items()}
    bundle = ((anchors or {}).get("data") or {}).get("ca-bundle.crt")
    if not bundle or not {"tls.crt", "tls.key"} <= data.keys():
        raise _module.Refusal(
            "half_there",
            f"ConfigMap {namespace}/{_linkerd.ANCHORS} and Secret {namespace}/{_linkerd.ISSUER}: one of them is"
            " missing, or has not the keys ca-bundle.crt, tls.crt and tls.key. Give both in files.",
        )
    return _linkerd.Made(bundle, None, data["tls.crt"], data["tls.key"])


def wanted(params, there):
    """(certificates, whether they are new)."""
    files = [params[name] for name in ("anchor_file", "issuer_file", "issuer_key_file")]
    if any(files):
        made = _linkerd.Made(
            text_of(files[0], "anchor_file"),
            None,
            text_of(files[1], "issuer_file"),
            text_of(files[2], "issuer_key_file"),
        )
        _linkerd.check(made, params["trust_domain"], SOON)
        if there and not _linkerd.anchored(there.issuer, made.anchor):
            raise _module.Refusal(
                "anchor_lost",
                "anchor_file: it does not hold the trust anchor of the issuer that is there now, whose certificates"
                " proxies still show each other. Give a bundle of both anchors first, with the old issuer; then the new"
                " issuer; and the new anchor alone once all proxies have been restarted.",
            )
        return made, False
    if there:
        return there, False
    if not params["anchor_key_file"]:
        raise _module.Refusal(
            "bad_option",
            "anchor_key_file: say where the trust anchor's key is to be kept, or give certificates in files.",
        )
    there_already = Path(params["anchor_key_file"]).exists()
    key = text_of(params["anchor_key_file"], "anchor_key_file") if there_already else ""
    return _linkerd.make(params["trust_domain"], params["anchor_days"], params["issuer_days"], anchor_key=key), True


def keep(path, text):
    """A new file that nobody else may read."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as exc:
        raise _module.Refusal("unwritable", f"anchor_key_file: {path}: {exc.strerror}.") from exc
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text)


def operation(module, cluster):
    params = module.params
    if _linkerd.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("cryptography"), exception=_linkerd.IMPORT_ERROR)
    if cluster.find(path_of("v1", "namespaces", name=params["namespace"])) is None and not module.check_mode:
        raise _module.Refusal("no_such_namespace", f"namespace: there is no {params['namespace']}. Make it first.")
    made, new = wanted(params, present(cluster, params["namespace"]))
    expiring = _linkerd.check(made, params["trust_domain"], SOON)
    if made.anchor_key and not module.check_mode:
        keep(params["anchor_key_file"], made.anchor_key)  # before the cluster trusts it
    journal = Journal.load(cluster, params["journal"])

    def plan():
        done = []
        for item in _linkerd.objects(made, params["namespace"]):
            own = Ref.of(item)
            if new and module.check_mode and own.kind == "ConfigMap":
                item["data"] = {name: "(made when it is written)" for name in item["data"]}  # a plan is the same each time
            path = path_of("v1", "configmaps" if own.kind == "ConfigMap" else "secrets", own.namespace, own.name)
            found = cluster.find(path)
            if found and not any(params[name] for name in ("anchor_file", "issuer_file", "issuer_key_file")):
                done.append(_edits.Write("unchanged", own, path, found, found))
            else:
                done.append(_edits.made(own, path, found, _edits.marked(item, _linkerd.PART)))
        return done

    return {**_edits.carry_out(module, cluster, journal, plan), "expiring": expiring}


def main():
    given = ("anchor_file", "issuer_file", "issuer_key_file")
    _module.run(
        operation,
        {
            "namespace": {"type": "str", "default": "linkerd"},
            "trust_domain": {"type": "str", "default": "cluster.local"},
            "anchor_key_file": {"type": "path", "no_log": False},
            "anchor_file": {"type": "path"}, "issuer_file": {"type": "path"},
            "issuer_key_file": {"type": "path", "no_log": False},
            "anchor_days": {"type": "int", "default": 3650}, "issuer_days": {"type": "int", "default": 365},
        },
        journal=True, required_together=[given], mutually_exclusive=[("anchor_key_file", "anchor_file")],
    )  # fmt: skip


if __name__ == "__main__":
    main()
