"""What a Kubeflow server or the way to it says when something fails, in one line each."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import urllib3
from kfp_server_api.exceptions import ApiException

from components.common.errors import UserError


@contextlib.contextmanager
def clear_errors(host: str, what: str) -> Iterator[None]:
    """One line for each way in which a cluster can fail.

    Args:
      host: that is asked.
      what: is asked for, for the message.

    Raises:
      UserError: instead of what the client's libraries raise.
    """
    try:
        yield
    except ApiException as error:
        raise UserError(f"{host}: {_reason(error, what)}") from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        reason = str(getattr(error, "reason", None) or error).split(">: ")[-1]
        raise UserError(
            f"{host} can't be reached: {reason} (--host or KF_PIPELINES_ENDPOINT "
            "names it; is a port-forward or VPN needed?)"
        ) from error
    except ValueError as error:  # how kfp reports an experiment that is not there
        raise UserError(f"{host}: {error}") from error


def _reason(error: ApiException, what: str) -> str:
    known = {
        401: "it doesn't know you: give a valid --token, or log in with kfp's own configuration",
        403: f"you are not allowed to use {what}; ask for the role, or name another --namespace",
        404: f"{what} is not there; is it Kubeflow Pipelines 2 at this address?",
        409: f"{what} exists already",
    }
    if error.status in known:
        return f"{known[error.status]} (HTTP {error.status})"
    return f"{what}: HTTP {error.status} {error.reason or ''}: {_message(error)}"


def _message(error: ApiException) -> str:
    """The server's own words."""
    try:
        return str(json.loads(error.body).get("message", ""))[:300]
    except (TypeError, ValueError, AttributeError):
        return str(error.body or "")[:300]
