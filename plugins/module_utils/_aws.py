# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one thin layer between our modules and AWS' API: plain boto3, with each request counted.

Credentials are what boto3 finds: environment, profile, instance role. They are never options, so that none can end up
in a journal or a log. amazon.aws' module class is not used: its modules can't be run by _module.run(), and a user of
another balancer would need that collection for nothing.
"""

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import env_fallback

from ._module import Refusal

try:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    IMPORT_ERROR = None
except ImportError:  # reported by the modules, as ansible-test asks
    import traceback

    IMPORT_ERROR = traceback.format_exc()

ARGS: dict[str, t.Any] = {
    "region": {"type": "str", "required": True, "fallback": (env_fallback, ["AWS_REGION", "AWS_DEFAULT_REGION"])},
    "profile": {"type": "str", "fallback": (env_fallback, ["AWS_PROFILE"])},
    "endpoint_url": {"type": "str", "fallback": (env_fallback, ["AWS_URL"])},
}
CONNECTION = tuple(ARGS)
_DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthFailure")
_SERVICES = {"elbv2": "elasticloadbalancing"}  # what IAM calls it
_PAGES = {"route53": "route53"}  # in docs/balancers, which have policies


class Client:
    """AWS' API in one region. `requests` counts what was sent, by operation; `retries` what had to be repeated."""

    def __init__(self, region: str, profile: str | None = None, endpoint_url: str | None = None) -> None:
        self.region = region
        self.requests: dict[str, int] = {}
        self._endpoint_url = endpoint_url
        # Throttling and 5xx are repeated with back-off.
        self._config = Config(
            connect_timeout=10, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 6}
        )
        self._clients: dict[str, t.Any] = {}
        try:
            self._session = boto3.session.Session(region_name=region, profile_name=profile)
        except BotoCoreError as exc:
            raise Refusal(
                "bad_credentials", f"profile {profile}: {exc}. Name one of AWS' configuration files."
            ) from exc

    @classmethod
    def of(cls, params: dict[str, t.Any]) -> Client:
        return cls(*(params[name] for name in CONNECTION))

    def call(self, service: str, operation: str, **params: t.Any) -> dict[str, t.Any]:
        """One request. operation: as boto3 names the method. Raises Refusal(aws, unreachable), with details error (AWS'
        word) and operation."""
        self.requests[operation] = self.requests.get(operation, 0) + 1
        try:
            if service not in self._clients:
                options = {"config": self._config, "endpoint_url": self._endpoint_url}
                self._clients[service] = self._session.client(service, **options)
            return getattr(self._clients[service], operation)(**params)
        except ClientError as exc:
            raise self._refusal(service, operation, exc.response.get("Error", {}), params) from exc
        except BotoCoreError as exc:  # no credentials, no connection, parameters that can't be
            raise Refusal(
                "unreachable", f"AWS in {self.region}, {service} {operation}: {exc}", operation=operation
            ) from exc

    def _refusal(self, service: str, operation: str, error: dict[str, t.Any], params: dict[str, t.Any]) -> Refusal:
        code, text = error.get("Code", ""), error.get("Message", "").rstrip(".")
        named = next((f" of {value}" for value in params.values() if isinstance(value, str)), "")
        message = f"AWS in {self.region} refused {operation}{named}: {code}: {text}."
        if code in _DENIED:
            action = "".join(word.capitalize() for word in operation.split("_"))
            page = f"docs/balancers/{_PAGES.get(service, 'aws_nlb')}.md"
            message += f" Allow this user {_SERVICES.get(service, service)}:{action}; {page} has a policy."
        return Refusal("aws", message, error=code, operation=operation)

    def pages(self, service: str, operation: str, key: str, **params: t.Any) -> list[t.Any]:
        """Everything in all pages of an answer's list `key`."""
        found: list[t.Any] = []
        while True:
            answer = self.call(service, operation, **params)
            found += answer.get(key) or []
            for ask, told in (("Marker", "NextMarker"), ("NextToken", "NextToken")):
                if answer.get(told):
                    params[ask] = answer[told]
                    break
            else:
                return found
