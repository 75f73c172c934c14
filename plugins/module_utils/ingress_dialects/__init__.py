# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How Ingress controllers are told what an Ingress has no field for: one file for each controller.

Each has a class of the base Dialect, with one method for each thing that a route may need. A method answers with Words,
or raises Cannot with what a person must do: so what one controller can't do is said, never left out.

To add one: a file here, its name in both lists below, a row in docs/ingress_dialects.md, and its expected words in
tests/unit/test_ingress_dialects.py. The imports are written out because Ansible ships to the target only what it can
see imported.
"""

from __future__ import annotations

from . import haproxy, haproxy_ingress, nginx, traefik, traefik_nginx
from ._dialect import Cannot, Dialect, Words

DIALECTS: dict[str, type[Dialect]] = {
    "haproxy": haproxy.HAProxy,
    "haproxy_ingress": haproxy_ingress.HAProxyIngress,
    "nginx": nginx.Nginx,
    "traefik": traefik.Traefik,
    "traefik_nginx": traefik_nginx.TraefikNginx,
}

__all__ = ("DIALECTS", "Cannot", "Dialect", "Words")
