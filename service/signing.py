"""Standard Webhooks signatures, and secrets sealed for keeping."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from guidance.errors import BadParameter, StoreUnreadable
from service.config import Config

PREFIX: Final = "whsec_"
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
PLAIN_ID: Final = re.compile(r"[A-Za-z0-9_\-:/@#+=~]{1,200}")


def new_secret() -> str:
    """A fresh secret of 256 random bits, as Standard Webhooks writes it."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode("ascii")


def webhook_id(event: str) -> str:
    """The id under which an event travels: its own where a header and a signature can carry it as it is."""
    if PLAIN_ID.fullmatch(event):
        return event
    return "evt_" + hashlib.sha256(event.encode("utf-8")).hexdigest()


def signature(secret: str, name: str, timestamp: int, body: bytes) -> str:
    """`v1,` and the base64 HMAC-SHA256 over `id.timestamp.body` (Standard Webhooks, Signature scheme)."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signed = f"{name}.{timestamp}.".encode("ascii") + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode("ascii")


def headers(keys: Iterable[str], name: str, at: datetime, body: bytes) -> dict[str, str]:
    """The three headers; one signature for each secret that holds at that instant."""
    timestamp = int(at.timestamp())
    return {
        "webhook-id": name,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signature(key, name, timestamp, body) for key in keys),
    }


class Vault:
    """Seals secrets with AES-256-GCM; each opens only under the name that it was sealed for."""

    def __init__(self, keys: Sequence[bytes] | Callable[[], Sequence[bytes]]) -> None:
        """The first key seals; every one opens, so that a key can be replaced without a pause.

        A function is asked for them when the first is needed.
        """
        self._source = keys

    @cached_property
    def _keys(self) -> list[AESGCM]:
        return [AESGCM(key) for key in (self._source() if callable(self._source) else self._source)]

    def ready(self) -> None:
        """Read the keys now; raises BadParameter for what are none."""
        assert self._keys

    def seal(self, text: str, name: str) -> bytes:
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._keys[0].encrypt(nonce, text.encode("utf-8"), name.encode("utf-8"))

    def open(self, sealed: bytes, name: str) -> str:
        """Raises StoreUnreadable where none of the keys opens it."""
        for key in self._keys:
            try:
                return key.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], name.encode("utf-8")).decode("utf-8")
            except InvalidTag:
                continue
        raise StoreUnreadable("the state", f"the secret of {name} was sealed with a key that is not configured")


def vault(config: Config) -> Vault:
    """The vault of a service. Its key is read, or made, when the first secret is sealed or opened."""
    if config.secret_key:
        return Vault(keys_of(config.secret_key))
    path = key_path(config)
    return Vault(lambda: key_file(path))


def key_path(config: Config) -> Path:
    """The file of keys, where no setting holds them."""
    return Path(config.secret_key_file) if config.secret_key_file else config.data / "secret.key"


def keys_of(text: str, parameter: str = "--secret-key") -> tuple[bytes, ...]:
    """The keys in a setting: base64 of 32 bytes each, separated by commas; raises BadParameter."""
    keys = tuple(_key(part.strip(), parameter) for part in text.split(",") if part.strip())
    return keys or (_key("", parameter),)


def key_file(path: Path) -> tuple[bytes, ...]:
    """The keys in a file that only its owner reads; made with a fresh one where there is none. Raises BadParameter."""
    try:
        if not path.exists():
            _made(path)
        return keys_of(path.read_text("ascii").replace("\n", ","), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise BadParameter("--secret-key-file", str(path), f"cannot be read, nor made: {error}") from error


def _made(path: Path) -> None:
    fresh = base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n"
    unready = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    with open(os.open(unready, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123
        file.write(fresh)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(unready, path)  # whole or not at all, and never over one that another process just made
    except FileExistsError:
        pass
    finally:
        unready.unlink()


def _key(text: str, parameter: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise BadParameter(parameter, "(hidden)", "is not base64 of 32 bytes; make one with: openssl rand -base64 32")
    return key
