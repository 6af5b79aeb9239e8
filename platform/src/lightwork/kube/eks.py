"""A cluster on EKS, as one of a tenant's people reaches it: where it is, and a token for it."""

from __future__ import annotations

import base64
import datetime as dt
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lightwork.errors import InputError, LightworkError, one_line
from lightwork.kube.kubeconfig import EXEC_API
from lightwork.lake.role import client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.credentials import Credentials

    from lightwork.kube.logins import Login

__all__ = ["Cluster", "credentials", "describe", "name_of_caller", "token"]

TOKEN_MINUTES = 14
"""How long a token is used. EKS takes it for 15 minutes."""
_URL_SECONDS = 60
"""What EKS's authenticator expects of the signed address in a token, however long it takes it."""
_PREFIX = "k8s-aws-v1."


@dataclass(frozen=True, slots=True)
class Cluster:
    """What EKS tells of a cluster.

    Attributes:
        endpoint: the address of its API.
        authority: the certificate authority of its API, base64.
        public_cidrs: the address ranges outside the VPC that may reach its API.
    """

    endpoint: str
    authority: str
    public_cidrs: tuple[str, ...]


def name_of_caller(login: Login) -> str:
    """Return a name for the role's sessions: who the person is on AWS.

    Raises:
        LightworkError: they have no credentials, or AWS cannot be reached.
    """
    with _clear_errors(login):
        own = login.assumed().own()
        arn = client(own.create_client, "sts", login.region).get_caller_identity()["Arn"]
    return re.sub(r"[^\w+=,.@-]", "-", str(arn).rpartition("/")[2])[:64].rjust(2, "-")


def describe(login: Login) -> Cluster:
    """Return a cluster as EKS knows it, asked with the role of the tenant's people.

    Raises:
        LightworkError: the person may not assume the role, or AWS cannot be reached.
        InputError: there is no such cluster, or it is not ready.
    """
    with _clear_errors(login):
        api = client(login.assumed().assumed().client, "eks", login.region)
        cluster = api.describe_cluster(name=login.cluster)["cluster"]
    if cluster["status"] in ("CREATING", "DELETING", "FAILED", "PENDING"):
        raise InputError(f"the cluster {login.cluster} cannot be used: its state is {cluster['status']}")
    vpc = cluster.get("resourcesVpcConfig") or {}
    is_public = vpc.get("endpointPublicAccess", False)
    cidrs = tuple(vpc.get("publicAccessCidrs") or ()) if is_public else ()
    return Cluster(cluster["endpoint"], cluster["certificateAuthority"]["data"], cidrs)


def credentials(login: Login) -> Credentials:
    """Return the credentials of the role of the tenant's people, to sign requests with.

    Raises:
        LightworkError: the person may not assume the role, or AWS cannot be reached.
    """
    with _clear_errors(login):
        assumed: Credentials = login.assumed().assumed().get_credentials()
        assumed.get_frozen_credentials()  # which assumes the role
    return assumed


def token(login: Login, now: dt.datetime | None = None) -> dict[str, Any]:
    """Return a token for the cluster's API, in the form that kubeconfigs expect of a command.

    It is the signed address of a request that tells EKS who asks, as AWS's own command line makes it.

    Raises:
        LightworkError: the person may not assume the role, or AWS cannot be reached.
    """
    from botocore.signers import RequestSigner

    with _clear_errors(login):
        session = login.assumed().assumed()
        api = client(session.client, "sts", login.region)
        signer = RequestSigner(
            api.meta.service_model.service_id,
            login.region,
            "sts",
            "v4",
            session.get_credentials(),
            session.events,
        )
        request = {
            "method": "GET",
            "url": f"{api.meta.endpoint_url}/?Action=GetCallerIdentity&Version=2011-06-15",
            "body": {},
            "headers": {"x-k8s-aws-id": login.cluster},
            "context": {},
        }
        url = signer.generate_presigned_url(
            request, operation_name="", expires_in=_URL_SECONDS, region_name=login.region
        )
    until = (now or dt.datetime.now(dt.UTC)) + dt.timedelta(minutes=TOKEN_MINUTES)
    text = base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")
    return {
        "apiVersion": EXEC_API,
        "kind": "ExecCredential",
        "spec": {},
        "status": {"expirationTimestamp": f"{until:%Y-%m-%dT%H:%M:%SZ}", "token": f"{_PREFIX}{text}"},
    }


@contextmanager
def _clear_errors(login: Login) -> Iterator[None]:
    """Turn an error of AWS into one line that says what to do."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    try:
        yield
    except ClientError as error:
        raise _refused(error, login) from error
    except EOFError as error:
        raise LightworkError(
            "your profile asks for the code of a device (mfa_serial), and there is no terminal to type it in;"
            " run the command in one, or log in to AWS first"
        ) from error
    except (BotoCoreError, ResponseParserError) as error:
        raise LightworkError(_no_answer(error, login)) from error
    except (ValueError, OSError) as error:  # of a program or a file that a profile names
        raise LightworkError(
            f"your AWS credentials cannot be got ({one_line(error)}); check your profile in ~/.aws/config, or"
            " name another by --profile"
        ) from error


def _refused(error: Any, login: Login) -> LightworkError:
    details = error.response.get("Error", {})
    code, message = str(details.get("Code", "")), one_line(details.get("Message", ""))
    is_of_profile = "resource: " in message and login.role not in message  # a profile may assume one as well
    if error.operation_name == "AssumeRole" and code == "AccessDenied" and not is_of_profile:
        return LightworkError(
            f"AWS does not let you assume {login.role} ({message}): your own role or user must be under"
            f" `people` in tenants/{login.tenant}.yaml, and deployed to {login.environment}; ask whoever runs"
            " the platform"
        )
    if code == "ResourceNotFoundException":
        return InputError(
            f"account {login.account} has no cluster {login.cluster} in {login.region}; log in again with"
            " --account and --region"
        )
    if code in ("ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "RequestExpired"):
        return LightworkError(f"AWS does not accept your credentials ({message}); log in to AWS again")
    return LightworkError(f"AWS refuses {error.operation_name}: {code}: {message}")


def _no_answer(error: Exception, login: Login) -> str:
    kind = type(error).__name__
    if kind in ("NoCredentialsError", "CredentialRetrievalError", "PartialCredentialsError"):
        reason = f" ({one_line(error)})" if kind == "CredentialRetrievalError" else ""
        return (
            f"there are no AWS credentials of yours{reason}; log in to AWS first, or name a profile by"
            " --profile"
        )
    if kind == "ProfileNotFound":
        return f"cannot use AWS: {one_line(error)}; name one of ~/.aws/config by --profile"
    if "SSO" in kind or kind in ("TokenRetrievalError", "LoginRefreshRequired", "LoginTokenLoadError"):
        command = "aws login" if kind.startswith("Login") else "aws sso login"
        profile = f" --profile {login.profile}" if login.profile else ""
        return f"your session at AWS has ended ({one_line(error)}); run `{command}{profile}`"
    if kind in ("EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "ProxyConnectionError"):
        return f"AWS cannot be reached in {login.region}: {one_line(error)}; check --region and the network"
    return f"cannot use AWS: {one_line(error)}"
