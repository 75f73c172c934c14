# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ingress -> routes -> Istio. Every annotation is understood by one file here, or refused with a reason.

To add a feature: a file with CODE, ANNOTATIONS (what it understands, and what becomes of it) and apply(source, world),
its name in both lists below, and a test. It writes what it makes into the routes of the source (_model.Route); objects
of its own it returns from objects(world, tables). Of each of its annotations that is there it has to say what became of
it. The table in docs/journeys/ingress_to_istio.md is made of these declarations.
What is no annotation is no feature: pathType is handled in _order.py, the default backend in _read.py and TLS in
_tls.py, with tests in tests/unit/test_ingress_order.py and, of TLS, test_ingress.py.
The imports are written out because Ansible ships to the target only what it can see imported.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .._inventory import Finding
from .. import ingress_checks
from . import (
    _istio,
    _order,
    _others,
    _read,
    _tls,
    affinity,
    app_root,
    backend_protocol,
    body_size,
    canary,
    cert_manager,
    cors,
    next_upstream,
    passthrough,
    protection,
    proxy_settings,
    redirects,
    rewrite_target,
    server_alias,
    snippets,
    source_range,
    ssl_redirect,
    timeouts,
    upstream_vhost,
    use_regex,
    www_redirect,
)
from ._model import NOT_NEEDED, NOT_TRANSLATED, TRANSLATED, Object, Source, Target, World

# In this order: redirects answer in place of what the others do, app_root and www_redirect add routes of their own.
FEATURES = (
    use_regex,
    rewrite_target,
    ssl_redirect,
    timeouts,
    next_upstream,
    body_size,
    cors,
    upstream_vhost,
    backend_protocol,
    affinity,
    source_range,
    protection,
    snippets,
    proxy_settings,
    passthrough,
    cert_manager,
    redirects,
    app_root,
    server_alias,
    www_redirect,
    canary,
)
STATUSES = (TRANSLATED, NOT_NEEDED, NOT_TRANSLATED)


@dataclasses.dataclass
class Conversion:
    """objects: what is to be there, in the order in which it is written; report: every annotation; routes: every match
    and its Ingress; secrets: certificates and where they must be; findings: all; tables: for who wants to look requests
    up."""

    objects: list[Object]
    report: list[Object]
    routes: list[Object]
    secrets: list[Object]
    findings: list[Finding]
    tables: list[_order.Table]
    world: World

    def split(self, waive: t.Collection[str]) -> tuple[list[Finding], list[Finding], list[str]]:
        """(findings that stand, findings that are waived, waivers that waived nothing)."""
        standing = [finding for finding in self.findings if not finding.waived_by(waive)]
        waived = [finding for finding in self.findings if finding.waived_by(waive)]
        used = {finding.waived_by([one]) for finding in waived for one in waive}
        return standing, waived, sorted(set(waive) - used)


def convert(world: World) -> Conversion:
    """Everything that follows from world.sources, which _read.select() has chosen. World is filled on the way."""
    _read.read_routes(world)
    for source in world.sources:
        for feature in (canary, cert_manager) if source.canary else FEATURES:
            source.feature = feature.CODE
            feature.apply(source, world)
        _others.classify(source)
    tables = _order.tables(world)
    _tls.assign(world, tables)
    objects = [
        *(made for feature in FEATURES for made in getattr(feature, "objects", lambda *_args: [])(world, tables)),
        *_istio.destination_rules(world, tables),
        *_istio.virtual_services(world, tables),
        *_istio.gateways(world, tables),
    ]
    secrets = secrets_of(world, tables, objects)
    findings = [*world.findings, *ingress_checks.examine(world, tables, objects)]
    findings += [finding for source in world.sources for finding in source.findings]
    return Conversion(
        objects,
        [
            source.entries[name]
            for source in sorted(world.sources, key=lambda s: s.key)
            for name in sorted(source.entries)
        ],
        _istio.origins(objects),
        secrets,
        sorted(set(findings), key=lambda f: (f.severity, f.code, f.object, f.field, f.found)),
        tables,
        world,
    )


def secrets_of(world: World, tables: t.Sequence[_order.Table], objects: t.Sequence[Object]) -> list[Object]:
    """Each certificate: where it is, where the gateway's pods read it, and how it comes there."""
    made = {(o["metadata"]["namespace"], o["spec"]["secretName"]) for o in objects if o["kind"] == "Certificate"}
    found: dict[tuple[str, str], Object] = {}
    for table in tables:
        if table.secret is None:
            continue
        to = (table.target.workload_namespace, _tls.credential(table.target, table.secret))
        by = "nothing" if table.secret == to else "certificate" if to in made else "copy"
        entry = found.setdefault(
            to,
            {
                "source": "/".join(table.secret),
                "target": "/".join(to),
                "by": by,
                "gateway": "/".join(_istio.gateway_of(table.target, table.host)),
                "hosts": [],
            },
        )
        entry["hosts"] = sorted({*entry["hosts"], *table.hosts})
        entry["exists"] = None if world.secrets is None else to in world.secrets
    return [found[key] for key in sorted(found)]


def table_of_annotations() -> list[tuple[str, str, str]]:
    """(annotation, code of its feature, what becomes of it), by name: what docs/journeys/ingress_to_istio.md shows."""
    return sorted((name, feature.CODE, what) for feature in FEATURES for name, what in feature.ANNOTATIONS.items())


__all__ = ["FEATURES", "STATUSES", "Conversion", "Source", "Target", "World", "convert", "table_of_annotations"]
