"use strict";
for (const figure of document.querySelectorAll("figure.lines")) enliven(figure);

function enliven(figure) {
  const data = JSON.parse(figure.querySelector("script").textContent);
  const area = figure.querySelector(".area"), tip = figure.querySelector(".tip");
  const view = figure.querySelector(".view"), over = figure.querySelector(".over");
  const names = [...figure.querySelectorAll("[data-name]")].map(path => path.dataset.name);
  const texts = data.x.texts || times(data.x);
  const hidden = new Set();
  let from = 0, to = 1, row = -1, dragged = null;

  const left = i => (data.across[i] / 4000 - from) / (to - from);
  const top = v => 1 - (v / 4 - data.low / 4) / (data.high / 4 - data.low / 4);
  const inside = i => left(i) > -1e-9 && left(i) < 1 + 1e-9;

  function nearest(x, y) {
    let best = -1, least = Infinity;
    for (let i = 0; i < texts.length; i++) {
      const values = data.values.map(column => column[i]).filter((v, s) => v !== null && !hidden.has(s));
      if (!values.length || !inside(i)) continue;
      // Of several rows at one place, the one nearest to the pointer's height.
      const away = Math.abs(left(i) - x) + 1e-6 * Math.min(...values.map(v => Math.abs(top(v) - y)));
      if (away < least) [best, least] = [i, away];
    }
    return best;
  }

  function show(i) {
    row = i;
    over.replaceChildren();
    tip.hidden = i < 0;
    if (i < 0) return;
    const percent = fraction => `${(100 * fraction).toFixed(3)}%`;
    over.append(shape("line", { class: "cursor", x1: percent(left(i)), x2: percent(left(i)), y1: 0, y2: "100%" }));
    const lines = [element("b", texts[i])];
    data.values.forEach((column, s) => {
      if (hidden.has(s) || column[i] === null) return;
      over.append(shape("circle", { class: `ring f${s % 8 + 1}`, cx: percent(left(i)), cy: percent(top(column[i])), r: 4.5 }));
      const line = element("div"), mark = element("i"), name = element("bdi", names[s]);
      mark.className = `b${s % 8 + 1}`;
      line.append(mark, name, element("span", number(column[i]) + (data.unit ? ` ${data.unit}` : "")));
      lines.push(line);
    });
    tip.replaceChildren(...lines);
    const room = area.clientWidth, at = left(i) * room;
    const begin = at + 14 + tip.offsetWidth <= room ? at + 14 : at - 14 - tip.offsetWidth;
    tip.style.left = `${Math.max(0, Math.min(begin, room - tip.offsetWidth))}px`;
  }

  function zoom(a, b) {
    [from, to] = [a, b];
    view.setAttribute("viewBox", `${4000 * a} 0 ${4000 * (b - a)} 1000`);
    figure.classList.toggle("zoomed", b - a < 1);
    const seen = texts.map((_, i) => i).filter(inside);
    const ends = figure.querySelectorAll(".ends text");
    [seen[0], seen[seen.length - 1]].forEach((i, end) => { ends[end].textContent = seen.length ? texts[i] : ""; });
    show(-1);
  }

  const place = event => {
    const box = area.getBoundingClientRect();
    return [Math.max(0, Math.min(1, (event.clientX - box.left) / box.width)), (event.clientY - box.top) / box.height];
  };
  area.addEventListener("pointermove", event => {
    const [x, y] = place(event);
    show(nearest(x, y));
    if (dragged === null) return;
    const [a, b] = [Math.min(dragged, x), Math.max(dragged, x)];
    over.append(shape("rect", { class: "chosen", x: `${100 * a}%`, width: `${100 * (b - a)}%`, y: 0, height: "100%" }));
  });
  area.addEventListener("pointerdown", event => {
    const [x, y] = place(event);
    show(nearest(x, y));
    if (event.pointerType !== "mouse" || event.button) return;
    dragged = x;
    area.setPointerCapture(event.pointerId);
  });
  area.addEventListener("pointerup", event => {
    if (dragged === null) return;
    const x = place(event)[0], [a, b] = [Math.min(dragged, x), Math.max(dragged, x)], span = to - from;
    dragged = null;
    const seen = texts.filter((_, i) => left(i) >= a && left(i) <= b).length;
    if (b - a > 0.02 && seen > 1) zoom(from + a * span, from + b * span);
  });
  area.addEventListener("pointerleave", () => { if (dragged === null) show(-1); });
  area.addEventListener("pointercancel", () => { dragged = null; });
  area.addEventListener("dblclick", () => zoom(0, 1));
  area.addEventListener("blur", () => show(-1));
  area.addEventListener("keydown", event => {
    const end = texts.length - 1;
    const steps = { ArrowRight: row + 1, ArrowLeft: row < 0 ? end : row - 1, Home: 0, End: end };
    if (event.key in steps) {
      event.preventDefault();
      show(Math.max(0, Math.min(end, steps[event.key])));
    } else if (event.key === "Escape") zoom(0, 1);
  });
  figure.querySelector(".reset").addEventListener("click", () => zoom(0, 1));
  for (const button of figure.querySelectorAll(".legend button")) {
    button.addEventListener("click", () => {
      const s = Number(button.dataset.series), gone = !hidden.delete(s);
      if (gone) hidden.add(s);
      button.setAttribute("aria-pressed", String(!gone));
      for (const path of figure.querySelectorAll(`[data-of="${s}"]`)) path.style.display = gone ? "none" : "";
      show(-1);
    });
  }
}

function times({ start, unit, steps, cut }) {
  let at = start;
  return [start, ...steps.map(step => at += step * unit)].map(time => {
    const date = new Date(time);
    return isNaN(date) ? "" : date.toISOString().replace("T", " ").slice(0, -cut);
  });
}

function number(value) {
  const size = Math.abs(value);
  if (size >= 1e15 || (size && size < 1e-4)) return value.toExponential(3);
  return value.toLocaleString("en", size >= 1000 ? { maximumFractionDigits: 1 } : { maximumSignificantDigits: 5 });
}

function element(name, text = "") {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

function shape(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
