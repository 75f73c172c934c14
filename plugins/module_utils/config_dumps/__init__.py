# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a gateway's configuration can be had from: one file each, with NAME and read(side, options).

read returns a dump for _parity, or None where the source does not apply to what was given; it raises Unavailable when
it applies and can't: then nothing is known, which is never taken for equal.

Envoy's own /config_dump is on the pod's loopback alone (port 15000), and nothing that pilot-agent serves on 15020 hands
it on; so the API server's pod proxy is no source.

To add one: a file here, its name in both lists below, a test in tests/unit/test_parity_info.py and a row in
docs/verifying.md. The imports are written out because Ansible ships to the target only what it can see imported.
"""

from __future__ import annotations

import typing as t

from . import files, istiod
from .unavailable import Unavailable

SOURCES = (files, istiod)


def read(side: dict[str, t.Any], options: dict[str, t.Any]) -> tuple[str, t.Any]:
    """(name of the source, dump) of the first that applies. Raises Unavailable."""
    for source in SOURCES:
        dump = source.read(side, options)
        if dump is not None:
            return source.NAME, dump
    raise Unavailable("no source is named: give a file of each side, or istiod's URL")
