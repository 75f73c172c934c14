# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""use-regex or rewrite-target of one Ingress makes regular expressions of all paths of its host, those of others too.

That is so on blue, and the conversion does the same. Who wrote the others may not know: `/app` answers for `/apple` and
`/APP`, and a dot for any character.
"""

from __future__ import annotations

import typing as t

from .._inventory import WARNING, Finding
from ..ingress._model import Object, World
from ..ingress._order import Table

CODE = "regex_host_wide"


def check(world: World, tables: t.Sequence[Table], objects: t.Sequence[Object]) -> list[Finding]:
    found = []
    for table in tables:
        routes = [location.route for location in table.locations]
        asking = sorted({r.source.key for r in routes if r.regex or r.rewrites})
        others = sorted({r.source.key for r in routes if r.source.key not in asking})
        if table.regex and others:
            found += [
                Finding(
                    CODE, WARNING, f"Ingress {key}", "spec.rules",
                    f"{', '.join(asking)} make regular expressions of all paths of"
                    f" {table.host}: its paths match any beginning, and ignore case, as on blue",
                    "Give those a host of their own if that is not meant.",
                )
                for key in others
            ]  # fmt: skip
    return found
