"""What is ours about gunicorn and its gevent worker: besides `gunicorn.conf.py`, nothing else knows
them."""
