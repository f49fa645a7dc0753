"""The dashboard's keys. All processes make the same ones, and a new password makes all others."""

from __future__ import annotations

import hashlib
import hmac

from config import Config


def key_for(config: Config, purpose: str) -> bytes:
    """The key for one purpose: what is signed for another is worth nothing here.

    Args:
        config: it has ADMIN_PASSWORD.
        purpose: a word that names what is signed.
    """
    secret = config.zoom_client_secret.encode()
    message = f"rtms dashboard\0{purpose}\0{config.admin_password}"
    return hmac.digest(secret, message.encode(), hashlib.sha256)
