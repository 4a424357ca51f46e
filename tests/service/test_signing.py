"""Signatures that others verify, and secrets that nobody reads without the key."""

from __future__ import annotations

import base64
import stat
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from guidance.errors import BadParameter, StoreUnreadable
from service import signing
from service.signing import Vault, key_file, keys_of, new_secret, webhook_id

KEY, OTHER = b"a" * 32, b"b" * 32


def text(key: bytes) -> str:
    return base64.b64encode(key).decode()


@given(
    body=st.text().map(
        lambda text: b'{"a":' + base64.b64encode(text.encode("utf-8", "replace")).join([b'"'] * 2) + b"}"
    )
)
def test_a_signature_is_verified_by_the_standardwebhooks_package(body: bytes) -> None:
    secret = new_secret()
    headers = signing.headers([new_secret(), secret], "evt-1", datetime.now(UTC), body)
    assert Webhook(secret).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body + b" ", headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body, {**headers, "webhook-id": "evt-2"})
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(body, headers)


def test_the_specification_s_own_example() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    signed = signing.signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_same_instant_signs_the_same_in_every_time_zone() -> None:
    at = datetime(2026, 2, 2, 12, tzinfo=UTC)
    other = datetime.fromisoformat("2026-02-02T13:00:00+01:00")
    assert signing.headers(["whsec_AAAA"], "a", at, b"") == signing.headers(["whsec_AAAA"], "a", other, b"")


def test_an_id_that_no_header_could_carry_travels_under_another_that_never_changes() -> None:
    assert webhook_id("evt-0123abc") == "evt-0123abc"
    for odd in ("a.b", "ä", "a b", "a\r\nb", "", "x" * 300):
        assert webhook_id(odd) == webhook_id(odd)
        assert webhook_id(odd).startswith("evt_")
        assert webhook_id(odd).isascii()


def test_a_secret_is_sealed_and_opens_under_its_own_name_only() -> None:
    secret = new_secret()
    vault = Vault([KEY])
    sealed = vault.seal(secret, "sub_1")
    assert secret.encode() not in sealed
    assert vault.seal(secret, "sub_1") != sealed
    assert vault.open(sealed, "sub_1") == secret
    for wrong, name in ((Vault([KEY]), "sub_2"), (Vault([OTHER]), "sub_1")):
        with pytest.raises(StoreUnreadable) as caught:
            wrong.open(sealed, name)
        assert secret not in str(caught.value)


def test_a_key_is_replaced_without_a_pause() -> None:
    sealed = Vault([KEY]).seal("whsec_x", "s")
    both = Vault([OTHER, KEY])
    assert both.open(sealed, "s") == "whsec_x"
    assert Vault([OTHER]).open(both.seal("whsec_y", "s"), "s") == "whsec_y"


def test_keys_are_read_from_a_setting() -> None:
    assert keys_of(f"{text(KEY)}, {text(OTHER)}") == (KEY, OTHER)
    for wrong in ("short", text(b"a" * 31), "é", text(KEY) + "!"):
        with pytest.raises(BadParameter) as caught:
            keys_of(wrong)
        assert wrong not in str(caught.value)
    for none in ("", " , ", ","):
        with pytest.raises(BadParameter, match=r"--secret-key: '\(hidden\)' is not base64 of 32 bytes"):
            keys_of(none)


def test_a_key_file_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    for name in ("empty", "bytes", ".", "nowhere/secret.key"):
        with pytest.raises(BadParameter) as caught:
            key_file(tmp_path / name)
        assert str(tmp_path) in str(caught.value)


def test_a_key_file_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    found: list[tuple[bytes, ...]] = []
    threads = [threading.Thread(target=lambda: found.append(key_file(path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found[0][0]) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["secret.key"]
