// The easel: shows the picture, lets a stroke be seen while it is drawn, and tells the server of it when it ends.
const find = (selector) => element.querySelector(selector);
const easel = find(".easel"), picture = find("canvas.picture"), wet = find("canvas.wet"), line = find(".line");
const compare = find(".compare input"), told = find(".told"), speed = find(".speed"), veil = find(".veil");
const waiting = [], times = [];
let photo = null, edited = null, size = 64, points = null, sent = null;

const load = (address) => new Promise((done, failed) => {
  const image = new Image();
  image.onload = () => done(image);
  image.onerror = failed;
  image.src = address;
});

function paint() {
  const pen = picture.getContext("2d"), side = picture.width;
  pen.imageSmoothingQuality = "high";
  if (edited) pen.drawImage(edited, 0, 0, side, side);
  const share = Number(compare.value) / 100;
  line.hidden = !(photo && share > 0);
  line.style.left = `${100 * share}%`;
  if (line.hidden) return;
  pen.save();
  pen.beginPath();
  pen.rect(0, 0, share * side, side);
  pen.clip();
  pen.drawImage(photo, 0, 0, side, side);
  pen.restore();
}

function brush() {
  const name = document.querySelector("#brushes input:checked"), width = document.querySelector("#size input");
  const slow = document.querySelector("#kinds input:checked")?.value === "optimize";
  return { colour: (props.colours || {})[name && name.value] || "#fff", width: Number((width && width.value) || 8), slow };
}

function drawWet(all) {
  const pen = wet.getContext("2d"), scale = wet.width / size;
  pen.clearRect(0, 0, wet.width, wet.height);
  for (const one of all) {
    pen.globalAlpha = 0.6;
    pen.strokeStyle = one.colour;
    pen.lineCap = pen.lineJoin = "round";
    pen.lineWidth = one.width * scale;
    pen.beginPath();
    one.points.forEach(([x, y], k) => (k ? pen.lineTo(x * scale, y * scale) : pen.moveTo(x * scale, y * scale)));
    if (one.points.length === 1) pen.lineTo(one.points[0][0] * scale + 0.01, one.points[0][1] * scale);
    pen.stroke();
  }
}

const showWet = () => drawWet([...(sent ? [sent] : []), ...waiting, ...(points ? [{ ...brush(), points }] : [])]);

function place(event) {
  const box = wet.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top].map((value) => Math.round((value / box.width) * size * 100) / 100);
}

function send() { // one stroke after the other: each is painted on what the one before it has made
  if (sent || !waiting.length) return;
  sent = waiting.shift();
  sent.at = performance.now();
  trigger("stroke", { points: sent.points });
  const mine = sent, began = performance.now();
  const wait = setInterval(() => { // what takes longer than a moment says so
    if (sent !== mine) return clearInterval(wait);
    const seconds = Math.round((performance.now() - began) / 1000);
    if (seconds) tell(`Painting … ${seconds} s${mine.slow ? "; the latent moves until the class is seen there, the first time after a look at many scenes" : ""}.`);
  }, 500);
}

wet.addEventListener("pointerdown", (event) => {
  if (event.button || !edited || !veil.hidden) return;
  event.preventDefault();
  easel.focus({ preventScroll: true });
  wet.setPointerCapture(event.pointerId);
  compare.value = 0;
  paint();
  points = [place(event)];
  showWet();
});
wet.addEventListener("pointermove", (event) => {
  if (!points) return;
  for (const one of event.getCoalescedEvents ? event.getCoalescedEvents() : [event]) {
    const next = place(one), last = points[points.length - 1];
    if (points.length < 1900 && Math.hypot(next[0] - last[0], next[1] - last[1]) > 0.4) points.push(next);
  }
  showWet();
});
for (const name of ["pointerup", "pointercancel"]) {
  wet.addEventListener(name, () => {
    if (!points) return;
    waiting.push({ ...brush(), points });
    points = null;
    send();
  });
}
compare.addEventListener("input", paint);
easel.addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || !["z", "y"].includes(event.key.toLowerCase())) return;
  event.preventDefault();
  trigger(event.key.toLowerCase() === "y" || event.shiftKey ? "redo" : "undo");
});

function tell(words, bad) {
  told.textContent = words || "";
  told.classList.toggle("bad", Boolean(bad));
}

function save({ name, type, content }) {
  const bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt(0));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([bytes], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

async function update() {
  const news = props.value;
  if (!news || typeof news !== "object") return;
  veil.hidden = !news.busy;
  if (news.busy) {
    veil.querySelector("b").textContent = news.busy;
    const bar = veil.querySelector("progress");
    if (news.share === null || news.share === undefined) bar.removeAttribute("value");
    else bar.value = news.share;
    return;
  }
  if (news.size) size = news.size;
  if (news.photo) photo = await load(news.photo);
  if (news.picture) edited = await load(news.picture);
  if (news.download) save(news.download);
  tell(news.told, news.bad);
  if (news.picture || news.bad) {
    paint();
    if (sent && news.answer) {
      const stroke = sent;
      sent = null;
      showWet();
      requestAnimationFrame(() => {
        if (stroke.at && news.quick) times.push(performance.now() - stroke.at);
        const last = times.slice(-20), sorted = [...last].sort((a, b) => a - b);
        const middle = (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
        if (last.length) speed.textContent = `A stroke shows its result in ${Math.round(middle)} ms (median of the last ${last.length}).`;
        easel.dataset.strokes = String(Number(easel.dataset.strokes || 0) + 1);
        send();
      });
    }
  }
}
watch("value", update);
update();
