"""Validates the body of a create against Recall's API reference (Recall: create)."""

from typing import Any

RTMS_FIELDS = ("meeting_uuid", "rtms_stream_id", "server_urls", "signature")
BODY_FIELDS = ("zoom_rtms", "recording_config", "metadata")
METADATA_LIMIT = 500  # characters per value

Errors = dict[str, Any]
_REQUIRED = ["This field is required."]
_OBJECT = ["Expected an object."]


def errors_in(body: object) -> Errors:
    """Return the errors by field, like Recall's 400; empty if the body is valid.

    This is stricter than Recall in one way: a field that is not in the reference is an error, so
    that a misspelt field is not taken for a missing one.
    """
    if not isinstance(body, dict):
        return {"non_field_errors": ["Invalid data. Expected an object."]}
    errors: Errors = {name: ["Unknown field."] for name in body if name not in BODY_FIELDS}
    if found := _zoom_rtms(body.get("zoom_rtms")):
        errors["zoom_rtms"] = found
    if "recording_config" in body and (found := _recording_config(body["recording_config"])):
        errors["recording_config"] = found
    if found := _metadata(body.get("metadata")):
        errors["metadata"] = found
    return errors


def _zoom_rtms(value: object) -> Errors | list[str]:
    if value is None:
        return _REQUIRED
    if not isinstance(value, dict):
        return _OBJECT
    errors: Errors = {name: ["Unknown field."] for name in value if name not in RTMS_FIELDS}
    for name in RTMS_FIELDS:
        if name not in value:
            errors[name] = _REQUIRED
        elif not isinstance(value[name], str):
            errors[name] = ["Not a valid string."]
        elif not value[name].strip():
            errors[name] = ["This field may not be blank."]
    return errors


def _metadata(value: object) -> Errors | list[str]:
    if value is None:
        return []
    if not isinstance(value, dict):
        return _OBJECT
    errors: Errors = {}
    for name, text in value.items():
        if text is not None and not isinstance(text, str):
            errors[name] = ["Not a valid string."]
        elif text is not None and len(text) > METADATA_LIMIT:
            errors[name] = [f"Ensure this field has no more than {METADATA_LIMIT} characters."]
    return errors


def _recording_config(value: object) -> Errors | list[str]:
    if not isinstance(value, dict):
        return _OBJECT
    errors: Errors = {}
    if found := _metadata(value.get("metadata")):
        errors["metadata"] = found
    transcript = value.get("transcript")
    if transcript is not None and not (
        isinstance(transcript, dict) and isinstance(transcript.get("provider"), dict)
    ):
        errors["transcript"] = ["Expected an object with a provider."]
    endpoints = value.get("realtime_endpoints")
    if endpoints is not None and not (
        isinstance(endpoints, list) and all(_is_endpoint(each) for each in endpoints)
    ):
        errors["realtime_endpoints"] = ["Expected a list of {type, url, events}."]
    return errors


def _is_endpoint(value: object) -> bool:
    return (
        isinstance(value, dict)
        and value.get("type") in ("webhook", "websocket")
        and isinstance(value.get("url"), str)
        and isinstance(value.get("events"), list)
    )
