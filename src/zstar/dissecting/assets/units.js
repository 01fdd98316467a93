// Shared functions, and the table of units: sorting and filters.
const data = JSON.parse(document.getElementById("data").textContent);
const find = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

function make(tag, attributes = {}, ...children) {
  const node = tag.startsWith("svg:") ? document.createElementNS("http://www.w3.org/2000/svg", tag.slice(4)) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") node.style.cssText = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

const table = document.getElementById("units");
const body = table && find("tbody", table);
const shown = () => [...body.children].filter((row) => !row.hidden).map((row) => row.dataset.unit);

function sortBy(heading) {
  const index = [...heading.parentNode.children].indexOf(heading);
  const text = heading.dataset.type === "text";
  const first = text ? "ascending" : "descending";
  const order = heading.getAttribute("aria-sort") !== first ? first : text ? "descending" : "ascending";
  for (const one of all("thead th", table)) one.setAttribute("aria-sort", one === heading ? order : "none");
  const sign = order === "ascending" ? 1 : -1;
  const entry = (row) => row.children[index].dataset.value;
  const compare = (a, b) => text ? entry(a).localeCompare(entry(b), "en", { numeric: true }) : entry(a) - entry(b);
  body.append(...[...body.children].sort((a, b) => sign * compare(a, b)));
}

function filter() {
  const words = document.getElementById("find").value.toLowerCase().split(/\s+/).filter(Boolean);
  const layer = document.getElementById("layer").value;
  const name = document.getElementById("class").value;
  for (const row of body.children) {
    const parts = [...row.dataset.unit.toLowerCase().split(" "), row.dataset.class.toLowerCase(), row.dataset.kind];
    const found = words.every((word) => parts.some((part) => /^\d+$/.test(word) ? part === word : part.includes(word)));
    row.hidden = !found || (layer && row.dataset.layer !== layer) || (name && row.dataset.class !== name);
  }
  const count = shown().length;
  document.getElementById("count").textContent = count === body.children.length ? `${count} units` : `${count} of ${body.children.length} units`;
}

if (table) {
  for (const heading of all("thead th", table)) {
    heading.append(make("button", { type: "button", onclick: () => sortBy(heading) }, ...heading.childNodes));
    heading.setAttribute("aria-sort", "none");
  }
  find("thead th:nth-child(5)", table).setAttribute("aria-sort", "descending");
  for (const control of all("#tools input, #tools select")) control.addEventListener("input", filter);
  document.getElementById("tools").addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("tools").hidden = false;
  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    if (row && !event.target.closest("a")) find("a", row).click();
  });
  filter();
}
