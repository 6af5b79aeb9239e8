"use strict";
const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
const one = (selector, inside = document) => inside.querySelector(selector);
const served = document.body.classList.contains("served");
const state = { text: "", kind: "", sort: "name", back: false };
const DESCENDING = ["last", "took", "usual", "cost", "failure"];
const EVERY = 15000;

try { Object.assign(state, JSON.parse(sessionStorage.getItem("lightwork") || "{}")); } catch { /* no storage */ }
const keep = () => { try { sessionStorage.setItem("lightwork", JSON.stringify(state)); } catch { /* no storage */ } };
const shown = () => all(".pipelines tbody tr").filter(row => !row.hidden);

function arrange() {
  const body = one(".pipelines tbody");
  if (!body) return;
  const words = state.text.toLowerCase().split(/\s+/).filter(Boolean);
  for (const row of body.rows) {
    const text = row.dataset.search.toLowerCase();
    row.hidden = (state.kind && row.dataset.state !== state.kind) || !words.every(word => text.includes(word));
  }
  const down = DESCENDING.includes(state.sort) !== state.back ? -1 : 1;
  const value = row => {
    const text = row.dataset[state.sort];
    return state.sort === "name" ? text : text === "" ? null : Number(text);
  };
  const ordered = [...body.rows].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === null || y === null) return (x === null) - (y === null) || compare(a.dataset.name, b.dataset.name);
    return down * compare(x, y) || compare(a.dataset.name, b.dataset.name);
  });
  body.append(...ordered);
  one(".nothing").hidden = shown().length > 0;
  for (const head of all(".pipelines [data-sort]")) {
    if (head.dataset.sort === state.sort) head.setAttribute("aria-sort", down < 0 ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
  for (const chip of all(".chips button")) chip.setAttribute("aria-pressed", String(chip.dataset.state === state.kind));
  if (one(".sort select").value !== state.sort) one(".sort select").value = state.sort;
  keep();
}

function compare(x, y) {
  return typeof x === "string" ? x.localeCompare(y, "en", { numeric: true }) : x - y;
}

function sortBy(key) {
  if (!one(".pipelines")) return;
  state.back = key === state.sort ? !state.back : false;
  state.sort = key;
  arrange();
}

function enliven() {
  if (one(".tools")) {
    one(".tools").hidden = false;
    one(".filter").value = state.text;
    one(".filter").addEventListener("input", event => { state.text = event.target.value; arrange(); });
    for (const chip of all(".chips button")) chip.addEventListener("click", () => { state.kind = chip.dataset.state; arrange(); });
    one(".sort select").addEventListener("change", event => { state.back = false; state.sort = event.target.value; arrange(); });
    for (const head of all(".pipelines [data-sort]")) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sortBy(head.dataset.sort));
      head.append(button);
    }
    arrange();
  }
  // Of a picture's bars, only the newest one is on the way of the Tab key; the arrows lead to the others.
  for (const picture of all("svg.bars")) {
    const bars = all("a.bar", picture), first = one("a.current", picture) || bars[bars.length - 1];
    for (const bar of bars) bar.setAttribute("tabindex", bar === first ? "0" : "-1");
  }
  for (const item of all("[data-preview]")) item.addEventListener("toggle", () => read(item), { once: true });
  const log = one(".log .scroll", one(".run-page:target") || document);
  if (log) log.scrollTop = log.scrollHeight;
}

async function read(item) {
  const target = one(".preview", item);
  try {
    const answer = await fetch(item.dataset.preview, { credentials: "same-origin" });
    const text = await answer.text();
    if (!answer.ok) throw new Error(String(answer.status));
    target.replaceChildren(...new DOMParser().parseFromString(text, "text/html").body.childNodes);
  } catch {
    target.textContent = "It cannot be read.";
  }
}

// What a bar says, at the pointer and for the keyboard.
const tip = one(".tip");
function tell(target) {
  const bar = target instanceof Element ? target.closest("[data-tip]") : null;
  tip.hidden = !bar;
  if (!bar) return;
  tip.textContent = bar.dataset.tip;
  const box = bar.getBoundingClientRect(), room = document.documentElement.clientWidth;
  const left = Math.max(4, Math.min(box.left + box.width / 2 - tip.offsetWidth / 2, room - tip.offsetWidth - 4));
  tip.style.left = `${left + scrollX}px`;
  tip.style.top = `${box.top + scrollY - tip.offsetHeight - 4}px`;
}
document.addEventListener("pointerover", event => tell(event.target));
document.addEventListener("focusin", event => tell(event.target));
document.addEventListener("focusout", () => tell(null));

