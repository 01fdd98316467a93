// The pictures, and the panels: a method with its images, an image with all methods. The address says which is open.
const panel = document.getElementById("panel");
const place = new Map(board.images.map((name, index) => [name, index]));
const decoded = new Map();
const chosen = { metric: board.quality.find((name) => board.rows.some((row) => row.per[name])) || "", worst: false, difference: false };
const depth = new Map();
let opened = "";

function sheetOf(sheet) {
  if (!decoded.has(sheet)) {
    const image = new Image();
    image.src = sheet.src;
    decoded.set(sheet, image.decode().then(() => image));
  }
  return decoded.get(sheet);
}

async function cut(sheet, index, context) {
  const image = await sheetOf(sheet);
  const [width, height, columns] = board.tile;
  const at = sheet.at.indexOf(index);
  context.drawImage(image, (at % columns) * width, Math.floor(at / columns) * height, width, height, 0, 0, width, height);
}

async function paint(canvas, kind, row, index) {
  const context = canvas.getContext("2d", { willReadFrequently: kind === "difference" });
  await cut(kind === "target" ? board.targets : row.sheet, index, context);
  if (kind !== "difference") return;
  const made = context.getImageData(0, 0, canvas.width, canvas.height);
  await cut(board.targets, index, context);
  const target = context.getImageData(0, 0, canvas.width, canvas.height);
  for (let k = 0; k < made.data.length; k++) {
    if (k % 4 < 3) made.data[k] = Math.min(255, board.gain * Math.abs(made.data[k] - target.data[k]));
  }
  context.putImageData(made, 0, 0);
}

function tile(kind, row, name) {
  const index = place.get(name);
  const has = (sheet) => sheet && sheet.at.includes(index);
  if (!has(kind === "target" ? board.targets : row?.sheet) || (kind === "difference" && !has(board.targets))) {
    return make("span", { class: "none" }, kind === "target" ? "no target" : "no picture");
  }
  const canvas = make("canvas", { width: board.tile[0], height: board.tile[1], role: "img", "aria-label": `${kind} of ${name}${kind === "target" ? "" : ` by ${row.id}`}` });
  paint(canvas, kind, row, index);
  return canvas;
}

const valueAt = (row, metric, name) => number((row.per[metric] || [])[place.get(name)]);
const perImage = () => board.metrics.filter((metric) => board.rows.some((row) => (row.per[metric.name] || []).some((value) => value !== null)));

function controls(redraw, first) {
  const choice = make("select", { id: "panel-sort", onchange: (event) => redraw((chosen.metric = event.target.value)) },
    ...perImage().map((metric) => make("option", { value: metric.name, selected: metric.name === chosen.metric }, metric.title)));
  const check = (key, text) => make("label", { class: "check" },
    make("input", { type: "checkbox", id: `panel-${key}`, checked: chosen[key], onchange: (event) => redraw((chosen[key] = event.target.checked)) }), text);
  return make("div", { class: "tools" }, make("label", {}, `${first} by `, choice), check("worst", "worst first"), check("difference", `difference from the target × ${board.gain}`));
}

function heading(title, small, turn) {
  const button = (text, label, act) => make("button", { type: "button", "aria-label": label, onclick: act }, text);
  return make("div", { class: "bar" },
    make("h2", { id: "panel-title", tabindex: -1 }, title, make("span", { class: "small" }, small)),
    button("‹", "Previous", () => turn(-1)), button("›", "Next", () => turn(1)), button("✕", "Close", () => panel.close()));
}

function turner(kind, names, current) {
  return (step) => {
    const next = names[(names.indexOf(current) + step + names.length) % names.length];
    history.replaceState(null, "", `#${kind}=${encodeURIComponent(next)}`);
    route();
  };
}

function fill(head, first, draw) {
  const cards = make("div", {});
  const redraw = () => cards.replaceChildren(draw());
  panel.replaceChildren(make("div", { class: "panel" }, ...head, controls(redraw, first), cards));
  redraw();
}

function ordered(items, valueFor) {
  const better = metricOf.get(chosen.metric)?.better;
  return [...items].sort((a, b) => compare(valueFor(a), valueFor(b), better, chosen.worst));
}

