// Shared functions, and the table: sorting, filters, and explanations of its entries.
const board = JSON.parse(document.getElementById("data").textContent);
const rowOf = new Map(board.rows.map((row) => [row.id, row]));
const metricOf = new Map(board.metrics.map((metric) => [metric.name, metric]));
const find = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const number = (value) => (value === null || value === undefined || value === "" ? NaN : Number(value));

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
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

const withUnit = (metric, value) => `${show(value)}${metric.unit && Number.isFinite(value) ? ` ${metric.unit}` : ""}`;

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
let explained = null;

function tell(node, text, x, y) {
  if (explained && explained !== node) explained.removeAttribute("aria-describedby");
  explained = node;
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
  if (explained) explained.removeAttribute("aria-describedby");
  explained = null;
  tip.hidden = true;
}

// Rows of a method in one space are a series: joined in the plots, and with one name.
const seriesOf = (id) => JSON.stringify([rowOf.get(id)?.method, rowOf.get(id)?.space]);

// One method stands out in the table and in all plots.
function point(id) {
  const known = rowOf.has(id);
  for (const node of all("tr[data-row], .plot [data-row]")) {
    const other = node.dataset.row;
    const same = node.matches(".panel") ? rowOf.get(other).method === rowOf.get(id)?.method
      : node.matches(".name, .lead, .join") ? seriesOf(other) === seriesOf(id) : other === id;
    node.classList.toggle("on", known && same);
  }
  for (const plot of all(".plot")) plot.classList.toggle("pointing", known);
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
  const entry = (row) => row.children[index].dataset.value;
  const sign = order === "ascending" ? 1 : -1;
  const rows = [...body.children].sort((a, b) => text
    ? sign * (entry(a).localeCompare(entry(b)) || a.dataset.row.localeCompare(b.dataset.row, "en", { numeric: true }))
    : compare(number(entry(a)), number(entry(b)), order === "ascending" ? "lower" : "higher"));
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
for (const entry of all("tbody td", table)) entry.tabIndex = -1;

const hinted = (event) => event.target.closest?.("[data-tip]");
document.addEventListener("pointerover", (event) => {
  const node = hinted(event);
  if (node) tell(node, node.dataset.tip);
  else if (explained && explained.dataset.tip) hush();
});
document.addEventListener("focusin", (event) => {
  const node = hinted(event);
  if (node && event.target.matches(":focus-visible")) tell(node, node.dataset.tip);
  else if (explained && explained.dataset.tip) hush();
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
  const entry = event.target.closest("td, th");
  if (!step || !entry || event.altKey || event.ctrlKey || event.metaKey) return;
  const lines = [...body.children].filter((line) => !line.hidden);
  const line = lines[lines.indexOf(entry.parentNode) + step[0]];
  const next = line?.children[[...entry.parentNode.children].indexOf(entry) + step[1]];
  if (!next) return;
  event.preventDefault();
  (find("a", next) || next).focus();
});
for (const control of all("#tools input, #tools select")) control.addEventListener("input", filter);
document.getElementById("tools").addEventListener("submit", (event) => event.preventDefault());
document.getElementById("changes")?.addEventListener("input", (event) => table.classList.toggle("changes", event.target.checked));
for (const node of all("#tools, .hint")) node.hidden = false;

// What is cut off at the right is said, and a button goes there.
const frame = find(".frame");
const view = find(".board", frame);
const more = document.getElementById("more");
function tellMore() {
  const rest = view.scrollWidth - view.clientWidth - view.scrollLeft > 1;
  frame.classList.toggle("more", rest);
  more.hidden = !rest;
}
more.addEventListener("click", () => view.scrollBy({ left: (view.clientWidth - find("tbody th", table).offsetWidth) * 0.9 }));
view.addEventListener("scroll", tellMore, { passive: true });
new ResizeObserver(tellMore).observe(view);
new ResizeObserver(tellMore).observe(table);
