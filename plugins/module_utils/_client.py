# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one thin layer between our modules and the Kubernetes API.

Credentials are read by the official client (exec plugins, tokens, certificates); requests then go over its own
connection pool as plain JSON, because a bulk write through typed or dynamic clients spends its time in (de)serialisation
and API discovery. Nothing here knows what a Gateway is.
"""

from __future__ import annotations

import datetime
import email.utils
import json
import os
import random
import threading
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

from . import _kubernetes

PATCH_TYPES = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}
FIELD_MANAGER = "bluegreen-mesh"
PAGE = 500  # objects a list request asks for at once, as kubectl does
RETRIES = 6  # tries of a request that the API server refuses for load (429) or fails (5xx): about 10 s in all
RETRIED = frozenset((429, 500, 502, 503, 504))


class ClusterError(Exception):
    """Anything that keeps us from talking to the one cluster that was named."""


class ApiError(ClusterError):
    """The API server's refusal.

    status: HTTP status; reason: Kubernetes' machine word for it (NotFound, Conflict, Invalid, ...); verb and path: what
    was asked; body: the decoded Status object, or {}.
    """

    def __init__(self, status: int, verb: str, path: str, body: dict[str, t.Any] | None = None, text: str = "") -> None:
        self.status = status
        self.verb = verb
        self.path = path
        self.body = body or {}
        self.reason = self.body.get("reason") or ""
        self.text = self.body.get("message") or text
        super().__init__(self.explain())

    def explain(self) -> str:
        """One sentence: what was asked of which object, what came back, and for a refusal which permission is missing."""
        asked = f"{self.verb} {self.path}"
        if self.status == 401:
            return f"{asked}: the API server does not accept these credentials (401). Check the user of this context."
        if self.status == 403:
            return (
                f"{asked}: not allowed (403): {self.text}. Give this user that verb on that resource; docs/permissions.md"
                " of bluegreen.mesh lists what each phase needs."
            )
        return f"{asked}: {self.status} {self.reason}: {self.text}"


def path_of(
    group_version: str, plural: str, namespace: str | None = None, name: str | None = None, sub: str | None = None
) -> str:
    """The API path of a collection, an object or a subresource. group_version: 'v1' or 'GROUP/VERSION'."""
    parts = ["/api/v1" if group_version == "v1" else f"/apis/{group_version}"]
    if namespace:
        parts.append(f"namespaces/{namespace}")
    parts.append(plural)
    if name:
        parts.append(name)
    if sub:
        parts.append(sub)
    return "/".join(parts)


class Cluster:
    """One cluster, named by kubeconfig file and context; never the pod's own, never the file's current context.

    Thread-safe. `requests` counts what was sent, by verb. Raises ClusterError, and ImportError without the official client.
    """

    def __init__(self, kubeconfig: str, context: str, pool: int = 16, timeout: float = 30.0) -> None:
        if not kubeconfig or not context:
            raise ClusterError(
                "kubeconfig and context must both be given: this collection never falls back to a default cluster."
            )
        self.context = context
        # Not before it is needed: many of our modules have a cluster only for their journal, or not at all.
        import urllib3

        official = _kubernetes.load()
        self._timeout = urllib3.Timeout(connect=10.0, read=timeout)
        self._broken = urllib3.exceptions.HTTPError
        configuration = official.Configuration()
        # The loader calls a missing file an invalid configuration. Several may be joined, as in KUBECONFIG.
        if not any(os.path.exists(path) for path in kubeconfig.split(os.pathsep)):
            raise ClusterError(
                f"kubeconfig {kubeconfig} does not exist. It comes from the setting mesh_kubeconfig (option kubeconfig of"
                " the modules); the path is one of the host that Ansible runs on."
            )
        try:
            official.config.load_kube_config(
                config_file=kubeconfig, context=context, client_configuration=configuration, persist_config=False
            )
        except official.config.ConfigException as exc:
            raise ClusterError(_explain_config(kubeconfig, context, exc)) from exc
        except OSError as exc:
            raise ClusterError(f"kubeconfig {kubeconfig} can't be read: {exc.strerror or exc}.") from exc
        except Exception as exc:  # the loader lets YAML and decoding errors of many types through
            raise ClusterError(f"kubeconfig {kubeconfig} can't be understood: {exc}") from exc
        configuration.connection_pool_maxsize = pool
        configuration.retries = False
        self._api = official.ApiClient(configuration)
        self._http = self._api.rest_client.pool_manager
        self._host = configuration.host.rstrip("/")
        self.requests: dict[str, int] = {}
        self._lock = threading.Lock()

    # -- one request -------------------------------------------------------------------------------------------------
    def raw(
        self, method: str, path: str, query: dict[str, t.Any] | None = None, body: t.Any = None,
        content_type: str = "application/json", retry: bool = True,
    ) -> tuple[int, dict[str, str], bytes]:  # fmt: skip
        """Sends one request; 429 and 5xx are repeated with back-off, honouring Retry-After.

        Returns (status, headers, body bytes) whatever the status. Raises ClusterError when the server can't be reached.
        A write whose connection broke is repeated too: all our writes carry a resourceVersion, a test or a name, so a
        repeat of one that did arrive is answered by 409 and never done twice.
        """
        headers: dict[str, str] = {"Accept": "application/json", "User-Agent": "bluegreen.mesh"}
        params: list[t.Any] = []
        self._api.update_params_for_auth(headers, params, ["BearerToken"])
        data = None
        if body is not None:
            headers["Content-Type"] = content_type
            data = json.dumps(body, separators=(",", ":")).encode()
        url = self._host + path + ("?" + urlencode(query) if query else "")
        for attempt in range(RETRIES):
            with self._lock:
                self.requests[method] = self.requests.get(method, 0) + 1
            last = attempt == RETRIES - 1 or not retry
            try:
                response = self._http.request(
                    method, url, body=data, headers=headers, timeout=self._timeout, retries=False, preload_content=True
                )
            except self._broken as exc:
                if last:
                    raise ClusterError(f"{method} {url}: the API server can't be reached: {exc}") from exc
                time.sleep(_backoff(attempt, None))
                continue
            if response.status in RETRIED and not last:
                time.sleep(_backoff(attempt, response.headers.get("Retry-After")))
                continue
            return response.status, dict(response.headers), response.data
        raise AssertionError("unreachable: the last try returns or raises")

    def call(self, method: str, path: str, **kwargs: t.Any) -> dict[str, t.Any]:
        """raw(), decoded. Raises ApiError for a status of 400 or more."""
        status, _headers, data = self.raw(method, path, **kwargs)
        try:
            decoded = json.loads(data) if data else {}
        except ValueError:
            decoded = {}
        if status >= 400:
            raise ApiError(
                status, method, path, decoded if isinstance(decoded, dict) else {}, data[:300].decode("utf-8", "replace")
            )
        return decoded

    # -- verbs -------------------------------------------------------------------------------------------------------
    def get(self, path: str, query: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        return self.call("GET", path, query=query)

    def find(self, path: str) -> dict[str, t.Any] | None:
        """The object, or None where there is none."""
        try:
            return self.get(path)
        except ApiError as exc:
            if exc.status == 404:
                return None
            raise

    def list(self, path: str, query: dict[str, t.Any] | None = None) -> list[dict[str, t.Any]]:
        """Every object of a collection, in pages of PAGE. Items get the apiVersion and kind that lists leave out."""
        for _attempt in range(3):
            items: list[dict[str, t.Any]] = []
            query_page = dict(query or {}, limit=PAGE)
            try:
                while True:
                    page = self.get(path, query_page)
                    kind = page.get("kind", "List")[: -len("List")]
                    for item in page.get("items") or []:
                        item.setdefault("apiVersion", page.get("apiVersion"))
                        item.setdefault("kind", kind)
                        items.append(item)
                    token = (page.get("metadata") or {}).get("continue")
                    if not token:
                        return items
                    query_page["continue"] = token
            except ApiError as exc:
                if exc.status != 410:  # the snapshot that the pages came from was compacted away: read anew
                    raise
        raise ClusterError(f"LIST {path}: the list kept expiring between its pages; is etcd overloaded?")

    def create(self, path: str, body: dict[str, t.Any], dry_run: bool = False) -> dict[str, t.Any]:
        return self.call("POST", path, query=_write_query(dry_run), body=body)

    def replace(self, path: str, body: dict[str, t.Any], dry_run: bool = False) -> dict[str, t.Any]:
        """PUT: body must carry metadata.resourceVersion, so that a change made meanwhile is a 409 and not lost."""
        if not (body.get("metadata") or {}).get("resourceVersion"):
            raise ValueError(f"PUT {path} without resourceVersion would overwrite what others wrote")
        return self.call("PUT", path, query=_write_query(dry_run), body=body)

    def patch(self, path: str, body: t.Any, kind: str = "merge", dry_run: bool = False) -> dict[str, t.Any]:
        """kind: merge, json, strategic or apply. Include metadata.resourceVersion (or a json `test`) in body."""
        return self.call("PATCH", path, query=_write_query(dry_run), body=body, content_type=PATCH_TYPES[kind])

    def delete(
        self, path: str, uid: str | None = None, resource_version: str | None = None, dry_run: bool = False,
        foreground: bool = False,
    ) -> dict[str, t.Any]:  # fmt: skip
        """Deletes exactly the object that was read: uid and resource_version become preconditions. foreground: it goes
        after what it owns, a Deployment after its pods."""
        preconditions = {k: v for k, v in (("uid", uid), ("resourceVersion", resource_version)) if v}
        body: dict[str, t.Any] = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if preconditions:
            body["preconditions"] = preconditions
        if dry_run:
            body["dryRun"] = ["All"]
        if foreground:
            body["propagationPolicy"] = "Foreground"
        return self.call("DELETE", path, body=body)

    # -- beyond one request ------------------------------------------------------------------------------------------
    def uid(self) -> str:
        """What identifies a cluster for good: the UID of its kube-system namespace."""
        return self.get(path_of("v1", "namespaces", name="kube-system"))["metadata"]["uid"]

    @staticmethod
    def parallel(work: t.Callable[[t.Any], t.Any], items: t.Sequence[t.Any], workers: int = 16) -> list[t.Any]:
        """work(item) for every item, at most `workers` at once.

        Returns the results in the order of items; an item whose work raised ClusterError has that exception as its
        result, so that one refused object does not hide what happened to the others.
        """

        def guarded(item: t.Any) -> t.Any:
            try:
                return work(item)
            except ClusterError as exc:
                return exc

        if not items:
            return []
        with ThreadPoolExecutor(max_workers=max(1, min(workers, len(items)))) as pool:
            return list(pool.map(guarded, items))


def _write_query(dry_run: bool) -> dict[str, str]:
    query = {"fieldManager": FIELD_MANAGER}
    if dry_run:
        query["dryRun"] = "All"
    return query


def _backoff(attempt: int, retry_after: str | None) -> float:
    """Seconds until the next try: what the server asks for (at most 30), else 0.2, 0.4, 0.8 ... with jitter."""
    asked = _seconds(retry_after or "")
    if asked is not None:
        return min(30.0, asked)
    return 0.2 * 2**attempt * random.uniform(0.7, 1.3)


def _seconds(retry_after: str) -> float | None:
    """What Retry-After says, which is seconds or a date (RFC 9110, 10.2.3); None for what is neither."""
    if retry_after.isdigit():
        return float(retry_after)
    try:
        until = email.utils.parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    if until.tzinfo is None:  # "-0000"; a date of HTTP is GMT
        until = until.replace(tzinfo=datetime.timezone.utc)
    return max(0.0, until.timestamp() - time.time())


def _explain_config(kubeconfig: str, context: str, exc: Exception) -> str:
    try:
        contexts, _active = _kubernetes.load().config.list_kube_config_contexts(config_file=kubeconfig)
    except Exception:  # the file itself is the problem: the first error says how
        return f"kubeconfig {kubeconfig} can't be used: {exc}"
    names = sorted(c["name"] for c in contexts)
    if context not in names:
        return f"kubeconfig {kubeconfig} has no context {context!r}. It has: {', '.join(names) or 'none'}."
    return f"kubeconfig {kubeconfig}, context {context!r}: {exc}"
