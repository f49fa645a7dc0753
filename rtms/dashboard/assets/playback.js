/* The player of a meeting's page: says in words why it cannot play, and reads the transcript along.
   Without this script the player, and a link to the transcript, are there all the same. */

"use strict";

const EARLY = 0.05; // seconds: a player that was sent to a moment may stand just before it
const GENTLY = window.matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";

for (const section of document.querySelectorAll("[data-recording]")) {
  const player = section.querySelector("video, audio");
  const pane = section.querySelector("[data-transcript]");
  if (player) explain(player);
  if (player && pane) readAlong(player, pane);
}

/* A link works for some hours. Where it has run out, loading again fetches a fresh one; where there
   is none, the server knows why. Only `player.error` says that it failed: while a browser chooses
   what to load, its networkState says for a moment that there is nothing to load. */
function explain(player) {
  const box = player.parentElement;
  const words = box.querySelector(".trouble");
  let canReload = false;
  const tell = async () => {
    const answer = await ask(box.dataset.why);
    if (!player.error) return; // meanwhile it was loaded again
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
  player.addEventListener("error", tell);
  if (player.error) tell(); // it failed before this script came
}

async function ask(url) {
  try {
    const answer = await fetch(url, { headers: { Accept: "application/json" } });
    if (answer.ok && !answer.redirected) return await answer.json();
  } catch {
    // said below
  }
  return { to_be_had: false, words: "The recording did not load, and the server did not say why. Reload the page." };
}

async function readAlong(player, pane) {
  const read = await fetchTranscript(pane.dataset.transcript);
  if (!read) return; // the link to it stays
  pane.replaceChildren(read);
  const turns = [...pane.querySelectorAll("[data-start]")];
  const starts = turns.map((turn) => Number(turn.dataset.start));
  let current = null;

  pane.addEventListener("click", (event) => {
    const time = event.target.closest("a.turn-time");
    if (!time || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    player.currentTime = Number(time.closest("[data-start]").dataset.start);
    player.play().catch(() => {}); // it cannot play: its own error says so
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

/* Only the transcript's own box is scrolled, never the page. */
function show(turn, pane) {
  const place = turn.getBoundingClientRect();
  const frame = pane.getBoundingClientRect();
  if (place.top >= frame.top && place.bottom <= frame.bottom) return;
  pane.scrollBy({ top: place.top - frame.top - frame.height / 4, behavior: GENTLY });
}
