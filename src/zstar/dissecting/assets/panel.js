// The panel of a unit: the pictures that it is most active in, its classes, and its effects. The address says which.
const panel = document.getElementById("panel");
const FRAME = 256; // points a side of the square that outlines are in
let sheet = null;

function picture() {
  if (!sheet) {
    const image = new Image();
    image.src = data.sheet;
    sheet = image.decode().then(() => image);
  }
  return sheet;
}

function top(place, outline, label) {
  const size = data.tile;
  const canvas = make("canvas", { width: size, height: size, role: "img", "aria-label": label });
  picture().then((image) => canvas.getContext("2d").drawImage(image,
    (place % data.columns) * size, Math.floor(place / data.columns) * size, size, size, 0, 0, size, size));
  const lines = make("svg:svg", { viewBox: `0 0 ${FRAME} ${FRAME}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    make("svg:path", { class: "outside", d: `M0 0h${FRAME}v${FRAME}h-${FRAME}z${outline}` }),
    make("svg:path", { class: "line", d: outline }));
  return make("div", { class: "top" }, canvas, lines);
}

const digits = (value) => (Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3)).replace("-", "−");
const dot = (name) => make("span", { class: "dot", style: `background: ${data.shades[name] || "var(--soft)"}` });

function agreement(unit) {
  const rows = data.pairs[unit] || [];
  const most = Math.max(0.05, ...rows.flatMap((row) => [row[1], row[2]]));
  return make("div", { class: "pairs" }, ...rows.flatMap(([name, iou, other]) => [
    make("span", {}, dot(name), name),
    make("span", { class: "track" },
      make("span", { style: `left: 0; width: ${100 * iou / most}%; background: ${data.shades[name]}` }),
      make("span", { class: "null", style: `left: calc(${100 * other / most}% - 1px)` })),
    make("span", {}, iou.toFixed(3), make("span", { class: "small" }, `others ${other.toFixed(3)}`))]));
}

function effects(rows) {
  const most = Math.max(1e-12, ...rows.map((row) => Math.abs(row[1])));
  return make("div", { class: "pairs" }, ...rows.flatMap(([name, effect, low, high]) => [
    make("span", {}, dot(name), name),
    make("span", { class: "track" },
      make("span", { style: `${effect < 0 ? "right" : "left"}: 50%; width: ${50 * Math.abs(effect) / most}%; background: ${data.shades[name] || "var(--soft)"}` }),
      make("span", { class: "zero" })),
    make("span", {}, digits(effect), high === undefined ? null : make("span", { class: "small" }, `${digits(low)} to ${digits(high)}`))]));
}

function turn(step, unit) {
  const units = shown().includes(unit) ? shown() : Object.keys(data.tops);
  const next = units[(units.indexOf(unit) + step + units.length) % units.length];
  history.replaceState(null, "", `#unit=${encodeURIComponent(next)}`);
  route();
}

function open(unit) {
  const button = (text, label, act) => make("button", { type: "button", "aria-label": label, onclick: act }, text);
  const [first] = data.pairs[unit] || [];
  const row = find(`tr[data-unit="${CSS.escape(unit)}"]`, body);
  const name = row ? row.dataset.class : first ? first[0] : "";
  const made = Object.entries(data.effects).filter(([, units]) => units[unit]).flatMap(([title, units]) => [
    make("h3", {}, `Effect, ${title.replaceAll("_", " ")}`), effects(units[unit])]);
  panel.replaceChildren(make("div", { class: "panel" },
    make("div", { class: "bar" }, make("h2", { id: "panel-title", tabindex: -1 }, unit, make("span", { class: "small" }, name)),
      button("‹", "Previous", () => turn(-1, unit)), button("›", "Next", () => turn(1, unit)), button("✕", "Close", () => panel.close())),
    make("div", { class: "tops" }, ...(data.tops[unit] || []).map(([place, outline], rank) => top(place, outline, `picture ${rank + 1} of unit ${unit}`))),
    make("p", { class: "soft" }, "The pictures that it is most active in; bright within the line, where it is above its level."),
    make("h3", {}, "Agreement with classes"), agreement(unit),
    make("p", { class: "soft" }, "Bars are the IoU with its own pictures, lines that with other pictures."), ...made));
  if (!panel.open) panel.showModal();
  panel.scrollTop = 0;
  find("h2", panel).focus();
}

function route() {
  const unit = decodeURIComponent(location.hash.match(/^#unit=(.*)$/)?.[1] || "");
  if (data && data.tops[unit]) open(unit);
  else if (panel.open) panel.close();
}

panel.addEventListener("close", () => {
  if (location.hash.startsWith("#unit=")) history.replaceState(null, "", location.pathname + location.search);
});
panel.addEventListener("click", (event) => {
  if (event.target === panel) panel.close();
});
addEventListener("hashchange", route);
addEventListener("keydown", (event) => {
  if (!panel.open || event.altKey || event.ctrlKey || event.metaKey) return;
  const unit = find("h2", panel).firstChild.textContent;
  if (event.key === "ArrowLeft") turn(-1, unit);
  if (event.key === "ArrowRight") turn(1, unit);
});
route();
