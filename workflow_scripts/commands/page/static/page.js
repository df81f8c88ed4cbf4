import { Brush } from "./brush.js";

const POLL = 400, KEEP = 60000; // milliseconds between two questions: while something is made, and to keep what was made
const get = (selector, inside = document) => inside.querySelector(selector);
const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
const form = get("#form"), task = get("#task"), input = get("#input"), said = get("#said"), progress = get("#progress");
const given = get("#given"), made = get("#made"), brush = new Brush(get("canvas", given), get("img", given), dim);
const NOT_SHOWN = "The browser cannot show this kind of file; it may be used all the same.";
let file = null, job = null, timer = 0;

const chosen = () => all("fieldset[data-task]").find((one) => one.dataset.task === task.value);

function tell(text, failed = false) {
  get("#state").classList.toggle("failed", failed);
  said.textContent = text;
}

/** Show a file in a figure; what the browser cannot show is named. */
function show(figure, url, video, words) {
  const image = get("img", figure), film = get("video", figure);
  figure.hidden = false;
  get("#empty").hidden = true;
  image.hidden = video;
  film.hidden = !video;
  film.removeAttribute("src");
  image.removeAttribute("src");
  (video ? film : image).src = url;
  image.alt = film.ariaLabel = words;
}

function chooseTask() {
  for (const one of all("fieldset[data-task]")) one.hidden = one.disabled = one !== chosen();
  input.accept = chosen().dataset.takes;
  paint(false);
}

function chooseFile(next) {
  if (!next) return;
  file = next;
  forget();
  tell("");
  get("#drop").replaceChildren(Object.assign(document.createElement("b"), { textContent: file.name }),
    Object.assign(document.createElement("span"), { textContent: "choose or drop another one" }));
  URL.revokeObjectURL(given.dataset.url);
  given.dataset.url = URL.createObjectURL(file);
  const shown = /^(image|video)\//.test(file.type);
  given.hidden = !shown;
  get("#empty").hidden = true;
  if (shown) show(given, given.dataset.url, file.type.startsWith("video/"), `input: ${file.name}`);
  else tell(NOT_SHOWN);
  paint(false);
}

function paint(on) {
  const canvas = get("canvas", given), image = get("img", given), button = get("[data-paint]", chosen());
  const can = button && !given.hidden && !image.hidden && image.naturalWidth > 0;
  if (on && !can) return tell("Choose a picture first, of a kind that the browser shows.");
  canvas.hidden = !on;
  all("[data-paint]").forEach((one) => one.setAttribute("aria-pressed", on));
  dim();
  if (on) { brush.reset(); canvas.focus({ preventScroll: true }); given.scrollIntoView({ block: "nearest" }); }
}

/** Dim what does not count beside a painted hole. */
function dim() {
  for (const one of all("[data-unless]")) one.classList.toggle("unused", isPainted());
}

const isPainted = () => !get("canvas", given).hidden && brush.painted;

async function ask(url, options) {
  const response = await fetch(url, options).catch(() => null);
  if (!response) return { error: "The page's program has ended; start it again by `make app`." };
  const answer = await response.json().catch(() => ({ error: response.status === 413 ? "The file is too large." : response.statusText }));
  return answer;
}

/** Give back what was made, which is then removed. */
function forget() {
  clearTimeout(timer);
  if (job) navigator.sendBeacon(`/jobs/${job}/discard`);
  job = null;
  made.hidden = get("#samples").hidden = true;
  get("#samples").replaceChildren();
  get("#beside").replaceChildren();
  busy(false);
}

function busy(is) {
  get("#run").disabled = is;
  get("#stop").hidden = progress.hidden = !is;
  if (!is) progress.removeAttribute("value");
}

