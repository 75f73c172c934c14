# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any number of VirtualServices of a realistic mix, as a cluster of a large organisation has them.

`python generated.py --count N | kubectl apply -f -`. Their backend is the Service bulk/bulk of the folder hosts.
"""

from __future__ import annotations

import argparse
import json
import sys
import typing as t

NAMESPACE = "bulk"
GATEWAY = "istio-system/public"


def virtual_service(number: int) -> dict[str, t.Any]:
    """gen-NNNN with host gNNNN.lab.test. Each 10th also names the gateway in its matches; each 25th has a second,
    header-matched route and sets a response header. The same number always gives the same object."""
    match: dict[str, t.Any] = {"uri": {"prefix": "/"}}
    if number % 10 == 0:
        match["gateways"] = [GATEWAY]
    routes: list[dict[str, t.Any]] = [{"match": [match], "route": _to_backend()}]
    if number % 25 == 0:
        tester = {**match, "headers": {"x-tester": {"exact": "yes"}}}
        headers = {"response": {"set": {"x-audience": "testers"}}}
        routes.insert(0, {"match": [tester], "headers": headers, "route": _to_backend()})
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": f"gen-{number:04}", "namespace": NAMESPACE, "labels": {"lab.test/generated": "true"}},
        "spec": {"hosts": [f"g{number:04}.lab.test"], "gateways": [GATEWAY], "http": routes},
    }


def stream(count: int) -> str:
    """gen-0001 to gen-COUNT as a YAML stream of one-line JSON documents."""
    return "".join(f"---\n{json.dumps(virtual_service(number))}\n" for number in range(1, count + 1))


def _to_backend() -> list[dict[str, t.Any]]:
    return [{"destination": {"host": "bulk", "port": {"number": 80}}}]


def main() -> None:
    parser = argparse.ArgumentParser(description="Prints VirtualServices gen-0001 to gen-N as a YAML stream.")
    parser.add_argument("--count", type=int, required=True, metavar="N")
    count = parser.parse_args().count
    if count < 0:
        parser.error(f"--count {count}: give 0 or more")
    sys.stdout.write(stream(count))


if __name__ == "__main__":
    main()
