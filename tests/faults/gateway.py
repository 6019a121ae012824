"""What the faults ask of an etcd member: by its JSON gateway over HTTP, so without any client under test."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from base64 import b64encode
from dataclasses import dataclass
from typing import Any

ASK_S = 1.0


@dataclass(frozen=True, slots=True)
class Status:
    """What a member says of itself; ids are texts, 0 is none."""

    member: str
    leader: str
    term: int
    revision: int
    bytes: int


class Refused(Exception):
    """A member did not do what was asked: it is away, or says why not."""


class Gateway:
    """One member (`host:port`)."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint

    def status(self) -> Status:
        """Raises Refused."""
        told = self._ask("maintenance/status", {})
        header = told["header"]
        return Status(
            member=header["member_id"],
            leader=told.get("leader", "0"),
            term=int(told.get("raftTerm", 0)),
            revision=int(header.get("revision", 0)),
            bytes=int(told.get("dbSize", 0)),
        )

    def compact(self, revision: int) -> None:
        """Forget what came before a revision. Raises Refused."""
        self._ask("kv/compaction", {"revision": str(revision)}, within_s=5.0)

    def put(self, key: str, value: bytes) -> None:
        """Write a key of nobody's. Raises Refused, with `database space exceeded` where there is none."""
        self._ask("kv/put", {"key": _text(key.encode()), "value": _text(value)}, within_s=5.0)

    def delete_prefix(self, prefix: str) -> None:
        """Raises Refused."""
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        self._ask("kv/deleterange", {"key": _text(prefix.encode()), "range_end": _text(end.encode())}, within_s=5.0)

    def defragment(self) -> None:
        """Give the space back that compaction freed. Raises Refused."""
        self._ask("maintenance/defragment", {}, within_s=20.0)

    def alarms(self) -> list[dict[str, str]]:
        """The alarms that stand: of which member (`memberID`), and which (`alarm`). Raises Refused."""
        told = self._ask("maintenance/alarm", {"action": "GET"}, within_s=5.0)
        return [dict(each) for each in told.get("alarms", [])]

    def disarm(self, alarm: dict[str, str]) -> None:
        """End an alarm. Raises Refused."""
        self._ask("maintenance/alarm", {"action": "DEACTIVATE", **alarm}, within_s=5.0)

    def _ask(self, what: str, body: dict[str, Any], *, within_s: float = ASK_S) -> Any:
        request = urllib.request.Request(
            f"http://{self._endpoint}/v3/{what}", json.dumps(body).encode(), method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=within_s) as answer:  # noqa: S310
                return json.loads(answer.read())
        except urllib.error.HTTPError as fault:
            with fault:
                raise Refused(f"{what}: {fault.read().decode(errors='replace')}") from None
        except (OSError, ValueError) as fault:
            raise Refused(f"{what}: {fault}") from None


def _text(data: bytes) -> str:
    return b64encode(data).decode()
