"""Makes the `flask` command of this environment leave `.env` to the program (`config.py`).

Flask reads the nearest `.env` before the program starts, and ends with a traceback if it cannot,
for example if it is UTF-16. The setting that prevents this must be set before Flask starts.
"""

import sysconfig
from pathlib import Path

_BEFORE = "from flask.cli import main\n"
_SETTING = 'import os\nos.environ.setdefault("FLASK_SKIP_DOTENV", "1")\n'

command = Path(sysconfig.get_path("scripts"), "flask")
text = command.read_text() if command.exists() else ""
if _BEFORE in text and _SETTING not in text:
    command.write_text(text.replace(_BEFORE, _SETTING + _BEFORE, 1))
