// The live page. All texts of a segment become text nodes, so none of them is ever markup.
"use strict";

const NS = "http://www.w3.org/2000/svg";
const at = (id) => document.getElementById(id);

/** What the viewer looks at. */
const view = { family: null, sort: "title", descending: false, paused: false, order: [], row: null };
let timer = 0;
let asked = 0;

/** An element with these classes and children; a string becomes a text node. */
function element(tag, classes, ...children) {
  const made = document.createElement(tag);
  if (classes) made.className = classes;
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** With characters that control or reorder text written out. */
function clean(text) {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);
}

const UNITS = {
  seconds: [[1, "s"], [1e-3, "ms"], [1e-6, "µs"], [1e-9, "ns"]],
  bytes: [[2 ** 50, "PiB"], [2 ** 40, "TiB"], [2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"], [1, "B"]],
  none: [[1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""]],
};

/** A number with three figures and a prefix of its unit: "12.5 ms". "-" if there is none. */
function scaled(value, unit) {
  if (value === null || value === undefined) return "-";
  if (unit === "time" && value > 0) return new Date(value * 1000).toISOString().slice(0, 19).replace("T", " ");
  const steps = UNITS[unit] || UNITS.none;
  const size = Math.abs(value);
  const fits = ([factor]) => size >= factor * (factor === 1 ? 1 : 0.9995);
  const found = size === 0 ? steps.find(([factor]) => factor === 1) : steps.find(fits) || steps[steps.length - 1];
  const [factor, prefix] = found;
  const part = value / factor;
  const whole = Number.isInteger(part) && Math.abs(part) < 1000;
  const figures = Math.abs(part);
  const digits = whole || figures >= 99.95 ? 0 : figures >= 9.995 ? 1 : 2;
  const text = figures > 0 && figures < 0.005 ? part.toExponential(1) : part.toFixed(digits);
  return prefix ? `${text} ${prefix}` : text;
}

function age(seconds) {
  if (seconds === null || seconds === undefined) return "-";
  const past = Math.max(0, Date.now() / 1000 - seconds);
  for (const [size, name] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (past >= size) return `${Math.floor(past / size)} ${name} ago`;
  }
  return `${Math.floor(past)} s ago`;
}

function sparkline(heights) {
  const svg = document.createElementNS(NS, "svg");
  svg.setAttribute("class", "trend");
  svg.setAttribute("viewBox", "0 0 96 20");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(NS, "polyline");
  const from = 32 - heights.length;
  const point = (height, i) => `${(((from + i) * 96) / 31).toFixed(1)},${(19 - (height * 18) / 100).toFixed(1)}`;
  line.setAttribute("points", heights.map(point).join(" "));
  svg.append(line);
  return svg;
}

/** The columns: key, title, classes, and the text or element of a cell. */
const COLUMNS = [
  ["title", "Metric", "name", null],
  ["value", "Value", "number", (row) => clean(row.states || "") || scaled(row.value, row.valueUnit)],
  ["rate_1s", "/s", "number", (row) => scaled(row.rate_1s, row.rateUnit)],
  ["rate_10s", "/s 10 s", "number less", (row) => scaled(row.rate_10s, row.rateUnit)],
  ["rate_60s", "/s 60 s", "number less", (row) => scaled(row.rate_60s, row.rateUnit)],
  ["p50", "50 %", "number less", (row) => scaled(row.p50, row.unit)],
  ["p99", "99 %", "number", (row) => scaled(row.p99, row.unit)],
  ["trend", "Trend", "less", (row) => sparkline(row.trend)],
];

const OBSERVED = ["histogram", "gaugehistogram", "summary"];

/** A row with the units of its columns. */
function withUnits(row, family) {
  const isObserved = OBSERVED.includes(family.type);
  const rateUnit = family.type === "counter" && family.unit === "bytes" ? "bytes" : "none";
  return { ...row, unit: family.unit, valueUnit: isObserved ? "none" : family.unit, rateUnit };
}

function cells(row, name) {
  return COLUMNS.map(([key, , classes, cell]) => element("td", classes, key === "title" ? name : cell(row)));
}

function head(table, isSortable) {
  const titles = COLUMNS.map(([key, title, classes]) => {
    if (!isSortable || key === "trend") return element("th", classes, title);
    const mark = view.sort !== key ? "" : view.descending ? " ↓" : " ↑";
    const button = element("button", "", title + mark);
    button.type = "button";
    button.addEventListener("click", () => sortBy(key));
    const cell = element("th", classes, button);
    if (view.sort === key) cell.setAttribute("aria-sort", view.descending ? "descending" : "ascending");
    return cell;
  });
  table.tHead.rows[0].replaceChildren(...titles);
}

function sortBy(key) {
  view.descending = view.sort === key ? !view.descending : key !== "title";
  view.sort = key;
  view.order = [];
  head(at("families"), true);
  if (last) families(last);
}

/** Families keep their places until the viewer sorts. */
function ordered(rows) {
  if (view.order.length === 0) {
    const value = (row) => row[view.sort] ?? -Infinity;
    const compare = (a, b) => (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : a.title < b.title ? -1 : 1);
    const sorted = [...rows].sort((a, b) => (view.descending && view.sort !== "title" ? compare(b, a) : compare(a, b)));
    if (view.sort === "title" && view.descending) sorted.reverse();
    // The first answer has no rates yet.
    if (rows.some((row) => row.rate_1s !== null) || view.sort === "title") view.order = sorted.map((row) => row.name);
    return sorted;
  }
  const places = new Map(view.order.map((name, i) => [name, i]));
  for (const row of rows) {
    if (!places.has(row.name)) {
      places.set(row.name, places.size);
      view.order.push(row.name);
    }
  }
  return [...rows].sort((a, b) => places.get(a.name) - places.get(b.name));
}

let last = null;

function families(answer) {
  last = answer;
  const rows = ordered(answer.families).map((family) => {
    const count = family.series === 1 ? "" : ` (${family.series} series)`;
    const button = element("button", "", clean(family.title), element("span", "dim", count));
    button.type = "button";
    button.dataset.family = family.name;
    button.title = clean(family.help);
    button.setAttribute("aria-expanded", String(family.name === view.family));
    button.addEventListener("click", () => open(family.name === view.family ? null : family.name));
    return element("tr", family.name === view.family ? "open" : "", ...cells(withUnits(family, family), button));
  });
  const body = at("families").tBodies[0];
  const focused = document.activeElement?.dataset?.family;
  body.replaceChildren(...rows);
  if (focused !== undefined) focus(focused);
  const left = answer.families_matching - answer.families.length;
  const notes = [];
  if (left > 0) notes.push(`${left} more families match; search to see them`);
  if (answer.families_matching === 0) notes.push("no metric matches");
  if (answer.age > 3) notes.push(`values up to ${answer.age.toFixed(0)} s old`);
  at("note").textContent = notes.join(". ");
  details(answer);
}

function focus(name) {
  const buttons = [...at("families").tBodies[0].querySelectorAll("button")];
  buttons.find((button) => button.dataset.family === name)?.focus();
}

function details(answer) {
  const family = answer.families.find((one) => one.name === view.family);
  const shown = answer.family;
  at("family").hidden = !shown || !family;
  if (at("family").hidden) return;
  at("family-title").textContent = `${clean(family.title)} (${family.type})`;
  at("family-help").textContent = clean(family.help);
  head(at("series"), false);
  const rows = shown.series.map((one) => {
    const labels = Object.entries(one.labels).map(([name, value]) => `${clean(name)}="${clean(value)}"`);
    const value = one.states ? null : (one.value ?? one.count);
    const row = withUnits({ ...one, value, states: one.states?.join(", ") }, family);
    return element("tr", "", ...cells(row, labels.length ? `{${labels.join(", ")}}` : "{}"));
  });
  at("series").tBodies[0].replaceChildren(...rows);
  const left = shown.series_matching - shown.series.length;
  at("family-note").textContent = left > 0
    ? `the ${shown.series.length} highest of ${shown.series_matching} series; filter to see others` : "";
}

function open(name) {
  view.family = name;
  at("filter").value = "";
  at("family").hidden = true;
  location.replace(name === null ? "#" : `#${encodeURIComponent(name)}`);
  refresh();
}

function segments(answer) {
  const rows = answer.segments.map((one) => {
    if (one.problem !== undefined) {
      const cell = element("td", "", clean(one.problem));
      cell.colSpan = 5;
      return element("tr", "", element("td", "name", clean(one.name)), cell);
    }
    const share = one.max_size_bytes > 0 ? one.used_bytes / one.max_size_bytes : 0;
    const meter = element("meter", "");
    [meter.min, meter.max, meter.high, meter.value] = [0, 1, 0.9, share];
    const room = `${(share * 100).toFixed(1)} % of ${scaled(one.max_size_bytes, "bytes")}`;
    meter.setAttribute("aria-label", room);
    const processes = one.processes_attached ?? (one.in_use ? "1+" : one.in_use === false ? "0" : "?");
    const updated = one.last_update === null ? "-" : age(one.last_update);
    return element("tr", "",
      element("td", "name", clean(one.name)),
      element("td", "number", String(processes)),
      element("td", "number", String(one.series)),
      element("td", "", meter, ` ${room}`),
      element("td", "", one.last_update_is_last === false ? `${updated} or later` : updated),
      element("td", "", one.owner ? `${one.owner.name}, ${one.owner.mode}` : "-"));
  });
  at("segments").hidden = false;
  at("segments").querySelector("tbody").replaceChildren(...rows);
  const warnings = answer.segments.flatMap((one) => one.warnings || []);
  warn(warnings.map((one) => [`${one.text} Runbook: ${one.metric}.`, one.is_loss]));
  at("state").textContent = warnings.length ? "" : "It is there and can be read.";
}

/** Shows the warnings, and touches nothing if they are the same: a screen reader reads changes. */
function warn(warnings) {
  const texts = warnings.map(([text]) => text).join("\n");
  if (at("warnings").dataset.texts === texts) return;
  at("warnings").dataset.texts = texts;
  at("warnings").replaceChildren(
    ...warnings.map(([text, isLoss]) => element("p", isLoss ? "warning loss" : "warning", text)));
}

/** The JSON of an answer. An error has the server's reason, if it gives one. */
async function get(path) {
  const answer = await fetch(path, { cache: "no-store" });
  const text = await answer.text();
  if (answer.ok) return JSON.parse(text);
  let reason = text.trim() || `the server answers ${answer.status}`;
  try {
    reason = JSON.parse(text).problem || reason;
  } catch {
    // A refusal of the server itself is plain text.
  }
  throw new Error(reason);
}

async function refresh() {
  clearTimeout(timer);
  const turn = (asked += 1);
  const query = new URLSearchParams({ search: at("search").value, filter: at("filter").value });
  if (view.family !== null) query.set("family", view.family);
  try {
    const [of_segments, of_families] = await Promise.all([get("-/segments.json"), get(`-/live.json?${query}`)]);
    if (turn !== asked) return;
    at("live").hidden = false;
    segments(of_segments);
    families(of_families);
  } catch (error) {
    if (turn !== asked) return;
    // The last values stay, with the reason why there are no new ones.
    at("state").textContent = "";
    warn([[`${clean(error.message)}. The values below are the last ones.`, true]]);
  }
  document.body.dataset.refreshes = String(turn);
  if (!view.paused && !document.hidden) timer = setTimeout(refresh, 1000);
}

function pause() {
  view.paused = !view.paused;
  at("pause").setAttribute("aria-pressed", String(view.paused));
  at("pause").textContent = view.paused ? "Go on" : "Pause";
  if (view.paused) clearTimeout(timer);
  else refresh();
}

function move(step) {
  const buttons = [...at("families").tBodies[0].querySelectorAll("button")];
  const now = buttons.indexOf(document.activeElement);
  const next = now < 0 ? (step > 0 ? 0 : buttons.length - 1) : now + step;
  buttons[Math.min(Math.max(next, 0), buttons.length - 1)]?.focus();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const isTyping = event.target instanceof HTMLInputElement;
  if (event.key === "Escape") {
    if (isTyping && event.target.value !== "") {
      event.target.value = "";
      refresh();
    } else if (isTyping) {
      event.target.blur();
    } else if (view.family !== null) {
      const name = view.family;
      open(null);
      focus(name);
    }
    event.preventDefault();
    return;
  }
  if (isTyping) {
    if (event.key === "ArrowDown" && event.target.id === "search") move(1);
    return;
  }
  const actions = {
    "/": () => at("search").focus(), j: () => move(1), k: () => move(-1), p: pause,
    ArrowDown: () => move(1), ArrowUp: () => move(-1),
  };
  const action = actions[event.key];
  const isArrow = event.key.startsWith("Arrow");
  // Arrows scroll the page unless a family has the focus.
  if (!action || (isArrow && document.activeElement?.dataset?.family === undefined)) return;
  event.preventDefault();
  action();
});

for (const id of ["search", "filter"]) at(id).addEventListener("input", refresh);
for (const id of ["tools", "family-tools"]) at(id).addEventListener("submit", (event) => event.preventDefault());
at("pause").addEventListener("click", pause);
at("close").addEventListener("click", () => open(null));
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && !view.paused) refresh();
});
head(at("families"), true);
try {
  view.family = decodeURIComponent(location.hash.slice(1)) || null;
} catch {
  // A damaged address opens no family.
}
refresh();
