# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Zarf package: `zarf package remove` uninstalls its charts as Helm does, from the stored manifest.

So whatever keeps an object from helm uninstall keeps it from Zarf. Zarf notes its charts in Secrets of its own
namespace (label package-deploy-info, src/pkg/cluster).
"""

from __future__ import annotations

import base64
import binascii
import json
import typing as t

from .._keep_target import Claim, Target
from .._look import Look
from . import helm

NAME = "zarf"
NAMESPACE = "zarf"
LABEL = "package-deploy-info"


def find(targets: t.Sequence[Target], look: Look) -> None:
    held = [target for target in targets if target.record is not None]
    packages = [_charts_of(secret) for secret in look.list(("v1",), "secrets", NAMESPACE, LABEL)] if held else []
    for target in held:
        release = (target.record.release, target.record.release_namespace) if target.record else ("", "")
        by_helm = next(claim for claim in target.claims if claim.owner == helm.NAME)
        for package, charts in packages:
            if release in charts:
                reason = f"zarf package remove uninstalls {by_helm.name}: {by_helm.reason}"
                claim = Claim(NAME, f"Zarf package {package}", by_helm.safe, reason, mendable=by_helm.mendable)
                target.claims.append(claim)


def _charts_of(secret: dict[str, t.Any]) -> tuple[str, set[tuple[str, str]]]:
    """(package, {(release, namespace)}) of one of Zarf's notes. One that is not understood names no chart."""
    name = (secret["metadata"].get("labels") or {}).get(LABEL) or secret["metadata"]["name"]
    try:
        deployed = json.loads(base64.b64decode((secret.get("data") or {}).get("data") or ""))
        return name, {
            (chart["chartName"], chart["namespace"])
            for component in deployed.get("deployedComponents") or []
            for chart in component.get("installedCharts") or []
        }
    except (binascii.Error, ValueError, KeyError, TypeError, AttributeError):
        return name, set()