const dialog = one(".keys-help"), help = one(".help");
help.hidden = false;
help.addEventListener("click", () => dialog.showModal());
dialog.addEventListener("click", event => { if (event.target === dialog) dialog.close(); });

function page() {
  return one(".run-page:target") || one("main");
}

function rowOf(element) {
  return element instanceof Element ? element.closest(".pipelines tbody tr") : null;
}

function focusRow(step) {
  const rows = shown(), at = rows.indexOf(rowOf(document.activeElement));
  const row = rows[at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.max(0, Math.min(rows.length - 1, at + step))];
  const bar = row && one("a.bar[tabindex='0']", row);
  if (bar) { bar.focus(); row.scrollIntoView({ block: "nearest" }); }
}

function walk(step) {
  const inside = rowOf(document.activeElement) !== null;
  if (inside) focusRow(step);
  return inside;
}

function focusBar(step) {
  const picture = document.activeElement.closest?.("svg.bars");
  const bars = picture ? all("a.bar", picture) : [];
  const bar = bars[bars.indexOf(document.activeElement) + step];
  if (!bar) return picture !== null && picture !== undefined;
  for (const other of bars) other.setAttribute("tabindex", other === bar ? "0" : "-1");
  bar.focus();
  return true;
}

const go = key => { const link = one(`[data-key="${key}"]`, page()); if (link) link.click(); return Boolean(link); };
const nextSort = () => {
  const keys = all(".pipelines [data-sort]").map(head => head.dataset.sort);
  if (keys.length) { state.sort = keys[(keys.indexOf(state.sort) + 1) % keys.length]; state.back = false; arrange(); }
};
const KEYS = {
  "/": () => { const field = one(".filter", page()); if (field) { field.focus(); field.select(); } return Boolean(field); },
  j: () => focusRow(1), k: () => focusRow(-1), ArrowDown: () => walk(1), ArrowUp: () => walk(-1), ArrowLeft: () => focusBar(-1), ArrowRight: () => focusBar(1),
  s: nextSort, r: () => sortBy(state.sort), "[": () => go("previous"), "]": () => go("following"), u: () => go("home"),
  "?": () => dialog.showModal(),
};
document.addEventListener("keydown", event => {
  const field = event.target instanceof Element && event.target.matches("input, select, textarea");
  if (event.key === "Escape" && field) {
    if (event.target.matches(".filter")) { event.target.value = state.text = ""; arrange(); }
    event.target.blur();
    return;
  }
  if (field && event.key === "Enter" && event.target.matches(".filter")) { event.preventDefault(); focusRow(1); return; }
  if (field || dialog.open || event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(KEYS, event.key)) return;
  if (KEYS[event.key]() !== false) event.preventDefault();
});

// A page of the server that may change is read again; what is typed, chosen or opened stays.
async function refresh() {
  const busy = document.hidden || dialog.open || String(getSelection()) || one("details[open]");
  if (busy) return;
  let text;
  try {
    const answer = await fetch(location.href, { credentials: "same-origin" });
    if (!answer.ok) throw new Error(String(answer.status));
    text = await answer.text();
  } catch {
    one(".stale").hidden = false;
    return;
  }
  const active = document.activeElement, typed = active?.matches?.(".filter") ? [active.selectionStart, active.selectionEnd] : null;
  const link = active?.closest?.("a.bar")?.getAttribute("href");
  const found = new DOMParser().parseFromString(text, "text/html");
  document.body.toggleAttribute("data-live", found.body.hasAttribute("data-live"));
  one("main").replaceWith(found.querySelector("main"));
  one("footer").replaceWith(found.querySelector("footer"));
  document.title = found.title;
  tell(null);
  enliven();
  if (typed) { one(".filter").focus(); one(".filter").setSelectionRange(...typed); }
  const again = link && all("a.bar").find(bar => bar.getAttribute("href") === link);
  if (again) again.focus({ preventScroll: true });
}

enliven();
addEventListener("hashchange", () => { scrollTo(0, 0); enlivenLog(); });
function enlivenLog() {
  const log = one(".log .scroll", page());
  if (log) log.scrollTop = log.scrollHeight;
}
if (served && document.body.dataset.kind !== "problem") {
  if (one("[data-pending]")) setTimeout(refresh, 1500);
  setInterval(() => { if (document.body.dataset.kind === "overview" || document.body.hasAttribute("data-live")) refresh(); }, EVERY);
}
