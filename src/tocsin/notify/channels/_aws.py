"""The keys of an AWS role or profile, by Amazon's own chain (optional: tocsin[aws]).

In this order: AWS_ACCESS_KEY_ID, a web identity (IRSA), the shared files with what they name (SSO, processes, roles),
the credentials of a container (ECS, EKS Pod Identity), the instance's own (IMDSv2); with a role, what STS gives for it.
Source: docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

from tocsin.notify.channels._sigv4 import Keys
from tocsin.notify.contract import DeliveryError

SESSION_NAME = "tocsin"
TIMEOUT_SECONDS = 5.0


def is_installed() -> bool:
    return find_spec("botocore") is not None


@dataclass(frozen=True, slots=True)
class Asked:
    """Which keys are wanted. own: those that were given, if need be to take on the role with. is_fips: ask STS where
    FIPS 140 is kept."""

    region: str
    own: Keys | None = None
    profile: str = ""
    role_arn: str = ""
    external_id: str = ""
    is_fips: bool = False

    @property
    def is_static(self) -> bool:
        """Whether nobody has to be asked for the keys."""
        return self.own is not None and not self.role_arn


def keys_of(asked: Asked) -> Keys:
    """The keys of now; temporary ones are renewed before they end. Raises DeliveryError."""
    if asked.own is not None and asked.is_static:
        return asked.own
    try:
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError as error:
        raise DeliveryError("keys of a role or profile need botocore; install tocsin[aws]", retryable=False) from error
    try:
        found = _chain(asked).get_frozen_credentials()
    except (BotoCoreError, ClientError, OSError) as error:
        raise DeliveryError(f"AWS gives no keys: {error}", retryable=True) from error
    return Keys(found.access_key, found.secret_key, asked.region, found.token or "")


@cache  # it asks once and renews by itself
def _chain(asked: Asked) -> Any:
    from botocore.config import Config
    from botocore.credentials import AssumeRoleCredentialFetcher, Credentials, DeferredRefreshableCredentials
    from botocore.session import Session

    session = Session(profile=asked.profile or None)
    session.set_config_variable("region", asked.region)
    session.set_config_variable("use_fips_endpoint", asked.is_fips)
    session.set_default_client_config(
        Config(connect_timeout=TIMEOUT_SECONDS, read_timeout=TIMEOUT_SECONDS, retries={"total_max_attempts": 1})
    )
    own = asked.own
    found = session.get_credentials() if own is None else Credentials(own.access, own.secret, own.token or None)
    if found is None:
        raise DeliveryError(
            "AWS gives no keys: neither the environment, nor the shared files, nor a container, nor this instance has "
            "any; set access_key and secret_key, or attach a role",
            retryable=False,
        )
    if not asked.role_arn:
        return found
    more = {"RoleSessionName": SESSION_NAME} | ({"ExternalId": asked.external_id} if asked.external_id else {})
    fetcher = AssumeRoleCredentialFetcher(session.create_client, found, asked.role_arn, extra_args=more)
    return DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")
