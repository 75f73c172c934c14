# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of the official client that we use: how a kubeconfig is read, and the connections that follow from it.

Imported as usual, the client's packages import all of their 700 generated models and 60 APIs, of which we use none. That
takes two thirds of the start of each of our modules, and a migration starts hundreds of them. So the few files that we
need are imported without the `__init__` files above them; where a version of the client is laid out in another way, it is
imported as usual.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
import typing as t

WITHOUT_INIT = ("kubernetes", "kubernetes.client", "kubernetes.client.models")


class Client(t.NamedTuple):
    """The official client's classes Configuration and ApiClient, and its module config."""

    Configuration: t.Any
    ApiClient: t.Any
    config: t.Any


@functools.cache
def load() -> Client:
    """Raises ImportError where the client is not installed."""
    if not any(name in sys.modules for name in WITHOUT_INIT):
        try:
            return _parts()
        except (ImportError, AttributeError):
            for name in [name for name in sys.modules if name.partition(".")[0] == "kubernetes"]:
                del sys.modules[name]
    from kubernetes import client, config

    return Client(client.Configuration, client.ApiClient, config)


def _parts() -> Client:
    for name in WITHOUT_INIT:
        spec = importlib.util.find_spec(name)
        if spec is None:
            raise ImportError(f"no package {name}")
        sys.modules[name] = importlib.util.module_from_spec(spec)
    from kubernetes.client.configuration import Configuration

    client = sys.modules["kubernetes.client"]
    client.Configuration = Configuration  # type: ignore[attr-defined]  # config takes both from there
    from kubernetes.client.api_client import ApiClient

    client.ApiClient = ApiClient  # type: ignore[attr-defined]
    from kubernetes import config

    return Client(Configuration, ApiClient, config)
