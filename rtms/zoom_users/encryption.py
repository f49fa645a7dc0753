"""Encrypt the tokens of Zoom users for the database."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet


class KeyLost(Exception):
    """No key of TOKEN_ENCRYPTION_KEY decrypts a token."""


class TokenCipher:
    """Encrypts with the first key, and decrypts with any.

    Args:
        keys: Fernet keys, at least one.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._fernet = MultiFernet([Fernet(key) for key in keys])

    def encrypt(self, token: str) -> str:
        """Return a token as the database keeps it."""
        return self._fernet.encrypt(token.encode()).decode()

    def decrypt(self, stored: str) -> str:
        """Return a token that `encrypt` encrypted.

        Raises:
            KeyLost: with none of the keys.
        """
        try:
            return self._fernet.decrypt(stored.encode()).decode()
        except InvalidToken:
            raise KeyLost("No key of TOKEN_ENCRYPTION_KEY decrypts the token.") from None
