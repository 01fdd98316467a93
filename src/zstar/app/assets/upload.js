// A photo goes to the server as it is, in one message; the server says whether it is one.
const input = element.querySelector("input"), hint = element.querySelector(".hint");
input.addEventListener("change", async () => {
  const file = input.files[0];
  input.value = "";
  if (!file) return;
  if (file.size > props.megabytes * 1e6) {
    hint.textContent = `${file.name} has ${(file.size / 1e6).toFixed(1)} MB, more than the ${props.megabytes} MB that are read here; shrink it.`;
    return;
  }
  hint.textContent = file.name;
  const reader = new FileReader();
  reader.onload = () => trigger("photo", { content: String(reader.result).split(",")[1] || "" });
  reader.onerror = () => { hint.textContent = `${file.name} can't be read.`; };
  reader.readAsDataURL(file);
});
