"""The Idempotency-Key of a create: while Recall knows it, a repetition connects nothing twice."""

from __future__ import annotations

import random
import uuid
from datetime import timedelta

# Recall keeps an answer under its key for an hour (Recall: idempotency). Later the same key would
# connect a second time and kick the first connection out, so it is not used that long.
KEY_LIFETIME = timedelta(minutes=55)


def new_key() -> str:
    """Return a new idempotency key, a UUID. It need not be hard to guess, so it costs no system
    call: keys are made while other writers wait for the database."""
    return str(uuid.UUID(int=random.getrandbits(128), version=4))
