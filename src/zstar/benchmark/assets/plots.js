// The plots: linked with the table, and reached by mouse, finger and keyboard.
let armed = null;
const visit = (id) => (location.hash = `method=${encodeURIComponent(id)}`);
const short = (id) => (id.length > 24 ? `${id.slice(0, 12)}…${id.slice(-10)}` : id);

// A click opens a method; the first tap of a finger only asks, as there is no hovering before it.
function press(event, id, ask) {
  if (event.pointerType !== "touch" || armed === id) visit(id);
  else ask();
  armed = id;
}

// One stop for the tab key per plot; arrow keys go through what is in it, Enter opens the method.
function reachable(nodes, describe) {
  nodes.forEach((node, index) => {
    const id = node.dataset.row;
    node.setAttribute("tabindex", index ? -1 : 0);
    node.setAttribute("role", "link");
    node.setAttribute("aria-label", describe(id).replaceAll("\n", ", "));
    const ask = () => {
      point(id);
      const box = (find(".dot", node) || node).getBoundingClientRect();
      tell(node, describe(id), box.left + box.width / 2, box.bottom - 4);
    };
    node.addEventListener("focusin", ask);
    node.addEventListener("focusout", () => (point(null), hush()));
    if (node.matches(".point")) {
      node.addEventListener("pointerenter", ask);
      node.addEventListener("pointerleave", () => (point(null), hush()));
      node.addEventListener("click", (event) => press(event, id, ask));
    }
    node.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        visit(id);
      }
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const next = nodes[(index + step + nodes.length) % nodes.length];
      node.setAttribute("tabindex", -1);
      next.setAttribute("tabindex", 0);
      next.focus();
    });
  });
}

function frontier(rows, a, b) {
  const beats = (p, q) => {
    const [first, second] = [compare(valueOf(p, a.name), valueOf(q, a.name), a.better), compare(valueOf(p, b.name), valueOf(q, b.name), b.better)];
    return first <= 0 && second <= 0 && first + second < 0;
  };
  return new Set(rows.filter((row) => !rows.some((other) => beats(other, row))).map((row) => row.id));
}

function describe(row, names) {
  const lines = names.map((name) => {
    const [value, metric] = [row.values[name] || {}, metricOf.get(name)];
    const between = number(value.low) < number(value.high) ? ` (${show(value.low)} to ${show(value.high)})` : "";
    return `${metric.title} ${show(number(value.mean))}${metric.unit ? ` ${metric.unit}` : ""}${between}`;
  });
  return [row.id, ...lines].join("\n");
}

function placeLabels(entries, { x0, x1, y0, y1 }) {
  const taken = entries.map(({ px, py }) => [px - 6, py - 6, px + 6, py + 6]);
  for (const { text, px, py, wanted } of entries) {
    const [wide, high] = [text.getComputedTextLength() + 4, 13];
    const spots = [[px + 9, py + 4, "start"], [px - 9, py + 4, "end"], [px, py - 10, "middle"], [px, py + 18, "middle"], [px + 5, py - 11, "start"], [px + 5, py + 19, "start"], [px - 5, py - 11, "end"]];
    const boxes = spots.map(([x, y, anchor]) => {
      const left = anchor === "start" ? x : anchor === "end" ? x - wide : x - wide / 2;
      return [left, y - high + 3, left + wide, y + 3];
    });
    const inside = (box) => box[0] >= x0 && box[2] <= x1 + MARGIN.right && box[1] >= y1 - 10 && box[3] <= y0;
    const free = (box) => taken.every((one) => box[2] < one[0] || box[0] > one[2] || box[3] < one[1] || box[1] > one[3]);
    let spot = boxes.findIndex((box) => inside(box) && free(box));
    if (spot < 0 || !wanted) text.classList.add("spare");
    else taken.push(boxes[spot]);
    if (spot < 0) spot = Math.max(0, boxes.findIndex(inside));
    const [x, y, anchor] = spots[spot];
    for (const [name, value] of Object.entries({ x, y, "text-anchor": anchor })) text.setAttribute(name, value);
  }
}

