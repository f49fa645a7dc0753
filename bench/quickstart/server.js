// The quickstart, rewritten on Express, for comparison with the server. On `meeting.rtms_started` it
// checks the signature, computes the join signature, and asks Recall to connect. It answers Zoom
// after Recall has answered. It stores nothing, and tries once.

"use strict";

const crypto = require("node:crypto");
const express = require("express");

const {
  PORT,
  RECALL_BASE_URL,
  RECALL_API_KEY,
  ZOOM_SECRET_TOKEN,
  ZOOM_CLIENT_ID,
  ZOOM_CLIENT_SECRET,
} = process.env;

const hmac = (key, message) => crypto.createHmac("sha256", key).update(message).digest("hex");

function isFromZoom(request) {
  const timestamp = request.get("x-zm-request-timestamp");
  const expected = Buffer.from(`v0=${hmac(ZOOM_SECRET_TOKEN, `v0:${timestamp}:${request.body}`)}`);
  const given = Buffer.from(request.get("x-zm-signature") ?? "");
  return given.length === expected.length && crypto.timingSafeEqual(given, expected);
}

async function connect({ meeting_uuid, rtms_stream_id, server_urls }) {
  const message = `${ZOOM_CLIENT_ID},${meeting_uuid},${rtms_stream_id}`;
  const signature = hmac(ZOOM_CLIENT_SECRET, message);
  const answer = await fetch(`${RECALL_BASE_URL}/api/v1/meeting_direct_connect`, {
    method: "POST",
    headers: { authorization: `Token ${RECALL_API_KEY}`, "content-type": "application/json" },
    body: JSON.stringify({
      zoom_rtms: { meeting_uuid, rtms_stream_id, server_urls, signature },
      recording_config: { video_mixed_mp4: {} },
    }),
  });
  const body = await answer.json();
  if (!answer.ok) throw new Error(`Recall answered ${answer.status}`);
  return body;
}

const app = express();

app.post("/zoom-webhook", express.text({ type: "*/*" }), async (request, response) => {
  if (!isFromZoom(request)) return response.status(401).end();
  const { event, payload } = JSON.parse(request.body);
  if (event === "endpoint.url_validation") {
    const { plainToken } = payload;
    return response.json({ plainToken, encryptedToken: hmac(ZOOM_SECRET_TOKEN, plainToken) });
  }
  if (event === "meeting.rtms_started") {
    try {
      await connect(payload);
    } catch (error) {
      console.error(error.message);
      return response.status(500).end();
    }
  }
  return response.json({});
});

app.listen(Number(PORT), "127.0.0.1");
