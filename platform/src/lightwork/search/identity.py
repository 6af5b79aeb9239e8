"""The AWS identity of a person: the role of their tenant's people, assumed with their own credentials."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lightwork.errors import InputError, LightworkError, one_line

if TYPE_CHECKING:
    from botocore.credentials import Credentials

_NAME = re.compile(r"[^\w+=,.@-]", re.ASCII)


def as_role(role_arn: str, region: str) -> Credentials:
    """Return credentials of a role, for an hour at most.

    Credentials that are a session of that role already are used as they are.

    Args:
        role_arn: the role.
        region: the region whose STS is asked.

    Raises:
        InputError: this machine has no AWS credentials, or those may not assume the role.
        LightworkError: AWS cannot be reached.
    """
    from botocore.credentials import Credentials
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError
    from botocore.session import Session

    try:
        session = Session()
        own = session.get_credentials()
        client = session.create_client("sts", region_name=region)
        caller = str(client.get_caller_identity()["Arn"])
        if own and is_session_of(role_arn, caller):
            return own
        name = session_name(caller)
        issued = client.assume_role(RoleArn=role_arn, RoleSessionName=name)["Credentials"]
    except (NoCredentialsError, PartialCredentialsError):
        raise InputError(
            "this machine has no AWS credentials; log in (aws sso login), or set AWS_PROFILE"
        ) from None
    except ClientError as error:
        raise InputError(f"cannot become {role_arn}: {one_line(error)}") from error
    except BotoCoreError as error:
        raise LightworkError(f"cannot become {role_arn}: {one_line(error)}") from error
    return Credentials(issued["AccessKeyId"], issued["SecretAccessKey"], issued["SessionToken"])


def is_session_of(role_arn: str, caller: str) -> bool:
    """Return whether a caller is a session of a role. Its ARN lacks the role's path.

    >>> is_session_of("arn:aws:iam::1:role/dev/people", "arn:aws:sts::1:assumed-role/people/ann")
    True
    """
    account, role = role_arn.split(":")[4], role_arn.rpartition("/")[2]
    return caller.startswith(f"arn:aws:sts::{account}:assumed-role/{role}/")


def session_name(caller: str) -> str:
    """Return the last part of a caller's ARN as the name of a session, so that AWS's logs say who it is.

    >>> session_name("arn:aws:sts::1:assumed-role/engineers/ann@example.com")
    'ann@example.com'
    """
    return _NAME.sub("-", re.split("[:/]", caller)[-1]).ljust(2, "-")[:64]
