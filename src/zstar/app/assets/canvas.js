// What the easel and the board have in common: pictures that are loaded and saved, and lines that are drawn with a pointer.
let points = null; // of the line that is being drawn, in pixels of the generator's picture

const load = (address) => new Promise((done, failed) => {
  const image = new Image();
  image.onload = () => done(image);
  image.onerror = failed;
  image.src = address;
});

function save({ name, type, content }) {
  const bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt(0)), link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([bytes], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function line(pen, places, scale, thick, style) {
  pen.strokeStyle = style;
  pen.lineWidth = thick;
  pen.beginPath();
  places.forEach(([x, y], k) => (k ? pen.lineTo(x * scale, y * scale) : pen.moveTo(x * scale, y * scale)));
  if (places.length === 1) pen.lineTo(places[0][0] * scale + 0.01, places[0][1] * scale);
  pen.stroke();
}

// A pointer's lines on a canvas: may one begin, how many pixels a side are, and what follows a begin, a move, an end and a break.
function follow(canvas, { may, side, begin, move, end, stop }) {
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top].map((value) => Math.round((value / box.width) * side() * 100) / 100);
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button || !may()) return;
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    points = [place(event)];
    begin();
    move();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!points) return;
    for (const one of event.getCoalescedEvents ? event.getCoalescedEvents() : [event]) {
      const next = place(one), last = points[points.length - 1];
      if (points.length < 1900 && Math.hypot(next[0] - last[0], next[1] - last[1]) > 0.4) points.push(next);
    }
    move();
  });
  for (const [name, then] of [["pointerup", end], ["pointercancel", stop]]) canvas.addEventListener(name, () => points && then());
}

// Ctrl+Z and Ctrl+Y, or Shift+Ctrl+Z, while an element has the keyboard.
function steps(owner, step) {
  owner.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || !["z", "y"].includes(event.key.toLowerCase())) return;
    event.preventDefault();
    step(event.key.toLowerCase() === "y" || event.shiftKey ? "redo" : "undo");
  });
}

function tell(words, bad) {
  const told = element.querySelector(".told");
  told.textContent = words || "";
  told.classList.toggle("bad", Boolean(bad));
}
