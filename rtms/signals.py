"""The signals that the user's own code can connect to (blinker).

Each is sent from a thread of `flask worker`, or of the process beside each of gunicorn's
(`rtms.server.side_process`), after the commit and at least once: if the process dies in between,
another one sends it again. The sender is the `Flask` application; the receiver gets `meeting`, a
`MeetingDirectConnect`, and `recording`, a `Recording` or None. If a receiver raises, the error is
logged and the receiver is called again with increasing waits, for a day.
"""

from blinker import Namespace

_signals = Namespace()

stream_connected = _signals.signal("stream_connected")
stream_failed = _signals.signal("stream_failed")
recording_done = _signals.signal("recording_done")
recording_failed = _signals.signal("recording_failed")
transcript_done = _signals.signal("transcript_done")
transcript_failed = _signals.signal("transcript_failed")
