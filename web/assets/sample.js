// Comforts of a sample's page: a clip frame by frame, two pictures under a slider, tokens added one step at a time.
"use strict";

const pictures = document.querySelector(".pictures");
const width = Number(pictures.dataset.width);
const height = Number(pictures.dataset.height);
const frames = Number(pictures.dataset.frames);
const framesOfBlock = frames / Number(pictures.dataset.blocks);
let frame = 0;

// A stored picture of a clip is a sheet of its frames: a row for each block. A canvas shows one of them, pixel by pixel.
const draw = (canvas, sheet) => {
  if (!sheet.complete || !sheet.naturalWidth) return;
  const columns = Math.max(Math.round(sheet.naturalWidth / width), 1);
  const rows = Math.max(Math.round(sheet.naturalHeight / height), 1);
  const at = Math.min(frame, columns * rows - 1);
  const [left, top] = [(at % columns) * width, Math.floor(at / columns) * height];
  canvas.getContext("2d").drawImage(sheet, left, top, width, height, 0, 0, width, height);
};

const newCanvas = (description) => {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height, className: "pixels" });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", description);
  return canvas;
};

// Every picture gives its place to a canvas.
const shown = [];
for (const sheet of document.querySelectorAll(".pictures img, .filmstrip img")) {
  const canvas = newCanvas(sheet.alt);
  sheet.loading = "eager";
  sheet.hidden = true;
  sheet.after(canvas);
  sheet.addEventListener("load", () => draw(canvas, sheet));
  shown.push([canvas, sheet]);
}
const drawAll = () => shown.forEach(([canvas, sheet]) => draw(canvas, sheet));
drawAll();
for (const words of document.querySelectorAll(".without-script")) words.hidden = true;

// A slider with its words; `say` gives those of a value, and shows it.
const newControl = (name, last, value, say) => {
  const control = document.createElement("label");
  control.className = "control";
  const [title, words, input] = ["span", "output", "input"].map((tag) => document.createElement(tag));
  title.textContent = name;
  Object.assign(input, { type: "range", min: 0, max: last, value });
  const show = () => {
    words.textContent = say(Number(input.value));
    input.setAttribute("aria-valuetext", words.textContent);
  };
  input.addEventListener("input", show);
  control.append(title, words, input);
  show();
  return { control, set: (other) => ((input.value = other), show()) };
};

if (frames > 1) {
  const blocks = [...document.querySelectorAll(".timeline [data-block]")];
  const scrubber = newControl("frame", frames - 1, 0, (number) => {
    frame = number;
    const block = Math.floor(number / framesOfBlock);
    for (const other of blocks) other.classList.toggle("now", Number(other.dataset.block) === block);
    drawAll();
    return `${number + 1} of ${frames}, block ${block}`;
  });
  pictures.after(scrubber.control);
  for (const other of blocks) {
    other.addEventListener("click", () => scrubber.set(Number(other.dataset.block) * framesOfBlock));
  }
}

if (pictures.dataset.view === "slider" && pictures.querySelectorAll("canvas").length === 2) {
  pictures.classList.add("compare");
  const cut = newControl("original │ reconstruction", 100, 50, (percent) => {
    pictures.style.setProperty("--cut", `${percent}%`);
    return `cut at ${percent} %`;
  });
  pictures.after(cut.control);
}

const steps = [...document.querySelectorAll(".filmstrip li")];
if (steps.length > 0) {
  const strip = steps[0].parentElement;
  const stage = document.createElement("figure");
  stage.className = "stage";
  const canvas = newCanvas("The reconstruction at the chosen step");
  const large = [canvas, steps[0].querySelector("img")];
  shown.push(large);
  const chosen = Math.max(steps.findIndex((step) => step.classList.contains("chosen")), 0);
  const stepper = newControl("step", steps.length - 1, chosen, (number) => {
    for (const [index, step] of steps.entries()) {
      if (index === number) step.setAttribute("aria-current", "true");
      else step.removeAttribute("aria-current");
    }
    large[1] = steps[number].querySelector("img");
    draw(...large);
    const middle = steps[number].offsetLeft + steps[number].offsetWidth / 2;
    strip.scrollLeft = middle - strip.offsetLeft - strip.clientWidth / 2;
    return steps[number].textContent.trim().replace(/\s+/g, " ");
  });
  stage.append(canvas, stepper.control);
  strip.before(stage);
  for (const [index, step] of steps.entries()) {
    step.querySelector("img").addEventListener("load", () => draw(...large));
    step.querySelector("a").addEventListener("click", (event) => {
      event.preventDefault();
      stepper.set(index);
    });
  }
}
