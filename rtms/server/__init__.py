"""What the server needs of gunicorn and its gevent worker. Only `gunicorn.conf.py` uses it."""
