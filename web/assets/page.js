// Comforts. Every page works without them.
"use strict";

// The legend shows and hides its series.
const prepareLegends = (root) => {
  for (const entry of root.querySelectorAll("figure.chart .legend-entry")) {
    const figure = entry.closest("figure.chart");
    const toggle = () => {
      const off = entry.getAttribute("aria-pressed") === "true";
      const slot = CSS.escape(entry.dataset.series);
      for (const part of figure.querySelectorAll(`.series[data-series="${slot}"]`)) part.classList.toggle("off", off);
      for (const twin of figure.querySelectorAll(`.legend-entry[data-series="${slot}"]`)) {
        twin.setAttribute("aria-pressed", String(!off));
      }
    };
    entry.setAttribute("role", "button");
    entry.setAttribute("tabindex", "0");
    entry.setAttribute("aria-pressed", "true");
    entry.addEventListener("click", toggle);
    entry.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      toggle();
    });
  }
};

// A point says its values at once, to the pointer and to the keyboard; its native tooltip would wait for a second.
const tooltip = document.createElement("div");
tooltip.className = "tooltip";
tooltip.hidden = true;
tooltip.setAttribute("aria-hidden", "true");
document.body.append(tooltip);

const preparePoints = (root) => {
  for (const point of root.querySelectorAll(".chart .point")) {
    const title = point.querySelector("title");
    if (!title || !title.textContent) continue;
    point.setAttribute("aria-label", title.textContent);
    title.remove();
  }
};

// Parts of a page that follows running work are replaced by newer ones.
for (const prepare of [prepareLegends, preparePoints]) {
  prepare(document);
  document.addEventListener("fresh", (event) => prepare(event.target));
}

// Lines often meet in a point, whose circles lie on each other: the upper one speaks for all that are shown.
const MOST_WORDS = 6;
const wordsAt = (point) => {
  const [x, y] = ["cx", "cy"].map((name) => point.getAttribute(name));
  const same = x === null ? [point] : [...point.ownerSVGElement.querySelectorAll(`.point[cx="${x}"][cy="${y}"]`)];
  const words = same.filter((other) => !other.closest(".off")).map((other) => other.getAttribute("aria-label"));
  const more = words.length - MOST_WORDS;
  return [...words.slice(0, MOST_WORDS), ...(more > 0 ? [`… and ${more} more`] : [])].join("\n");
};

const show = (event) => {
  const target = event.target instanceof Element ? event.target : null;
  const point = target && (target.closest(".point") || (target.matches("a") && target.querySelector(".point")));
  tooltip.hidden = !point;
  if (!point) return;
  tooltip.textContent = wordsAt(point);
  const at = point.getBoundingClientRect();
  const width = tooltip.offsetWidth;
  const left = Math.min(Math.max(at.x + at.width / 2 - width / 2, 4), document.documentElement.clientWidth - width - 4);
  const above = at.y - tooltip.offsetHeight - 6;
  tooltip.style.left = `${left + window.scrollX}px`;
  tooltip.style.top = `${(above > 0 ? above : at.bottom + 6) + window.scrollY}px`;
};
document.addEventListener("pointerover", show);
document.addEventListener("focusin", show);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") tooltip.hidden = true;
});

// Arrow keys lead to the neighbours of a sample.
document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (event.target instanceof Element && event.target.closest("input, select, textarea, .scroll")) return;
  const relation = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
  const link = relation && document.querySelector(`a[rel="${relation}"]`);
  if (link) link.click();
});

// A form of choices needs no button; one box ticked after another is one choice.
const CHOICE = 600;
for (const form of document.querySelectorAll("form[data-submits]")) {
  let later = 0;
  form.addEventListener("change", (event) => {
    clearTimeout(later);
    // «All» and «these» exclude each other.
    const { name, value, checked } = event.target;
    if (name === "e" && checked) {
      for (const box of form.querySelectorAll('input[name="e"]')) {
        if ((box.value === "all") !== (value === "all")) box.checked = false;
      }
    }
    later = setTimeout(() => form.requestSubmit(), event.target.matches("select") ? 0 : CHOICE);
  });
}
