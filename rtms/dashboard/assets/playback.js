/* The player on a meeting's page: shows why it cannot play, and follows the transcript. Without this
   script, the page still has the player and a link to the transcript. */

"use strict";

const EARLY = 0.05; // seconds: after a seek, a player may be just before the position
const SCROLLING = window.matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";

for (const section of document.querySelectorAll("[data-recording]")) {
  const player = section.querySelector("video, audio");
  const pane = section.querySelector("[data-transcript]");
  if (player) explain(player);
  if (player && pane) readAlong(player, pane);
}

/* A link works for some hours. If it has expired, reloading fetches a fresh one; if there is none,
   the server knows why. Only `player.error` proves a failure: while a browser chooses a source, its
   networkState says for a moment that there is none. */
function explain(player) {
  const box = player.parentElement;
  const words = box.querySelector(".trouble");
  let canReload = false;
  const showProblem = async () => {
    const answer = await ask(box.dataset.why);
    if (!player.error) return; // it was reloaded meanwhile
    if (answer.to_be_had && canReload) {
      canReload = false;
      const at = player.currentTime;
      player.load();
      player.currentTime = at;
      player.play().catch(() => {}); // the browser may want a click first
      return;
    }
    words.textContent = answer.words;
    words.hidden = false;
    if (!answer.to_be_had) player.hidden = true;
  };
  player.addEventListener("playing", () => {
    canReload = true;
    words.hidden = true;
    player.hidden = false;
  });
  player.addEventListener("error", showProblem);
  if (player.error) showProblem(); // it failed before this script was loaded
}

async function ask(url) {
  try {
    const answer = await fetch(url, { headers: { Accept: "application/json" } });
    if (answer.ok && !answer.redirected) return await answer.json();
  } catch {
    // returned below
  }
  return { to_be_had: false, words: "The recording did not load, and the server did not say why. Reload the page." };
}

async function readAlong(player, pane) {
  const read = await fetchTranscript(pane.dataset.transcript);
  if (!read) return; // keep the link to it
  pane.replaceChildren(read);
  const turns = [...pane.querySelectorAll("[data-start]")];
  const starts = turns.map((turn) => Number(turn.dataset.start));
  let current = null;

  pane.addEventListener("click", (event) => {
    const time = event.target.closest("a.turn-time");
    if (!time || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    player.currentTime = Number(time.closest("[data-start]").dataset.start);
    player.play().catch(() => {}); // its "error" event says why it cannot play
  });

  const mark = () => {
    const at = player.currentTime + EARLY;
    const turn = turns[starts.findLastIndex((start) => start <= at)] ?? null;
    if (turn === current) return;
    current?.removeAttribute("aria-current");
    current = turn;
    if (!turn) return;
    turn.setAttribute("aria-current", "true");
    if (!player.paused) show(turn, pane);
  };
  player.addEventListener("timeupdate", mark);
  player.addEventListener("seeked", mark);
}

async function fetchTranscript(url) {
  try {
    const answer = await fetch(url, { headers: { Accept: "text/html" } }); // words, if there is none
    if (answer.redirected) return null;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const found = page.querySelector("#transcript");
    return found && document.adoptNode(found);
  } catch {
    return null;
  }
}

/* Scrolls the transcript's box, never the page. */
function show(turn, pane) {
  const place = turn.getBoundingClientRect();
  const frame = pane.getBoundingClientRect();
  if (place.top >= frame.top && place.bottom <= frame.bottom) return;
  pane.scrollBy({ top: place.top - frame.top - frame.height / 4, behavior: SCROLLING });
}
