// Axes of the plots, for the width that a plot has.
const MARGIN = { left: 52, right: 18, top: 26, bottom: 40 };

function scaleOf(values, logarithmic, from, to) {
  const use = (value) => (logarithmic ? Math.log10(value) : value);
  const known = values.filter((value) => Number.isFinite(value) && (!logarithmic || value > 0));
  let [low, high] = [Math.min(...known), Math.max(...known)].map(use);
  const room = high > low ? 0.05 * (high - low) : logarithmic ? 0.3 : 0.1 * Math.abs(high) || 1;
  [low, high] = [low - room, high + room];
  const at = (value) => from + ((use(value) - low) / (high - low)) * (to - from);
  const ends = logarithmic ? [10 ** low, 10 ** high] : [low, high];
  return Object.assign(at, { ticks: (logarithmic ? decades : steps)(...ends, Math.abs(to - from)), fits: (value) => Number.isFinite(at(value)), logarithmic });
}

function steps(low, high, size) {
  const rough = (high - low) / Math.max(2, size / 55);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough);
  const found = [];
  for (let k = Math.ceil(low / step); k * step <= high; k++) found.push(Number((k * step).toPrecision(12)));
  return found;
}

function decades(low, high, size) {
  const found = [];
  const wide = Math.log10(high / low);
  const factors = wide > size / 45 ? [1] : wide > size / 120 ? [1, 3] : wide > 0.7 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const factor of factors) {
      const value = Number((factor * 10 ** power).toPrecision(6));
      if (value >= low && value <= high) found.push(value);
    }
  }
  return found;
}

const spread = (values) => {
  const known = values.filter((value) => value > 0 && Number.isFinite(value));
  return known.length === values.filter(Number.isFinite).length && Math.max(...known) / Math.min(...known) > 12;
};
const named = (metric) => `${metric.title}${metric.unit && !metric.title.startsWith(metric.unit) ? ` [${metric.unit}]` : ""}`;
const arrowed = (metric, vertical) => `${named(metric)}, ${metric.better === "higher" ? (vertical ? "↑" : "→") : vertical ? "↓" : "←"} better`;

function paper(host, label) {
  const width = Math.max(260, host.clientWidth);
  const height = Math.round(Math.min(340, Math.max(260, 0.72 * width)));
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "group", "aria-label": label });
  host.replaceChildren(svg);
  return { svg, width, height, x0: MARGIN.left, x1: width - MARGIN.right, y0: height - MARGIN.bottom, y1: MARGIN.top };
}

function axes({ svg, x0, x1, y0, y1 }, x, y, below, beside) {
  for (const tick of y.ticks) {
    svg.append(make("path", { class: "grid", d: `M${x0} ${y(tick)}H${x1}` }), make("text", { x: x0 - 7, y: y(tick) + 4, "text-anchor": "end" }, show(tick)));
  }
  for (const tick of x.ticks) {
    svg.append(make("path", { class: "grid", d: `M${x(tick)} ${y0}v4` }), make("text", { x: x(tick), y: y0 + 17, "text-anchor": "middle" }, show(tick)));
  }
  svg.append(make("path", { class: "grid", d: `M${x0} ${y0}H${x1}` }), make("text", { x: x1, y: y0 + 34, "text-anchor": "end" }, below));
  svg.append(make("text", { x: 0, y: 10 }, beside));
}
