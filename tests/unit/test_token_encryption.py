"""Tokens of Zoom users are encrypted, and their key can be replaced."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet

from rtms.zoom_users.encryption import KeyLost, TokenCipher

OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))
TOKEN = "a-token-that-is-a-secret"


def test_a_token_is_encrypted_and_decrypted() -> None:
    stored = TokenCipher([OLD]).encrypt(TOKEN)
    assert TOKEN not in stored
    assert TokenCipher([OLD]).decrypt(stored) == TOKEN
    assert TOKEN not in repr(TokenCipher([OLD]))
    assert OLD not in repr(TokenCipher([OLD]))


def test_the_first_key_encrypts_and_every_key_decrypts() -> None:
    both = TokenCipher([NEW, OLD])
    assert both.decrypt(TokenCipher([OLD]).encrypt(TOKEN)) == TOKEN
    assert TokenCipher([NEW]).decrypt(both.encrypt(TOKEN)) == TOKEN


@pytest.mark.parametrize("damage", ["", "no token", "ü"])
def test_a_token_of_another_key_or_a_damaged_one_is_not_decrypted(damage: str) -> None:
    for stored in (TokenCipher([OLD]).encrypt(TOKEN), damage):
        with pytest.raises(KeyLost) as lost:
            TokenCipher([NEW]).decrypt(stored)
        assert lost.value.__cause__ is None
