"""A Flask application with one empty route: the minimum cost of a webhook in Flask."""

from flask import Flask

app = Flask(__name__)


@app.post("/zoom-webhook")
def empty() -> str:
    """Answer 200, and do nothing."""
    return "{}"
