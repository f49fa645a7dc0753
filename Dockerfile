# Two stages: build tools are not in the image. docs/DEPLOY.md says how to run it.
FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements.txt .
RUN python -m venv --without-pip /venv \
    && pip --python /venv/bin/python install --requirement requirements.txt

FROM python:3.13-slim
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin rtms \
    && mkdir -p /app/instance && chown rtms /app/instance
WORKDIR /app
COPY --from=build /venv /venv
COPY app.py config.py models.py gunicorn.conf.py pyproject.toml ./
COPY rtms rtms
COPY migrations migrations
USER rtms
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ.get('PORT', '').strip() or 8000}/healthz\", timeout=4)"]
# Docker sends SIGTERM to stop. Give it 35 seconds (docker stop --timeout 35): on SIGTERM the server
# takes up no more streams and finishes its calls within 30.
CMD ["gunicorn", "app:app"]
