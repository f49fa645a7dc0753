// Writes the reader's own time beside each moment in UTC. It is loaded before the page's body and
// watches it grow, so the time is there when a line is first drawn, and nothing moves afterwards.
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

  function tell(time) {
    const at = new Date(time.dateTime);
    if (time.dataset.told || Number.isNaN(at.getTime()) || at.getTimezoneOffset() === 0) return;
    time.dataset.told = "1";
    if (time.title) { // it says how long ago
      time.title += ` (${words(at)})`;
      return;
    }
    const local = document.createElement("span");
    local.className = "local";
    local.textContent = words(at);
    time.append(" ", local);
  }

  function look(node) {
    if (node.nodeType !== Node.ELEMENT_NODE) return;
    if (node.matches("time[datetime]")) tell(node);
    node.querySelectorAll("time[datetime]").forEach(tell);
    for (const foot of [node, ...node.querySelectorAll("[data-zone]")]) {
      if (!foot.matches("[data-zone]") || foot.textContent || !new Date().getTimezoneOffset()) continue;
      foot.textContent = ` Beside them: local time, ${zone}.`;
    }
  }

  new MutationObserver((changes) => {
    for (const change of changes) change.addedNodes.forEach(look);
  }).observe(document, { childList: true, subtree: true });
})();