function cloud(host, xName, yName, given) {
  const [mx, my] = [metricOf.get(xName), metricOf.get(yName)];
  const known = board.rows.filter((row) => Number.isFinite(valueOf(row, xName)) && Number.isFinite(valueOf(row, yName)));
  const front = given ? new Set(given) : frontier(known, mx, my);
  const page = paper(host, `${my.title} against ${mx.title}`);
  const rows = known.filter((row) => shown.has(row.id)).sort((a, b) => valueOf(a, xName) - valueOf(b, xName));
  const positive = Math.min(...known.map((row) => valueOf(row, xName)).filter((value) => value > 0)) / 2;
  const costs = board.costs.includes(xName);
  const across = (row) => (costs ? Math.max(valueOf(row, xName), positive) : valueOf(row, xName)); // no logarithm of 0
  if (!rows.length) return void page.svg.append(make("text", { x: page.x0, y: 60 }, "Nothing to draw."));
  const x = scaleOf(known.map(across), costs && Number.isFinite(positive), page.x0, page.x1);
  const ends = known.flatMap((row) => [row.values[yName].low, row.values[yName].high, row.values[yName].mean]).map(number).filter(Number.isFinite);
  const y = scaleOf(ends, spread(ends), page.y0, page.y1);
  axes(page, x, y, arrowed(mx, false), arrowed(my, true));
  const series = new Map();
  for (const row of rows) {
    const key = JSON.stringify([row.method, row.space]);
    series.set(key, [...(series.get(key) || []), `${x(across(row))} ${y(valueOf(row, yName))}`]);
  }
  for (const points of series.values()) if (points.length > 1) page.svg.append(make("path", { class: "join", d: `M${points.join("L")}` }));
  const best = rows.filter((row) => front.has(row.id)).map((row) => [x(across(row)), y(valueOf(row, yName))]);
  const stairs = best.map(([px, py], k) => (k ? `H${px}V${py}` : `M${px} ${py}`)); // between two points one gets the cheaper
  if (best.length > 1) page.svg.append(make("path", { class: "frontier", d: stairs.join("") }));
  const entries = rows.map((row) => {
    const [px, py] = [x(across(row)), y(valueOf(row, yName))];
    const [low, high] = [y(number(row.values[yName].low)), y(number(row.values[yName].high))];
    const text = make("text", {}, short(row.id));
    const bar = Number.isFinite(low + high) ? make("path", { class: "bar", d: `M${px} ${low}V${high}` }) : null;
    const dot = row.id === board.baseline
      ? make("rect", { class: "dot", x: px - 4.5, y: py - 4.5, width: 9, height: 9, transform: `rotate(45 ${px} ${py})` })
      : make("circle", { class: "dot", cx: px, cy: py, r: 4.5 });
    const node = make("g", { class: `point${front.has(row.id) ? " front" : ""}`, "data-row": row.id }, make("circle", { class: "hit", cx: px, cy: py, r: 11 }), bar, dot, text);
    page.svg.append(node);
    return { node, text, px, py, wanted: front.has(row.id) || row.id === board.baseline || rows.length < 9 };
  });
  placeLabels([...entries].sort((a, b) => b.wanted - a.wanted), page);
  const names = [...new Set([yName, xName, ...(xName === "leakage" && metricOf.has("reached") ? ["reached"] : [])])];
  reachable(entries.map(({ node }) => node), (id) => describe(rowOf.get(id), names));
}

