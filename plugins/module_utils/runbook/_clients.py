# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting until no client uses green, before it is taken away."""

from __future__ import annotations

import shlex
import typing as t

from .. import _envoy_stats
from ._command import Command

TRIES = 60
PAUSE = 5  # seconds
SELECTOR = '.spec.selector | to_entries | map("\\(.key)=\\(.value)") | join(",")'


def wait(green: t.Sequence[str]) -> list[Command]:
    """green: NAMESPACE/SERVICE of each workload."""
    own = "|".join(sorted(_envoy_stats.OWN_PORTS))
    count = (
        "/^envoy_listener_downstream_(pre_)?cx_active\\{/ { known = 1;"
        f' if (!/listener_address="[^"]*_({own})"/) open += $NF }} END {{ print known ? open + 0 : "unknown" }}'
    )
    found = []
    for one in green:
        namespace, service = (shlex.quote(part) for part in one.split("/", 1))
        found.append(
            Command(
                f"wait, at most {TRIES * PAUSE} s, until no client has a connection to {one};"
                " what is still open when green goes, is cut",
                f"""selector=$(k -n {namespace} get service {service} -o json | jq -r {shlex.quote(SELECTOR)})
clients() {{
  for pod in $(k -n {namespace} get pods -l "$selector" --field-selector status.phase=Running -o name); do
    k get --raw "/api/v1/namespaces/"{namespace}"/pods/${{pod#pod/}}:15020/proxy/stats/prometheus" | awk {shlex.quote(count)}
  done | sort -u | tr '\\n' ' '
}}
idle() {{ case "$(clients)" in "" | "0 ") ;; *) false ;; esac; }}
tries=0
until idle || [ "$tries" -ge {TRIES} ]; do tries=$((tries + 1)); sleep {PAUSE}; done
idle || {{ echo "still open: $(clients)"; false; }}""",
            )
        )
    return found
