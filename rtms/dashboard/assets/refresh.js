// Refreshes a page: fetches it again and replaces the part marked data-live. Open details stay open,
// and the focus stays. Without this script the page reloads itself (noscript).
(() => {
  "use strict";
  const EVERY = 5000, PATIENCE = 15000; // milliseconds
  const said = document.getElementById("refresh-state");
  const aloud = document.getElementById("refresh-aloud");
  let timer = 0, asked = null, freshAt = new Date();

  const live = () => document.querySelector("[data-live]");
  const verdict = (part) => part.querySelector("[data-verdict]")?.textContent.trim() ?? "";
  const words = (at) => at.toISOString().slice(11, 19) + " UTC";

  function swap(text) {
    const fresh = new DOMParser().parseFromString(text, "text/html").querySelector("[data-live]");
    if (!fresh) throw new Error("the answer was not this page");
    const old = live();
    for (const each of fresh.querySelectorAll("details[id]")) {
      each.open = document.getElementById(each.id)?.open ?? false;
    }
    const at = document.activeElement;
    const within = at && old.contains(at) ? path(at, old) : null;
    const before = verdict(old);
    old.replaceWith(fresh);
    if (within) find(within, fresh)?.focus({ preventScroll: true });
    if (verdict(fresh) !== before) aloud.textContent = verdict(fresh);
  }

  // Identifies the focused element by something that survives the replacement.
  function path(element, root) {
    const key = element.getAttribute("href") ?? element.closest("details[id]")?.id ?? "";
    return { tag: element.tagName, key };
  }
  function find({ tag, key }, root) {
    return [...root.querySelectorAll(tag)].find((each) => path(each, root).key === key);
  }

  function hasSelection() { // replacing the text would lose the selection
    const selection = document.getSelection();
    return selection && !selection.isCollapsed && live().contains(selection.anchorNode);
  }

  function showState(why) {
    said.textContent = why ? `Not refreshed since ${words(freshAt)}: ${why}.` : "";
    said.hidden = !why;
  }

  async function refresh() {
    const mine = asked = new AbortController();
    const late = setTimeout(() => mine.abort(), PATIENCE);
    try {
      const answer = await fetch(location.href, { signal: mine.signal, cache: "no-store" });
      if (answer.status === 401 || new URL(answer.url).pathname.endsWith("/login")) {
        location.reload();
        return;
      }
      if (answer.status === 503) throw new Error("the database is unreachable");
      if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
      const text = await answer.text();
      if (!hasSelection()) swap(text);
      freshAt = new Date();
      showState("");
    } catch (error) {
      if (document.hidden) return;
      const unreached = error instanceof TypeError || error.name === "AbortError";
      showState(unreached ? "the server does not answer" : error.message);
    } finally {
      clearTimeout(late);
      if (asked === mine) plan(EVERY);
    }
  }

  function plan(wait) {
    clearTimeout(timer);
    if (!document.hidden) timer = setTimeout(refresh, wait);
  }

  document.addEventListener("visibilitychange", () => {
    asked?.abort();
    asked = null;
    plan(document.hidden ? EVERY : 0);
  });
  plan(EVERY);
})();
