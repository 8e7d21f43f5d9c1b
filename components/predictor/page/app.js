// Segments a picture in the browser. What it does around the network is what segline's Transform
// step and its served model do: bilinear resize of the picture, then of the probabilities.
import * as ort from "./ort.wasm.min.mjs";
import { bilinear, contentBox, largest } from "./pixels.js";

const SHOWN_SIDE = 1280; // longest side of what is drawn, in pixels
const MOST_PIXELS = 50e6;
const at = (id) => document.getElementById(id);

ort.env.wasm.numThreads = 1; // more need headers that a plain file server does not send
ort.env.wasm.wasmPaths = new URL(".", import.meta.url).href;

let card, session, shown; // shown: what the controls act on

async function start() {
  card = await (await fetch("card.json")).json();
  document.title = at("title").textContent = card.title;
  at("about").textContent =
    `${card.file}, ${card.image_size[1]}×${card.image_size[0]} pixels, segline ${card.segline}`;
  const model = new Uint8Array(await (await fetch(card.file)).arrayBuffer());
  const size = card.image_size[0] * card.image_size[1];
  session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  const blank = new ort.Tensor("float32", new Float32Array(size * 3), [1, ...card.image_size, 3]);
  await session.run({ image: blank }); // the first one takes long
  say("Ready.");
  document.body.dataset.state = "ready";
}

function say(text, bad = false) {
  at("state").textContent = text;
  at("state").classList.toggle("bad", bad);
}

async function pixelsOf(file) {
  // (turned as the camera was held)
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  const { width, height } = bitmap;
  if (width * height > MOST_PIXELS) throw new Error(`${width}×${height} pixels are too many`);
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, width, height);
}

function prepared(picture) {
  const [height, width] = card.image_size;
  const box = contentBox([picture.height, picture.width], card.image_size, card.fit);
  const [top, left, inner, across] = box;
  const source = { data: picture.data, height: picture.height, width: picture.width, step: 4 };
  const resized = bilinear(source, inner, across, 3);
  const values = new Float32Array(height * width * 3).fill(127.5); // of padding
  for (let row = 0; row < inner; row++) {
    const line = resized.subarray(row * across * 3, (row + 1) * across * 3);
    values.set(line, ((top + row) * width + left) * 3);
  }
  return { tensor: new ort.Tensor("float32", values, [1, height, width, 3]), box };
}

function cutOut(probabilities, [top, left, height, width], classes) {
  const across = card.image_size[1];
  const data = new Float32Array(height * width * classes);
  for (let row = 0; row < height; row++) {
    const from = ((top + row) * across + left) * classes;
    data.set(probabilities.subarray(from, from + width * classes), row * width * classes);
  }
  return { data, height, width, step: classes };
}

let before = Promise.resolve(); // one picture after the other: a session takes one at a time

function segment(file) {
  if (!session || !file) return;
  document.body.dataset.state = "busy";
  say("Segmenting …");
  before = before.then(() => answer(file));
}

async function answer(file) {
  await new Promise(requestAnimationFrame);
  try {
    const picture = await pixelsOf(file);
    const { tensor, box } = prepared(picture);
    const begun = performance.now();
    const outputs = await session.run({ image: tensor }, ["probabilities"]);
    const taken = performance.now() - begun;
    const classes = Object.keys(card.classes.values).length;
    const probabilities = cutOut(outputs.probabilities.data, box, classes);
    const scale = Math.min(1, SHOWN_SIDE / Math.max(picture.width, picture.height));
    const size = [picture.height, picture.width].map((side) => Math.max(1, Math.round(side * scale)));
    shown = { picture, probabilities, classes, size, mask: maskAt(probabilities, size, classes) };
    draw();
    tell();
    at("result").hidden = false;
    say(`${picture.width}×${picture.height} pixels, ${taken.toFixed(0)} ms for the model`);
    document.body.dataset.state = "done";
  } catch (error) {
    at("result").hidden = true;
    say(`${file.name} can't be segmented: ${error.message || error}`, true);
    document.body.dataset.state = "failed";
  }
}

const maskAt = (probabilities, [height, width], classes) =>
  largest(bilinear(probabilities, height, width, classes), classes);

function draw() {
  const [height, width] = shown.size;
  const view = at("view");
  Object.assign(view, { width, height });
  const overlay = new ImageData(width, height);
  shown.mask.forEach((index, pixel) => overlay.data.set([...card.colors[index], 255], pixel * 4));
  const context = view.getContext("2d");
  context.globalAlpha = 1;
  context.drawImage(canvasOf(shown.picture), 0, 0, width, height);
  context.globalAlpha = at("opacity").value / 100;
  context.drawImage(canvasOf(overlay), 0, 0);
}

function canvasOf(image) {
  const canvas = new OffscreenCanvas(image.width, image.height);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

function tell() {
  const counts = new Array(shown.classes).fill(0);
  for (const index of shown.mask) counts[index]++;
  at("shares").replaceChildren(
    ...Object.keys(card.classes.values).map((name, index) => {
      const row = document.createElement("tr");
      const swatch = row.insertCell();
      swatch.className = "swatch";
      const square = swatch.appendChild(document.createElement("canvas"));
      const context = square.getContext("2d");
      context.fillStyle = `rgb(${card.colors[index].join(" ")})`;
      context.fillRect(0, 0, square.width, square.height);
      row.insertCell().textContent = name;
      row.insertCell().textContent = `${((100 * counts[index]) / shown.mask.length).toFixed(1)} %`;
      return row;
    }),
  );
}

async function save(event) {
  event.preventDefault();
  if (!shown) return;
  const { width, height } = shown.picture;
  const mask = maskAt(shown.probabilities, [height, width], shown.classes);
  const image = new ImageData(width, height); // grey: the index of each pixel's class
  mask.forEach((index, pixel) => image.data.set([index, index, index, 255], pixel * 4));
  const blob = await canvasOf(image).convertToBlob({ type: "image/png" });
  const link = Object.assign(document.createElement("a"), {
    href: URL.createObjectURL(blob),
    download: "mask.png",
  });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

at("file").addEventListener("change", (event) => {
  segment(event.target.files[0]);
  event.target.value = ""; // so that the same one can be given again
});
at("opacity").addEventListener("input", () => shown && draw());
at("save").addEventListener("click", save);
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop") segment(event.dataTransfer.files[0]);
  });
}
start().catch((error) => {
  say(`The model can't be loaded: ${error.message || error}`, true);
  document.body.dataset.state = "failed";
});
