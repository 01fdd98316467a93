// The easel: shows the picture, lets a stroke be seen while it is drawn, and tells the server of it when it ends.
const find = (selector) => element.querySelector(selector);
const easel = find(".easel"), picture = find("canvas.picture"), wet = find("canvas.wet"), rule = find(".line");
const compare = find(".compare input"), speed = find(".speed"), veil = find(".veil");
const waiting = [], times = [];
let photo = null, edited = null, size = 64, sent = null;

function paint() {
  const pen = picture.getContext("2d"), side = picture.width;
  pen.imageSmoothingQuality = "high";
  if (edited) pen.drawImage(edited, 0, 0, side, side);
  const share = Number(compare.value) / 100;
  rule.hidden = !(photo && share > 0);
  rule.style.left = `${100 * share}%`;
  if (rule.hidden) return;
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
    pen.lineCap = pen.lineJoin = "round";
    line(pen, one.points, scale, one.width * scale, one.colour);
  }
}

const showWet = () => drawWet([...(sent ? [sent] : []), ...waiting, ...(points ? [{ ...brush(), points }] : [])]);

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

function finish() {
  waiting.push({ ...brush(), points });
  points = null;
  send();
}

follow(wet, {
  may: () => edited && veil.hidden,
  side: () => size,
  begin: () => {
    easel.focus({ preventScroll: true });
    compare.value = 0;
    paint();
  },
  move: showWet,
  end: finish,
  stop: finish,
});
compare.addEventListener("input", paint);
steps(easel, trigger);

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
