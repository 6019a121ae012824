"""Names of accounts, hosts, pools, tiers and instances, and the rules they keep."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import NewType
from urllib.parse import quote, unquote

from addrcast.core.domain.errors import Invalid

InstanceId = NewType("InstanceId", str)

_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}")
_INSTANCE_BYTES_MAX = 253
_READABLE_MAX = 380  # a longer escape would not fit a key of 511 bytes beside an account id
_PLAIN = re.compile(rf"[A-Za-z0-9_.~-]{{1,{_READABLE_MAX}}}")


def check_name(field: str, text: str) -> str:
    """Return `text` if it may name an account, host, pool or tier.

    No dot is allowed, since keys are dotted. Raises Invalid.
    """
    if not _NAME.fullmatch(text):
        raise Invalid(field, text[:80], "1 to 63 characters of A-Z a-z 0-9 _ - are allowed")
    return text


def check_instance(text: str) -> InstanceId:
    """Return `text` if it may name an instance: any text of 1 to 253 bytes in UTF-8. Raises Invalid."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise Invalid("instance", text[:80], "the text must be encodable in UTF-8") from None
    if not 1 <= size <= _INSTANCE_BYTES_MAX:
        raise Invalid("instance", text[:80], f"1 to {_INSTANCE_BYTES_MAX} bytes are allowed, not {size}")
    return InstanceId(text)


def escape_instance(instance: InstanceId) -> str:
    """Write an instance id for a key: percent signs where readable, base64 behind `=` where that is too long."""
    if _PLAIN.fullmatch(instance):  # quote would find the same at thrice the price
        return instance
    readable = quote(instance, safe=".")
    if len(readable) <= _READABLE_MAX:
        return readable
    return "=" + urlsafe_b64encode(instance.encode()).decode().rstrip("=")


def unescape_instance(text: str) -> InstanceId:
    """Undo `escape_instance`."""
    if text.startswith("="):
        padded = text[1:] + "=" * (-len(text[1:]) % 4)
        return InstanceId(urlsafe_b64decode(padded).decode())
    return InstanceId(unquote(text))
