// Keeps «Running now» as the server sees it, and fetches the rest of the page again when results come in. What arrives
// is set as text, or is a part of this same page as the server would show it now.
"use strict";

{
  const section = document.querySelector("[data-live]");
  const list = (name) => section.querySelector(`.${name}`);
  const row = (name) => section.querySelector(`template[data-row="${name}"]`).content.firstElementChild.cloneNode(true);
  // Readers of screens are told of what changes: nothing is set that is there already.
  const say = (root, name, text) => {
    const field = root.querySelector(`[data-field="${name}"]`);
    if (field.textContent !== text) field.textContent = text;
  };
  const set = (element, name, value) => {
    if (value === undefined) element.removeAttribute(name);
    else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
  };

  // The rows of a list, each kept as long as its key is there.
  const keep = (name, items, fill) => {
    const rows = new Map([...list(name).children].map((row) => [row.dataset.key, row]));
    for (const item of items) {
      const known = rows.get(item.key);
      rows.delete(item.key);
      const place = known || row(name);
      place.dataset.key = item.key;
      fill(place, item);
      if (!known) list(name).append(place);
    }
    for (const gone of rows.values()) gone.remove();
  };

  let followed = null;
  const work = ({ state, tasks, failures }) => {
    say(section, "state", state);
    const { follow } = section.dataset;
    const far = tasks.filter(({ key }) => follow && key.startsWith(follow)).map(({ key, progress }) => key + progress.done);
    if (followed !== null && followed !== far.join()) refreshSoon();
    followed = far.join();
    keep("tasks", tasks, (row, { what, progress, note }) => {
      const bar = row.querySelector("progress");
      set(bar, "aria-label", what);
      set(bar, "max", progress?.total);
      set(bar, "value", progress?.done);
      say(row, "what", what);
      say(row, "text", progress ? progress.text : "");
      say(row, "note", note);
    });
    keep("failures", failures, (row, { what, why }) => {
      say(row, "what", what);
      say(row, "why", why);
    });
  };

  const MOST_NEWS = 12;
  const news = ({ time, text, failed }) => {
    const place = row("news");
    place.classList.toggle("failed", failed);
    say(place, "time", time);
    say(place, "text", text);
    list("news").prepend(place);
    list("news").closest("details").hidden = false;
    while (list("news").children.length > MOST_NEWS) list("news").lastElementChild.remove();
  };

  // Other parts of the page are made by the server: they are fetched again, but seldom, and never under the pointer.
  const REST = 10_000;
  let fetched = 0;
  let stale = false;
  let waiting = 0;
  const refreshSoon = () => {
    stale = true;
    waiting ||= setTimeout(refresh, Math.max(0, fetched + REST - performance.now()));
  };
  const refresh = async () => {
    waiting = 0;
    if (document.hidden) return;
    stale = false;
    fetched = performance.now();
    try {
      const answer = await fetch(location.href);
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of document.querySelectorAll("[data-fresh]")) {
        const fresh = page.querySelector(`[data-fresh="${CSS.escape(part.dataset.fresh)}"]`);
        if (fresh && !replace(part, document.adoptNode(fresh))) refreshSoon();
      }
    } catch {
      // The server is gone: the stream says so.
    }
  };
  const replace = (part, fresh) => {
    if (part.matches(":hover, :focus-within")) return false;
    const off = (root) => [...root.querySelectorAll("figure.chart")].map((figure) =>
      [...figure.querySelectorAll('.legend-entry[aria-pressed="false"]')].map((entry) => entry.dataset.series));
    const hidden = off(part);
    part.replaceWith(fresh);
    fresh.dispatchEvent(new CustomEvent("fresh", { bubbles: true }));
    for (const [index, figure] of fresh.querySelectorAll("figure.chart").entries()) {
      for (const series of new Set(hidden[index])) {
        figure.querySelector(`.legend-entry[data-series="${CSS.escape(series)}"]`)?.dispatchEvent(new Event("click"));
      }
    }
    return true;
  };

  // A browser opens few connections to one server: only the page that is seen holds one.
  let after = section.dataset.after;
  let source = null;
  let later = 0;
  const open = () => {
    clearTimeout(later);
    if (source || document.hidden) return;
    source = new EventSource(`${section.dataset.live}?after=${after}`);
    source.addEventListener("work", (event) => work(JSON.parse(event.data)));
    source.addEventListener("news", (event) => {
      after = event.lastEventId;
      news(JSON.parse(event.data));
      refreshSoon();
    });
    source.addEventListener("error", () => {
      say(section, "state", "The dashboard does not answer: what follows is as it was then.");
      // An answer that is no stream ends it for good; a broken connection is opened again by the browser.
      if (source?.readyState === EventSource.CLOSED) {
        close();
        later = setTimeout(open, REST);
      }
    });
  };
  const close = () => {
    source?.close();
    source = null;
  };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return close();
    open();
    if (stale) refreshSoon();
  });
  open();
}
