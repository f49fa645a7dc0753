"""The Idempotency-Key of a create: while Recall knows it, repeating the request is safe."""

from __future__ import annotations

import random
import uuid
from datetime import timedelta

# Recall keeps an answer under its key for an hour (Recall: idempotency). After that, the same key
# would connect a second time and disconnect the first, so keys are used for less.
KEY_LIFETIME = timedelta(minutes=55)


def new_key() -> str:
    """Return a new idempotency key, a UUID. It need not be hard to guess, so this makes no system
    call: other writers wait for the database meanwhile."""
    return str(uuid.UUID(int=random.getrandbits(128), version=4))