function methodPanel(row) {
  const lines = [...body.children].filter((line) => !line.hidden).map((line) => line.dataset.row);
  const small = [row.space, row.budget, `${row.seeds} seed${row.seeds === 1 ? "" : "s"}`, `N ${row.n}`, row.failures ? `${row.failures} failed` : ""].filter(Boolean).join(" · ");
  const sums = board.metrics.filter((metric) => !Number.isNaN(valueOf(row, metric.name))).map((metric) => {
    const value = row.values[metric.name];
    const between = number(value.low) < number(value.high) ? `${show(value.low)} – ${show(value.high)}` : "";
    return make("div", {}, make("dt", {}, metric.title), make("dd", {}, withUnit(metric, number(value.mean)), make("span", { class: "small" }, between)));
  });
  const head = [heading(row.method, small, turner("method", lines.includes(row.id) ? lines : [...rowOf.keys()], row.id)), make("dl", { class: "sum" }, ...sums)];
  fill(head, "Images", () => {
    const metric = metricOf.get(chosen.metric);
    const names = board.images.filter((name) => row.sheet.at.includes(place.get(name)) || board.metrics.some((one) => !Number.isNaN(valueAt(row, one.name, name))));
    const kinds = ["target", "reconstruction", ...(chosen.difference ? ["difference"] : [])];
    const cards = ordered(names, (name) => valueAt(row, chosen.metric, name)).map((name) => make("figure", { class: "card", "data-image": name },
      make("a", { class: "tiles", href: `#image=${encodeURIComponent(name)}`, "aria-label": `${name} by all methods` }, ...kinds.map((kind) => tile(kind, row, name))),
      make("figcaption", {}, make("span", { class: "lead" }, metric ? `${metric.title} ${withUnit(metric, valueAt(row, metric.name, name))}` : ""), make("span", { class: "id", title: name }, name))));
    if (!cards.length) return make("p", { class: "soft" }, "There is no picture of this method.");
    return make("div", { class: `cards${chosen.difference ? " triples" : ""}` }, ...cards);
  });
}

function imagePanel(name) {
  const head = [heading(name, "target, and what the methods make of it", turner("image", board.images, name))];
  fill(head, "Methods", () => {
    const metric = metricOf.get(chosen.metric);
    const cards = ordered(board.rows, (row) => valueAt(row, chosen.metric, name)).map((row) => {
      const others = perImage().filter((one) => one !== metric && !Number.isNaN(valueAt(row, one.name, name)));
      const kinds = ["reconstruction", ...(chosen.difference ? ["difference"] : [])];
      return make("figure", { class: "card", "data-row": row.id },
        make("a", { class: "tiles", href: `#method=${encodeURIComponent(row.id)}`, "aria-label": row.id }, ...kinds.map((kind) => tile(kind, row, name))),
        make("figcaption", {}, make("strong", { title: row.id }, row.id), make("span", { class: "lead" }, metric ? `${metric.title} ${withUnit(metric, valueAt(row, metric.name, name))}` : ""),
          make("dl", { class: "numbers" }, ...others.flatMap((one) => [make("dt", {}, one.title), make("dd", {}, show(valueAt(row, one.name, name), 3))]))));
    });
    const target = make("figure", { class: "card aim" }, tile("target", null, name), make("figcaption", {}, make("strong", {}, "target")));
    return make("div", { class: "beside" }, target, make("div", { class: `cards${chosen.difference ? "" : " single"}` }, ...cards));
  });
}

function route() {
  hush();
  if (panel.open) depth.set(opened, panel.scrollTop);
  const target = new URLSearchParams(location.hash.slice(1));
  const [method, image] = [target.get("method"), target.get("image")];
  if (rowOf.has(method)) methodPanel(rowOf.get(method));
  else if (place.has(image)) imagePanel(image);
  else return void (panel.open && panel.close());
  opened = location.hash;
  if (!panel.open) panel.showModal();
  document.getElementById("panel-title").focus({ preventScroll: true });
  panel.scrollTop = depth.get(opened) || 0;
}

panel.addEventListener("close", () => {
  hush();
  panel.replaceChildren();
  document.body.append(tip);
  if (location.hash) history.pushState(null, "", location.pathname + location.search);
});
panel.addEventListener("click", (event) => {
  if (event.target === panel) panel.close();
});
panel.addEventListener("keydown", (event) => {
  const label = { ArrowLeft: "Previous", ArrowRight: "Next" }[event.key];
  if (label && !event.altKey && !event.metaKey && !event.target.matches("select, input")) find(`button[aria-label="${label}"]`, panel).click();
});
addEventListener("hashchange", route);
for (const host of all("a[data-tiles]")) {
  const kinds = host.dataset.tiles.split(" ");
  host.style.aspectRatio = `${kinds.length * board.tile[0]} / ${board.tile[1]}`;
  host.append(...kinds.map((kind) => tile(kind, rowOf.get(host.dataset.of), host.dataset.image)));
}
route();
