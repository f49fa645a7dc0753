"""The names of the status webhooks that Recall is known to send."""

from __future__ import annotations

# Recall: status webhooks. The set is open.
STATUS_EVENTS = tuple(
    f"{kind}.{code}"
    for kind in ("recording", "transcript", "video_mixed", "audio_mixed", "meeting_direct_connect")
    for code in ("processing", "done", "failed", "deleted")
)
