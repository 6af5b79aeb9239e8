"""A role on AWS that a person assumes: their own credentials are exchanged for it, and renewed in time.

Nothing of this is written to a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

__all__ = ["Role", "client"]


def client(create: Any, service: str, region: str) -> Any:
    """Return a client of AWS that gives up soon, as a person waits for it.

    Args:
        create: a session's own method, `client` or `create_client`.
        service: the service, such as `sts`.
        region: the region of its requests.
    """
    return create(service, region_name=region, config=_settings())


def _settings() -> Any:
    from botocore.config import Config

    attempts = {"mode": "standard", "total_max_attempts": 2}
    return Config(retries=attempts, connect_timeout=5, read_timeout=20)


@dataclass(frozen=True, slots=True)
class Role:
    """A role, and who assumes it.

    Attributes:
        arn: its ARN.
        region: where its requests go.
        profile: the profile of the person's own credentials; empty for those that AWS's variables name.
        session: the name of its sessions, which logs of AWS and of the cluster show.
    """

    arn: str
    region: str
    profile: str
    session: str

    def own(self) -> Any:
        """Return a botocore session with the person's own credentials.

        Raises:
            botocore.exceptions.ProfileNotFound: there is no such profile.
        """
        import botocore.session

        session = botocore.session.Session(profile=self.profile or None)
        session.get_credentials()  # which reads the profile
        return session

    def assumed(self) -> Any:
        """Return a boto3 session with the role's credentials, which the first request gets.

        Raises:
            botocore.exceptions.BotoCoreError: there are no own credentials.
        """
        import boto3
        import botocore.session
        from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
        from botocore.exceptions import NoCredentialsError

        own = self.own()
        if (credentials := own.get_credentials()) is None:
            raise NoCredentialsError
        fetcher = AssumeRoleCredentialFetcher(
            client_creator=partial(own.create_client, region_name=self.region, config=_settings()),
            source_credentials=credentials,
            role_arn=self.arn,
            extra_args={"RoleSessionName": self.session},
        )
        session = botocore.session.Session(profile=self.profile or None)
        provider = _Given(DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role"))
        session.get_component("credential_provider").providers.insert(0, provider)
        return boto3.session.Session(botocore_session=session, region_name=self.region)


class _Given:
    """A provider of botocore with credentials that are there already."""

    METHOD = CANONICAL_NAME = "lightwork-role"

    def __init__(self, credentials: Any) -> None:
        self._credentials = credentials

    def load(self) -> Any:
        """Return the credentials."""
        return self._credentials
