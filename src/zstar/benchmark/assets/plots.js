// The plots: a method stands out in all of them and in the table, shows its values, and hides with its row.
const REACH = 24; // pixels around a point
let armed = null;
const visit = (id) => (location.hash = `method=${encodeURIComponent(id)}`);
const isHidden = (node) => node.classList.contains("gone");
const centre = (node) => {
  const box = (find("use", node) || node).getBoundingClientRect();
  return [box.left + box.width / 2, box.top + box.height / 2];
};

// A click opens a method; the first tap of a finger shows its values, as there is no hovering before it.
function press(event, node) {
  const id = node.dataset.row;
  if (event.pointerType !== "touch" || armed === id) visit(id);
  else explain(node);
  armed = id;
}

function explain(node) {
  const [x, y] = node.matches(".point") ? centre(node) : [];
  point(node.dataset.row);
  tell(node, description(node), x, y === undefined ? y : y + 4);
}

function leave() {
  point(null);
  hush();
}

function description(node) {
  const row = rowOf.get(node.dataset.row);
  if (node.matches(".panel")) {
    const [metric, value] = board.losses[row.id];
    return `${row.id}\n${metric} ${show(number(value))} at the end (median)`;
  }
  const names = node.closest(".axes").dataset.metrics.split(" ").reverse();
  if (names.includes("leakage") && metricOf.has("reached")) names.push("reached");
  const lines = names.map((name) => {
    const [value, metric] = [row.values[name] || {}, metricOf.get(name)];
    const between = number(value.low) < number(value.high) ? ` (${show(value.low)} to ${show(value.high)})` : "";
    return `${metric.title} ${withUnit(metric, number(value.mean))}${between}`;
  });
  return [row.id, ...lines].join("\n");
}

// One stop of the tab key per plot; arrow keys go through its methods, Enter opens one.
function makeReachable(svg, nodes) {
  const enter = () => nodes.forEach((node) => node.setAttribute("tabindex", node === nodes.find((one) => !isHidden(one)) ? 0 : -1));
  for (const node of nodes) {
    node.setAttribute("role", "link");
    node.setAttribute("aria-label", description(node).replaceAll("\n", ", "));
    node.addEventListener("focusin", () => explain(node));
    node.addEventListener("focusout", leave);
    node.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") visit(node.dataset.row);
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (step) {
        const kept = nodes.filter((one) => !isHidden(one));
        const next = kept[(kept.indexOf(node) + step + kept.length) % kept.length];
        node.setAttribute("tabindex", -1);
        next.setAttribute("tabindex", 0);
        next.focus();
      }
      if (step || event.key === "Enter" || event.key === " ") event.preventDefault();
    });
  }
  onFilter.push(enter);
}

function nearest(svg, event) {
  const panel = event.target.closest(".panel");
  if (panel) return isHidden(panel) ? null : panel;
  const ranked = all(".point:not(.gone)", svg).map((node) => {
    const [x, y] = centre(node);
    return [Math.hypot(x - event.clientX, y - event.clientY), node];
  });
  const [distance, node] = ranked.reduce((a, b) => (b[0] < a[0] ? b : a), [REACH, null]);
  return distance < REACH ? node : null;
}

for (const svg of all(".plot svg")) {
  makeReachable(svg, all(".point, .panel", svg));
  svg.setAttribute("aria-label", find("h3", svg.closest("figure")).textContent);
  svg.addEventListener("pointermove", (event) => {
    const node = nearest(svg, event);
    svg.classList.toggle("near", node !== null);
    if (node) explain(node);
    else leave();
  });
  svg.addEventListener("pointerleave", leave);
  svg.addEventListener("click", (event) => {
    const node = nearest(svg, event);
    if (node) press(event, node);
  });
}

// A name stands at the best point of its method; if that is hidden, at the first of the others.
function follow(name) {
  const own = find(`.point[data-row="${CSS.escape(name.dataset.row)}"]`, name.closest(".axes"));
  const kept = all(".point:not(.gone)", name.closest(".axes")).filter((node) => seriesOf(node.dataset.row) === seriesOf(name.dataset.row));
  const at = isHidden(own) ? kept[0] : own;
  name.classList.toggle("gone", !at);
  const place = (node, axis) => number(find("use", node).getAttribute(axis));
  if (at) name.setAttribute("transform", `translate(${place(at, "x") - place(own, "x")} ${place(at, "y") - place(own, "y")})`);
}

onFilter.unshift(() => {
  const kept = [...shown];
  for (const node of all(".plot :is(.point, .bar)")) node.classList.toggle("gone", !shown.has(node.dataset.row));
  for (const node of all(".plot .join")) {
    node.classList.toggle("gone", board.rows.some((row) => seriesOf(row.id) === seriesOf(node.dataset.row) && !shown.has(row.id)));
  }
  for (const node of all(".plot .panel")) node.classList.toggle("gone", !kept.some((id) => rowOf.get(id).method === rowOf.get(node.dataset.row).method));
  all(".plot :is(.name, .lead)").forEach(follow);
});
filter();
