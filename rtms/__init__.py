"""Zoom Realtime Media Streams, connected through Recall.ai's Meeting Direct Connect."""
