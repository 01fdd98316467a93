// What the whole page shares, and the table: sorting, filtering, and what a cell says when it is asked.
const board = JSON.parse(document.getElementById("data").textContent);
const rowOf = new Map(board.rows.map((row) => [row.id, row]));
const metricOf = new Map(board.metrics.map((metric) => [metric.name, metric]));
const find = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const number = (value) => (value === null || value === undefined || value === "" ? NaN : Number(value));
const DRAWN = new Set(["svg", "g", "path", "circle", "rect", "text", "line", "polygon", "polyline"]);

function make(tag, attributes = {}, ...children) {
  const node = DRAWN.has(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function show(value, digits = 4) {
  if (Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  const text = size >= 1e4 || value === 0 ? value.toLocaleString("en", { maximumFractionDigits: 0 })
    : size < 1e-4 ? value.toExponential(2) : String(Number(value.toPrecision(digits)));
  return text.replaceAll("-", "−");
}

function valueOf(row, name) {
  return number((row.values[name] || {}).mean);
}

// Order of two numbers with the better first; what is missing comes last either way.
function compare(a, b, better, worstFirst = false) {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
  const order = a === b ? 0 : a < b ? -1 : 1;
  return (better === "higher" ? -order : order) * (worstFirst ? -1 : 1);
}

const tip = document.getElementById("tip");
let asked = null;

function tell(node, text, x, y) {
  if (asked && asked !== node) asked.removeAttribute("aria-describedby");
  asked = node;
  tip.textContent = text;
  tip.hidden = false;
  const host = document.getElementById("panel").open ? document.getElementById("panel") : find("main");
  if (tip.parentNode !== host) host.append(tip);
  node.setAttribute("aria-describedby", "tip");
  const box = node.getBoundingClientRect();
  const left = (x ?? box.left + box.width / 2) - tip.offsetWidth / 2;
  const below = (y ?? box.bottom) + 12;
  const above = (y ?? box.top) - tip.offsetHeight - 12;
  tip.style.left = `${Math.max(8, Math.min(left, document.documentElement.clientWidth - tip.offsetWidth - 8))}px`;
  tip.style.top = `${below + tip.offsetHeight > innerHeight && above > 0 ? above : below}px`;
}

function hush() {
  if (asked) asked.removeAttribute("aria-describedby");
  asked = null;
  tip.hidden = true;
}

// One method stands out in the table and in all plots.
function point(id) {
  for (const node of all("tr[data-row], .point, .line")) {
    const on = node.dataset.row === id;
    if (on !== node.classList.contains("on")) node.classList.toggle("on", on);
    if (on && node.matches(".line") && node.nextSibling && document.activeElement !== node) node.parentNode.append(node);
  }
}

const table = document.getElementById("leaderboard");
const body = find("tbody", table);
const shown = new Set(board.rows.map((row) => row.id));
const onFilter = [];

function sortBy(heading) {
  const index = [...heading.parentNode.children].indexOf(heading);
  const text = heading.dataset.type === "text";
  const bestFirst = heading.dataset.better === "higher" ? "descending" : "ascending";
  const other = bestFirst === "ascending" ? "descending" : "ascending";
  const order = heading.getAttribute("aria-sort") === bestFirst ? other : bestFirst;
  for (const one of all("thead th", table)) one.setAttribute("aria-sort", one === heading ? order : "none");
  const cell = (row) => row.children[index].dataset.value;
  const sign = order === "ascending" ? 1 : -1;
  const rows = [...body.children].sort((a, b) => text
    ? sign * (cell(a).localeCompare(cell(b)) || a.dataset.row.localeCompare(b.dataset.row, "en", { numeric: true }))
    : compare(number(cell(a)), number(cell(b)), order === "ascending" ? "lower" : "higher"));
  body.append(...rows);
}

function filter() {
  const words = document.getElementById("find").value.toLowerCase().split(/\s+/).filter(Boolean);
  const wanted = (name) => (document.getElementById(name) || { value: "" }).value;
  const [space, budget] = [wanted("space"), wanted("budget")];
  shown.clear();
  for (const line of body.children) {
    const row = rowOf.get(line.dataset.row);
    const text = [row.id, row.method, row.space, row.budget].join(" ").toLowerCase();
    const kept = words.every((word) => text.includes(word)) && (!space || row.space === space) && (!budget || row.budgets.includes(budget));
    line.hidden = !kept;
    if (kept) shown.add(row.id);
  }
  document.getElementById("count").textContent = shown.size === board.rows.length
    ? `${shown.size} rows` : `${shown.size} of ${board.rows.length} rows`;
  for (const react of onFilter) react();
}

for (const node of all("[title]", table)) {
  node.dataset.tip = node.title;
  node.removeAttribute("title");
}
for (const heading of all("thead th", table)) {
  const button = make("button", { type: "button", onclick: () => sortBy(heading) }, ...heading.childNodes);
  heading.append(button);
  heading.setAttribute("aria-sort", "none");
}
for (const cell of all("tbody td", table)) cell.tabIndex = -1;

const told = (event) => event.target.closest?.("[data-tip]");
document.addEventListener("pointerover", (event) => {
  const node = told(event);
  if (node) tell(node, node.dataset.tip);
  else if (asked && asked.dataset.tip) hush();
});
document.addEventListener("focusin", (event) => {
  const node = told(event);
  if (node && event.target.matches(":focus-visible")) tell(node, node.dataset.tip);
  else if (asked && asked.dataset.tip) hush();
});
document.addEventListener("scroll", hush, { capture: true, passive: true });
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") hush();
});
body.addEventListener("pointerover", (event) => point(event.target.closest("tr")?.dataset.row));
body.addEventListener("pointerleave", () => point(null));
body.addEventListener("focusin", (event) => point(event.target.closest("tr")?.dataset.row));
body.addEventListener("focusout", () => point(null));
body.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  const cell = event.target.closest("td, th");
  if (!step || !cell || event.altKey || event.ctrlKey || event.metaKey) return;
  const lines = [...body.children].filter((line) => !line.hidden);
  const line = lines[lines.indexOf(cell.parentNode) + step[0]];
  const next = line?.children[[...cell.parentNode.children].indexOf(cell) + step[1]];
  if (!next) return;
  event.preventDefault();
  (find("a", next) || next).focus();
});
for (const control of all("#tools input, #tools select")) control.addEventListener("input", filter);
document.getElementById("tools").addEventListener("submit", (event) => event.preventDefault());
document.getElementById("changes")?.addEventListener("input", (event) => table.classList.toggle("changes", event.target.checked));
for (const node of all("#tools, .hint, #plots")) node.hidden = false;
