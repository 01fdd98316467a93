// The board: marks are drawn on the picture, sent one after the other, and what they have led to is shown and chosen from.
const find = (selector) => element.querySelector(selector), all = (selector) => [...element.querySelectorAll(selector)];
const board = find(".board"), picture = find("canvas.picture"), wet = find("canvas.wet"), bar = find(".frame progress");
const way = find(".way input"), speed = find(".speed"), thumbs = find(".thumbs");
const width = find(".size input"), color = find(".colour input"), shown = find(".show input"), near = find(".stay input");
const HINTS = {
  color: "Paint where the picture is to have this colour. It need not be exact: what can be drawn and is near is found.",
  sketch: "Draw lines along which edges are to run. Their colour does not matter.",
  warp: "Press on a part and drag it to where it is to be. The round patch under the brush goes there.",
  point: "Press on a point and drag it to where it is to be, however it is to look there; a click holds a point in its place.",
};
const waiting = [];
let frames = [], preview = null, marks = [], size = 64, sent = null;

const kind = () => find(".kinds input:checked").value;
const brush = () => ({ kind: kind(), size: Number(width.value), color: color.value, stay: 10 ** Number(near.value), points });

function paint() {
  const image = preview || frames[Math.min(Number(way.value), frames.length - 1)];
  if (!image) return;
  const pen = picture.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.drawImage(image, 0, 0, picture.width, picture.height);
}

function drag(pen, places, scale, radius) {
  const [from, to] = [places[0], places[places.length - 1]].map((place) => place.map((value) => value * scale));
  for (const [thick, style] of [[7, "#fff"], [3, "#0369a1"]]) {
    pen.lineWidth = thick;
    pen.strokeStyle = style;
    pen.beginPath();
    for (const [x, y] of [from, to]) {
      pen.moveTo(x + radius * scale, y);
      pen.arc(x, y, radius * scale, 0, 2 * Math.PI);
    }
    pen.moveTo(...from);
    pen.lineTo(...to);
    const turn = Math.atan2(to[1] - from[1], to[0] - from[0]);
    for (const side of [2.6, -2.6]) {
      pen.moveTo(...to);
      pen.lineTo(to[0] + 28 * Math.cos(turn + side), to[1] + 28 * Math.sin(turn + side));
    }
    pen.stroke();
  }
}

function drawMarks() {
  const pen = wet.getContext("2d"), scale = wet.width / size;
  pen.clearRect(0, 0, wet.width, wet.height);
  pen.lineCap = pen.lineJoin = "round";
  const live = [...(sent ? [sent] : []), ...waiting, ...(points ? [brush()] : [])];
  for (const one of [...(shown.checked ? marks : []), ...live]) {
    pen.globalAlpha = one.kind === "color" ? 0.75 : 1;
    if (one.kind === "warp" || one.kind === "point") drag(pen, one.points, scale, one.size / 2);
    else if (one.kind === "color") line(pen, one.points, scale, one.size * scale, one.color);
    else for (const [extra, style] of [[4, "#fff"], [0, "#db2777"]]) line(pen, one.points, scale, Math.max(3, one.size * scale) + extra, style);
  }
  pen.globalAlpha = 1;
}

function send() { // one mark after the other: each adds to what was drawn before it
  if (sent || !waiting.length) return;
  sent = waiting.shift();
  tell("Looking for pictures …");
  trigger("mark", { kind: sent.kind, size: sent.size, color: sent.color, stay: sent.stay, points: sent.points });
}

follow(wet, {
  may: () => frames.length,
  side: () => size,
  begin: () => board.focus({ preventScroll: true }),
  move: drawMarks,
  end: () => {
    waiting.push(brush());
    points = null;
    send();
  },
  stop: () => {
    points = null;
    drawMarks();
  },
});
steps(board, (name) => step(name));
const step = (name) => (sent ? tell("One moment: a mark is being followed.") : trigger(name));
all("[data-step]").forEach((button) => button.addEventListener("click", () => step(button.dataset.step)));
all("[data-save]").forEach((button) => button.addEventListener("click", () => trigger("save", { what: button.dataset.save })));
way.addEventListener("input", paint);
shown.addEventListener("change", drawMarks);
width.addEventListener("input", () => { find(".size output").textContent = width.value; });
all(".kinds input").forEach((input) => input.addEventListener("change", choose));

function choose() {
  find(".hint").textContent = HINTS[kind()];
  find(".colour").hidden = kind() !== "color";
  find(".size").hidden = kind() === "point";
  width.value = { color: 5, sketch: 1, warp: 16, point: 2 }[kind()];
  find(".size output").textContent = width.value;
}

function offer(alternatives, chosen) {
  thumbs.replaceChildren(...alternatives.map(({ picture: address, value }, at) => {
    const button = document.createElement("button"), image = document.createElement("img"), small = document.createElement("small");
    Object.assign(button, { type: "button", title: `The equation has the value ${value} here` });
    button.setAttribute("role", "radio");
    button.setAttribute("aria-checked", String(at === chosen));
    Object.assign(image, { src: address, alt: `Alternative ${at + 1}` });
    small.textContent = value;
    button.append(image, small);
    button.addEventListener("click", () => (sent ? step() : trigger("choose", { place: at })));
    return button;
  }));
}

async function update() {
  const news = props.value;
  if (!news || typeof news !== "object") return;
  if (news.size) size = news.size;
  if (news.speed !== undefined) speed.textContent = news.speed;
  if (news.share !== undefined) [bar.hidden, bar.value] = [false, news.share];
  if (news.preview) {
    preview = await load(news.preview);
    if (!sent) preview = null;
    paint();
    return;
  }
  if (news.download) save(news.download);
  if (news.told !== undefined) tell(news.told, news.bad);
  if (news.frames) {
    frames = await Promise.all(news.frames.map(load));
    [preview, marks, way.max, way.value] = [null, news.marks, frames.length - 1, frames.length - 1];
    way.parentElement.style.visibility = frames.length > 1 ? "visible" : "hidden";
    if (!news.alternatives.length) speed.textContent = "";
    offer(news.alternatives, news.chosen);
  }
  if (news.answer) {
    [sent, preview, bar.hidden] = [null, null, true];
    board.dataset.answers = String(Number(board.dataset.answers || 0) + 1);
  }
  paint();
  drawMarks();
  send();
}
choose();
watch("value", update);
update();
