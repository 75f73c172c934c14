# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A verification that is made in a pod: what goes there, the program that runs there, and how its result comes back.

The pod gets our own sources with its input, so that its image needs Python and pycurl and is of no version of ours. It
writes its result to its log, as lines that are numbered and counted: a log that was cut says so by what is missing.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import re
import sys
import typing as t
import zipfile

from . import _compare, _identity, _probe, _verify

PLACE = "/run/bluegreen-mesh"  # where the pod finds its files
PROGRAM, INPUT = "probe.pyz", "input.json.gz"
SENT = (
    "routes", "unprobed", "blue", "green", "concurrency", "timeout", "passes", "deadline", "interval", "compare",
    "headers", "ignore_headers", "masks", "default_masks", "ca_file", "proxy_protocol", "identities",
)  # fmt: skip
LINE = 8000  # characters of the result in a line of the log; container runtimes split lines of 16 KiB
MARK = "bluegreen.mesh"
_LINE = re.compile(rf"^{re.escape(MARK)} (\d+)/(\d+) (\S+)$", re.MULTILINE)


class Incomplete(ValueError):
    """A log without all of the result."""


# -- here ------------------------------------------------------------------------------------------------------------
def files_of(params: dict[str, t.Any]) -> dict[str, bytes]:
    """What the pod gets, by file name, secrets among it. Raises ValueError or OSError for what can't be read here.

    params: as _verify.perform takes them, their files those of this host.
    """
    _identity.load(params["identities"])
    files = {PROGRAM: program()}
    sent = {name: params[name] for name in SENT}
    if params["ca_file"]:
        _probe.check_ca_file(params["ca_file"])
        sent["ca_file"] = _take(files, "ca.crt", params["ca_file"])
    sent["identities"] = []
    for index, one in enumerate(params["identities"]):
        there: dict[str, t.Any] = {"name": one["name"], "hosts": one["hosts"]}
        for name in ("client_cert", "client_key"):
            if one.get(name):
                there[name] = _take(files, f"identity-{index}.{name}", one[name])
        for _header, value in _identity.bearer(one, f"identity {one['name']}"):
            files[f"identity-{index}.token"] = value.removeprefix("Bearer ").encode()
            there["token_file"] = f"{PLACE}/identity-{index}.token"
        sent["identities"].append(there)
    files[INPUT] = gzip.compress(json.dumps(sent, separators=(",", ":")).encode(), mtime=0)
    return files


def _take(files: dict[str, bytes], name: str, path: str) -> str:
    with open(path, "rb") as file:
        files[name] = file.read()
    return f"{PLACE}/{name}"


def program() -> bytes:
    """Our sources as an archive that Python runs."""
    start = "from bluegreen_mesh import _vantage\n\n_vantage.main()\n"
    sources = {"__main__.py": start, "bluegreen_mesh/__init__.py": ""}
    for name in (_probe.__name__, _compare.__name__, _identity.__name__, _verify.__name__, __name__):
        loader = t.cast(t.Any, sys.modules[name].__spec__).loader  # within Ansible's own archive there are no files
        sources[f"bluegreen_mesh/{name.rpartition('.')[2]}.py"] = loader.get_source(name)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, source in sources.items():
            archive.writestr(zipfile.ZipInfo(path), source, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def read(log: str) -> dict[str, t.Any]:
    """The result in a pod's log. Raises Incomplete, or ValueError for what the pod refused."""
    found = {int(match[1]): match for match in _LINE.finditer(log)}
    totals = {int(match[2]) for match in found.values()}
    if len(totals) != 1 or found.keys() != set(range(1, max(totals) + 1)):
        expected = "/".join(map(str, sorted(totals))) or "an unknown number of"
        raise Incomplete(f"the log has {len(found)} of {expected} parts of the result")
    total = max(totals)
    packed = "".join(found[number][3] for number in range(1, total))
    if hashlib.sha256(packed.encode()).hexdigest() != found[total][3]:
        raise Incomplete("the parts of the result in the log are not what was written")
    answer = json.loads(gzip.decompress(base64.b64decode(packed)))
    if "refused" in answer:
        raise ValueError(answer["refused"])
    return t.cast("dict[str, t.Any]", answer["result"])


# -- there -----------------------------------------------------------------------------------------------------------
def lines_of(answer: dict[str, t.Any]) -> list[str]:
    """An answer as lines of a log; the last one tells the others' digest, and each how many there are."""
    packed = base64.b64encode(gzip.compress(json.dumps(answer, separators=(",", ":")).encode(), mtime=0)).decode()
    parts = [packed[at : at + LINE] for at in range(0, len(packed), LINE)]
    parts.append(hashlib.sha256(packed.encode()).hexdigest())
    return [f"{MARK} {number}/{len(parts)} {part}" for number, part in enumerate(parts, 1)]


def answer_to(params: dict[str, t.Any]) -> dict[str, t.Any]:
    if _probe.IMPORT_ERROR:
        return {"refused": f"the image has no pycurl for {sys.executable}: {_probe.IMPORT_ERROR.splitlines()[-1]}"}
    try:
        return {"result": _verify.perform(params)}
    except (ValueError, OSError) as exc:
        return {"refused": str(exc)}


def main(place: str = PLACE) -> None:
    with gzip.open(f"{place}/{INPUT}") as file:
        params = json.load(file)
    # A program of its own, whose log is read: no module's result.
    sys.stdout.write("\n".join(("", *lines_of(answer_to(params)), "")))
    sys.stdout.flush()
