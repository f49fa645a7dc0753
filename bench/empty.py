"""A Flask application with one empty route: what any webhook in Flask costs at least."""

from flask import Flask

app = Flask(__name__)


@app.post("/zoom-webhook")
def empty() -> str:
    """Answer 200, and do nothing."""
    return "{}"