function courses(host, metric, xName) {
  const page = paper(host, `${metric} over ${xName}`);
  const lines = Object.entries(board.curves).filter(([id, curve]) => shown.has(id) && rowOf.has(id) && curve.metric === metric);
  const part = (curve, name) => (curve[name] || []).map(number);
  const usable = lines.filter(([, curve]) => part(curve, xName).filter(Number.isFinite).length > 1);
  if (!usable.length) return void page.svg.append(make("text", { x: page.x0, y: 60 }, "Nothing to draw."));
  const across = usable.flatMap(([, curve]) => part(curve, xName));
  const heights = usable.flatMap(([, curve]) => ["median", "low", "high"].flatMap((name) => part(curve, name)));
  const positive = across.filter((value) => value > 0); // a step at time 0 is not drawn on a logarithmic axis
  const x = scaleOf(across, Math.max(...positive) > 30 * Math.min(...positive), page.x0, page.x1);
  const y = scaleOf(heights, spread(heights), page.y0, page.y1);
  axes(page, x, y, xName, metric);
  page.svg.classList.toggle("few", usable.length < 5);
  const trace = (curve, name) => part(curve, name).map((value, k) => [x(part(curve, xName)[k]), y(value)]).filter((at) => at.every(Number.isFinite));
  const joined = (points) => points.map((at) => at.map((value) => value.toFixed(1)).join(" ")).join("L");
  const drawn = usable.map(([id, curve]) => {
    const points = trace(curve, "median");
    const band = [...trace(curve, "low"), ...trace(curve, "high").reverse()];
    const end = points[points.length - 1];
    const anchor = end[0] > (page.x0 + page.x1) / 2 ? "end" : "start";
    const node = make("g", { class: `line${id === board.baseline ? " reference" : ""}`, "data-row": id },
      band.length > 2 ? make("path", { class: "band", d: `M${joined(band)}Z` }) : null,
      make("path", { class: "curve", d: `M${joined(points)}` }), make("text", { x: end[0], y: end[1] - 7, "text-anchor": anchor }, short(id)),
      make("circle", { class: "hit", cx: end[0], cy: end[1], r: 5, fill: "none" }));
    page.svg.append(node);
    return { id, node, points, last: curve.median[curve.median.length - 1] };
  });
  const words = (id) => `${id}\n${metric} ${show(number(drawn.find((one) => one.id === id).last))} at the end (median)`;
  reachable(drawn.map(({ node }) => node), words);
  const nearest = (event) => {
    const box = page.svg.getBoundingClientRect();
    const [px, py] = [((event.clientX - box.left) * page.width) / box.width, event.clientY - box.top];
    const far = ({ points }) => Math.min(...points.map((at) => Math.hypot((at[0] - px) / 2, at[1] - py)));
    const [close] = drawn.map((one) => [far(one), one]).sort((a, b) => a[0] - b[0]);
    return close[0] < 30 ? close[1] : null;
  };
  const ask = (event) => {
    const one = nearest(event);
    point(one ? one.id : null);
    if (one) tell(one.node, words(one.id), event.clientX, event.clientY);
    else hush();
  };
  page.svg.addEventListener("pointermove", ask);
  page.svg.addEventListener("click", (event) => {
    const one = nearest(event);
    if (one) press(event, one.id, () => ask(event));
  });
  page.svg.addEventListener("pointerleave", () => (point(null), hush()));
}

function plot(id, axesOf, draw) {
  const figure = document.getElementById(id);
  if (!figure) return;
  const host = find(".plot", figure);
  const pick = (axis) => find(`select[data-axis="${axis}"]`, figure);
  for (const [axis, names] of Object.entries(axesOf)) {
    pick(axis).append(...names.map((name) => make("option", { value: name }, metricOf.get(name)?.title || name)));
    if (names.length < 2) pick(axis).closest("label").hidden = true;
    pick(axis).addEventListener("input", redraw);
  }
  function redraw() {
    hush();
    draw(host, pick("y").value, pick("x")?.value);
  }
  let width = 0;
  new ResizeObserver(() => {
    if (host.clientWidth !== width) redraw((width = host.clientWidth));
  }).observe(host);
  onFilter.push(redraw);
}

const measured = (names) => names.filter((name) => board.rows.some((row) => Number.isFinite(valueOf(row, name))));
plot("pareto", { y: measured(board.quality), x: measured(board.costs) }, (host, y, x) => cloud(host, x, y, x === "seconds" ? board.pareto[y] : null));
plot("editing", { y: measured(board.quality) }, (host, y) => cloud(host, "leakage", y, null));
const drawable = Object.values(board.curves);
const clocks = ["seconds", "evaluations"].filter((name) => drawable.some((curve) => (curve[name] || []).length > 1));
plot("courses", { y: [...new Set(drawable.map((curve) => curve.metric))], x: clocks }, courses);
filter();
