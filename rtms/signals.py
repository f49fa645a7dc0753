"""The signals that the user's own code can connect to (blinker).

Each is sent after the commit that made it true, at least once: a process that dies in between
sends it again. It is sent from a thread of `flask worker`, or of the process that each of
gunicorn's has beside it (`rtms.server.side_process`). The sender is the `Flask` application; the
receiver gets `meeting`, a `MeetingDirectConnect`, and `recording`, a `Recording` or None. A
receiver that raises is logged and called again later, with waits that grow, for a day.
"""

from blinker import Namespace

_signals = Namespace()

stream_connected = _signals.signal("stream_connected")
stream_failed = _signals.signal("stream_failed")
recording_done = _signals.signal("recording_done")
recording_failed = _signals.signal("recording_failed")
transcript_done = _signals.signal("transcript_done")
transcript_failed = _signals.signal("transcript_failed")
