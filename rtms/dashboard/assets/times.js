// Adds the reader's local time to each time in UTC. It is loaded before the page's body and observes
// it, so the local time is there when a line is first drawn, and nothing moves afterwards.
(() => {
  "use strict";
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
  const day = new Intl.DateTimeFormat("en-GB", { weekday: "short" });
  const utcDay = new Intl.DateTimeFormat("en-GB", { weekday: "short", timeZone: "UTC" });

  function words(at) {
    const other = day.format(at) === utcDay.format(at) ? "" : `${day.format(at)} `;
    return `${other}${clock.format(at)} local`;
  }

  function addLocalTime(time) {
    const at = new Date(time.dateTime);
    if (time.dataset.done || Number.isNaN(at.getTime()) || at.getTimezoneOffset() === 0) return;
    time.dataset.done = "1";
    if (time.title) { // the text says how long ago
      time.title += ` (${words(at)})`;
      return;
    }
    const local = document.createElement("span");
    local.className = "local";
    local.textContent = words(at);
    time.append(" ", local);
  }

  function process(node) {
    if (node.nodeType !== Node.ELEMENT_NODE) return;
    if (node.matches("time[datetime]")) addLocalTime(node);
    node.querySelectorAll("time[datetime]").forEach(addLocalTime);
    for (const foot of [node, ...node.querySelectorAll("[data-zone]")]) {
      if (!foot.matches("[data-zone]") || foot.textContent || !new Date().getTimezoneOffset()) continue;
      foot.textContent = ` Your local time (${zone}) is next to them.`;
    }
  }

  new MutationObserver((changes) => {
    for (const change of changes) change.addedNodes.forEach(process);
  }).observe(document, { childList: true, subtree: true });
})();