async function run(event) {
  event.preventDefault();
  if (!file) { input.focus(); return tell("Choose a picture or a video first.", true); }
  const most = Number(document.body.dataset.most);
  if (file.size > most) return tell(`${file.name} is larger than ${Math.floor(most / 2 ** 20)} MB; start the page with a larger --most-megabytes.`, true);
  forget();
  busy(true);
  tell("Sending …");
  const data = new FormData(form);
  data.set("input", file);
  const button = get("[data-paint]", chosen());
  if (button && isPainted()) data.set(button.dataset.paint, await brush.picture(), "hole.png");
  const answer = await ask("/jobs", { method: "POST", body: data });
  if (answer.error) { busy(false); return tell(answer.error, true); }
  job = answer.job;
  poll(job);
}

async function poll(name) {
  const answer = await ask(`/jobs/${name}`);
  if (name !== job) return;
  if (answer.error) { busy(false); return tell(answer.error, true); }
  if (answer.state === "waiting") tell(`Waiting: ${answer.place} before this one.`);
  if (answer.state === "running") tellProgress(answer.progress);
  if (answer.state === "done" && get("#run").disabled) showResult(answer);
  if (answer.state === "failed") { busy(false); job = null; return tell(answer.said.join("\n"), true); }
  timer = setTimeout(poll, answer.state === "done" ? KEEP : POLL, name);
}

function tellProgress({ stage, percent, left }) {
  if (percent) { progress.value = percent; tell(`${stage ? stage.replaceAll("_", " ") : "work"}: ${percent} %${/\d/.test(left) ? `, ${left} left` : ""}`); }
  else tell("Working …");
}

function showResult({ said: lines, files }) {
  busy(false);
  tell(["Done.", ...lines].join("\n"));
  const outputs = files.filter((one) => one.what.startsWith("output"));
  if (outputs.length > 1) get("#samples").append(...outputs.map(sample));
  get("#samples").hidden = outputs.length < 2;
  choose(outputs[0]);
  for (const one of files.filter((one) => !outputs.includes(one))) {
    const figure = document.createElement("figure"), image = new Image();
    const words = { map: "Map: white is where the picture was changed", sheet: "All outputs beside the input" }[one.what] ?? one.what;
    Object.assign(image, { src: one.url, alt: words });
    const box = Object.assign(document.createElement("div"), { className: "picture" });
    box.append(image);
    figure.append(Object.assign(document.createElement("figcaption"), { textContent: words }), box, download(one, document.createElement("a")));
    get("#beside").append(figure);
  }
  if (innerWidth < 861) made.scrollIntoView({ block: "start" });
}

function sample(one) {
  const button = document.createElement("button"), image = new Image();
  Object.assign(image, { src: one.url, alt: "" });
  Object.assign(button, { type: "button", onclick: () => choose(one) });
  button.dataset.url = one.url;
  button.append(image, one.what.replace("output ", ""));
  button.ariaLabel = one.what;
  return button;
}

function choose(one) {
  for (const button of all("#samples button")) button.setAttribute("aria-pressed", button.dataset.url === one.url);
  show(made, one.url, one.video, `${one.what}: ${one.name}`);
  download(one, get("a", made));
}

const download = (one, link) => Object.assign(link, { href: `${one.url}?download`, className: "button", textContent: `Download ${one.name}`, download: one.name });

task.addEventListener("change", chooseTask);
input.addEventListener("change", () => chooseFile(input.files[0]));
form.addEventListener("submit", run);
form.addEventListener("input", (event) => {
  const output = get(`output[for="${event.target.id}"]`);
  if (output) output.textContent = event.target.value;
  if (event.target.dataset.enables) document.getElementById(event.target.dataset.enables).disabled = !event.target.checked;
});
get("#stop").addEventListener("click", () => { forget(); tell("Stopped."); });
for (const one of all("img, video", given)) one.addEventListener("error", () => { given.hidden = true; tell(NOT_SHOWN); });
for (const button of all("[data-paint]")) button.addEventListener("click", () => paint(button.getAttribute("aria-pressed") === "false"));
for (const button of all("[data-wipe]")) button.addEventListener("click", () => brush.reset());
addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("over"); });
addEventListener("dragleave", () => document.body.classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  chooseFile(event.dataTransfer.files[0]);
});
addEventListener("pagehide", forget);
chooseTask();
