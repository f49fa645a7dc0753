"""Let the `flask` of this environment leave `.env` to the program (`config.py`).

Flask reads the nearest `.env` before the program begins, and ends with a traceback where it cannot,
as with one in UTF-16. It has a setting against this, which must be there before it starts.
"""

import sysconfig
from pathlib import Path

_BEFORE = "from flask.cli import main\n"
_SETTING = 'import os\nos.environ.setdefault("FLASK_SKIP_DOTENV", "1")\n'

command = Path(sysconfig.get_path("scripts"), "flask")
text = command.read_text() if command.exists() else ""
if _BEFORE in text and _SETTING not in text:
    command.write_text(text.replace(_BEFORE, _SETTING + _BEFORE, 1))
