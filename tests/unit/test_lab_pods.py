# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab's pods are made of, and how they end: without a lab."""

from __future__ import annotations

import base64
import importlib
import sys
import typing as t
import urllib.error
from pathlib import Path

import pytest

LAB = Path(__file__).resolve().parents[1] / "lab"


def module(name: str) -> t.Any:
    if str(LAB) not in sys.path:
        sys.path.insert(0, str(LAB))
    return importlib.import_module(f"bglab.{name}")


images, kubelet, podrunner = module("images"), module("kubelet"), module("podrunner")


def pod(**spec: t.Any) -> dict[str, t.Any]:
    return {"metadata": {"namespace": "n", "name": "p"}, "spec": {"nodeName": "node-1", **spec}}


@pytest.mark.parametrize(
    ("policy", "returned", "ending", "phase"),
    [
        (None, 0, False, "Running"),
        ("Always", 1, False, "Running"),
        ("Always", 0, True, "Running"),
        ("Never", 0, False, "Succeeded"),
        ("Never", 3, False, "Failed"),
        ("OnFailure", 0, False, "Succeeded"),
        ("OnFailure", 3, False, "Running"),
        ("OnFailure", -15, True, "Failed"),
        ("Never", -15, True, "Failed"),
    ],
)
def test_the_phase_after_a_container_has_ended(policy, returned, ending, phase):
    given = pod(**({"restartPolicy": policy} if policy else {}))
    assert podrunner.phase_after(given, returned, ending) == phase


def test_a_signal_is_counted_as_a_kubelet_does():
    assert [podrunner.exit_code(code) for code in (0, 3, -9, -15)] == [0, 3, 137, 143]


def test_a_container_goes_on_for_a_while_before_it_is_told_to_stop():
    assert podrunner.pause_before_stop(pod(containers=[{"name": "app"}])) == 0
    told = {"name": "app", "lifecycle": {"preStop": {"sleep": {"seconds": 5}}}}
    assert podrunner.pause_before_stop(pod(containers=[told, {"name": "sidecar"}])) == 5


class Api:
    """Answers by path; what is not there is 404."""

    def __init__(self, **objects: t.Any) -> None:
        self.objects = objects
        self.asked: list[t.Any] = []

    def __call__(self, method: str, path: str, body: t.Any = None) -> t.Any:
        self.asked.append((method, path, body))
        name = path.rpartition("/")[2]
        if name not in self.objects:
            raise urllib.error.HTTPError(path, 404, "not found", {}, None)  # type: ignore[arg-type]
        return self.objects[name]


SECRET = {"data": {"a": base64.b64encode(b"\0x").decode()}}
SOURCES = [
    {"serviceAccountToken": {"path": "token"}},
    {"configMap": {"name": "ca", "items": [{"key": "ca.crt", "path": "deep/ca.crt"}]}},
]


@pytest.mark.parametrize(
    ("volume", "files"),
    [
        ({"secret": {"secretName": "s"}}, {"a": b"\0x"}),
        ({"configMap": {"name": "ca"}}, {"ca.crt": b"PEM", "other": b"o"}),
        ({"projected": {"sources": SOURCES}}, {"token": b"T", "deep/ca.crt": b"PEM"}),
        ({"emptyDir": {}}, {}),
    ],
)
def test_volumes_are_files(volume, files):
    api = Api(s=SECRET, ca={"data": {"ca.crt": "PEM", "other": "o"}}, token={"status": {"token": "T"}})
    assert images._content(volume, pod(serviceAccountName="sa"), api) == files


def test_a_secret_that_is_not_there_yet_is_waited_for():
    with pytest.raises(images.Waiting) as caught:
        images._content({"secret": {"secretName": "gone"}}, pod(), Api())
    assert caught.value.state["waiting"]["reason"] == "ContainerCreating"


def test_an_image_that_is_not_there_is_not_the_echo_server(tmp_path):
    given = pod(containers=[{"name": "c", "image": "lab/no-such-image"}])
    with pytest.raises(images.Waiting) as caught:
        images.program(given, "10.0.0.1", tmp_path, Api())
    assert caught.value.state["waiting"]["reason"] == "ImagePullBackOff"


def test_an_execution_environment_runs_the_command_among_its_files(tmp_path):
    mounts = [{"name": "in", "mountPath": "/run/in", "readOnly": True}, {"name": "tmp", "mountPath": "/tmp"}]
    container = {
        "name": "c", "image": "lab/execution-environment", "command": ["python3", "-m", "x y"],
        "env": [{"name": "HOME", "value": "/tmp"}], "securityContext": {"readOnlyRootFilesystem": True},
        "volumeMounts": mounts,
    }  # fmt: skip
    volumes = [{"name": "in", "secret": {"secretName": "s"}}, {"name": "tmp", "emptyDir": {}}]
    found = images.program(pod(containers=[container], volumes=volumes), "10.0.0.1", tmp_path, Api(s=SECRET))
    assert found.ends and found.argv[-3:] == ["python3", "-m", "x y"]
    assert [one for one in found.argv if one.startswith("HOME=")] == ["HOME=/tmp"]
    assert (tmp_path / "volumes/in/a").read_bytes() == b"\0x" and (tmp_path / "volumes/tmp").is_dir()
    script = next(one for one in found.argv if "mount" in one and "\n" in one)
    assert f"mount --bind {tmp_path}/volumes/in /run/in\nmount -o remount,bind,ro /run/in" in script
    assert "mount -o remount,bind,ro /\n" in script and "remount,bind,ro /tmp" not in script


def test_a_log_is_that_of_the_pod_and_no_other_file(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "n_p.log").write_bytes(b"one\ntwo\nthree\n")
    (tmp_path / "secret_x.log").write_bytes(b"no")
    logs = tmp_path / "logs"
    assert kubelet.log_of("/containerLogs/n/p/c?container=c", logs) == b"one\ntwo\nthree\n"
    assert kubelet.log_of("/containerLogs/n/p/c?tailLines=2", logs) == b"two\nthree\n"
    for path in ("/containerLogs/n/q/c", "/containerLogs/../secret/x", "/exec/n/p/c", "/"):
        assert kubelet.log_of(path, logs) is None
