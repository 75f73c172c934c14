# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which certificate a host has, and what it is called where the gateway's pods read it."""

from __future__ import annotations

import hashlib
import typing as t

from ._model import Source, Target, World
from ._order import Table

LONGEST = 63


def short(name: str, length: int = LONGEST) -> str:
    """A name of at most `length` characters; a longer one ends with a digest of itself."""
    if len(name) <= length:
        return name
    return f"{name[: length - 9].rstrip('-.')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def credential(target: Target, secret: tuple[str, str]) -> str:
    """What credentialName says. Secrets of several namespaces come together there, so theirs is a part of it."""
    namespace, name = secret
    return name if namespace == target.workload_namespace else short(f"{namespace}-{name}", 253)


def entry_for(source: Source, host: str) -> dict[str, t.Any] | None:
    """The entry of spec.tls that is for a host: the one that names it, else a wildcard, else one without hosts."""
    entries = source.spec.get("tls") or ()

    def fits(test: t.Callable[[list[str]], bool]) -> dict[str, t.Any] | None:
        return next((entry for entry in entries if test([h.lower() for h in entry.get("hosts") or ()])), None)

    _label, _dot, domain = host.partition(".")
    return (
        fits(lambda hosts: host in hosts) or fits(lambda hosts: f"*.{domain}" in hosts) or fits(lambda hosts: not hosts)
    )


def assign(world: World, tables: t.Sequence[Table]) -> None:
    """Gives every table its certificate: of the oldest Ingress of the host that has spec.tls (ingress-nginx
    controller.go, createServers). Where that names no Secret for the host, blue shows its default certificate."""
    for table in tables:
        sources = {location.route.source.key: location.route.source for location in table.locations}
        for source in sorted(sources.values(), key=world.sources.index):
            if not source.spec.get("tls"):
                continue
            # A name that is only sent on to another one is shown that one's certificate.
            onward = ((table.locations[0].route.instead or {}).get("redirect") or {}).get("authority", "")
            entry = entry_for(source, table.host) or entry_for(source, onward)
            if entry and entry.get("secretName"):
                table.secret = (source.namespace, entry["secretName"])
            elif table.target.default_secret:
                table.secret = (table.target.workload_namespace, table.target.default_secret)
            else:
                source.warn(
                    "tls_without_secret", "spec.tls",
                    f"no Secret for {table.host}: blue shows its own default certificate, and green has no TLS for it",
                    "Name a Secret, or give default_secret for the class.",
                )  # fmt: skip
            break
