"""Stand-ins for Recall and for Zoom, for the demo, the tests and the benchmark.

They share no code with the project, so that the same mistake cannot be on both sides.
"""

from sandbox.events import Stream
from sandbox.faults import Fault
from sandbox.recall import RecallSandbox
from sandbox.zoom import Delivery, ZoomSandbox
from sandbox.zoom_api import ZoomApiSandbox
from sandbox.zoom_tokens import ZoomUser

__all__ = [
    "Delivery",
    "Fault",
    "RecallSandbox",
    "Stream",
    "ZoomApiSandbox",
    "ZoomSandbox",
    "ZoomUser",
]
