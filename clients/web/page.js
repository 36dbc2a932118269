// One page, one conversation: who speaks, with which face, and how it goes.

import { Call, explain, refusal, within } from "./call.js";
import { takePhotos } from "./photo.js";

const LOAD_TIMEOUT_MS = 10_000;
const RETRIES = 5;
const RETRY_MS = 1_000;
const PUSHED = new URLSearchParams(window.location.search).get("speech") === "1"; // a program speaks: no microphone

const element = (id) => document.getElementById(id);
const video = element("avatar");
const button = element("start");
const call = new Call({ query, pushed: PUSHED, retries: RETRIES, on: follow });

function show(state, text) {
  document.body.dataset.state = state;
  element("status").textContent = text;
  button.textContent = state === "live" || state === "connecting" ? "Stop" : PUSHED ? "Start" : "Start talking";
}

// ---- avatars

/** Who there is; a server that is still loading its engines (503) is asked again. */
async function loadAvatars() {
  let found = await ask();
  while (!found?.avatars) found = await later();
  element("recorded").hidden = !found.recorded;
  found.avatars.forEach(offer);
  if (found.photos) takePhotos(take);
  choose(found.avatars.find((avatar) => avatar.default) ?? found.avatars[0]);
  while (!found?.ready) found = await later();
}

async function later() {
  show("loading", "The engines are loading …");
  await new Promise((done) => setTimeout(done, RETRY_MS));
  return ask();
}

async function ask() {
  const response = await within(LOAD_TIMEOUT_MS, null, (signal) => fetch("/avatars", { signal }));
  if (response.status === 503) return null;
  if (!response.ok) throw await refusal(response);
  return response.json();
}

/** Show a face to choose, before the tile for one's own photo. */
function offer(avatar) {
  const label = face(avatar);
  element("faces").insertBefore(label, element("photo").parentElement);
  return label;
}

/** A face was made of the visitor's photo: it is chosen at once. */
function take(avatar) {
  offer(avatar).querySelector("input").click();
}

function face(avatar) {
  const label = document.createElement("label");
  const input = Object.assign(document.createElement("input"), { type: "radio", name: "face", value: avatar.name });
  input.checked = avatar.default;
  input.addEventListener("change", () => {
    choose(avatar);
    if (call.active) restart();
  });
  const picture = Object.assign(document.createElement("img"), { src: avatar.picture, alt: avatar.description });
  label.append(input, picture, avatar.title);
  return label;
}

function choose(avatar) {
  element("portrait").src = avatar.picture;
  element("portrait").alt = avatar.description;
}

// ---- a call

function query() {
  const avatar = document.querySelector("#faces input:checked")?.value ?? "";
  return new URLSearchParams(PUSHED ? { avatar, speech: "1" } : { avatar });
}

function follow(event, detail) {
  switch (event) {
    case "asking":
      return show("connecting", "Asking for the microphone …");
    case "microphone":
      return watchLevel(detail);
    case "connecting":
      return show("connecting", "Connecting …");
    case "stream":
      video.srcObject = detail;
      return void video.play().catch(() => {}); // muted video may always play; unmuted follows a click
    case "live":
      if (PUSHED) {
        element("address").textContent = `Speech for it goes to ${new URL(call.session.location, window.location)}`;
      }
      return show("live", PUSHED ? "Live. A program speaks." : "Live. Say something.");
    case "weak":
      return show("connecting", "The connection is weak …");
    case "report":
      return void (element("latency").textContent = describe(detail.before, detail.now, call.session.delay));
    case "lost":
      return show("connecting", "Connection lost, calling again …");
    case "ended":
      return clear();
    case "failed":
      return show("failed", explain(detail));
  }
}

function stop() {
  call.stop();
  show("idle", "Ready when you are.");
}

function restart() {
  call.stop();
  call.start();
}

function clear() {
  meter.context?.close();
  cancelAnimationFrame(meter.drawing);
  meter = {};
  element("level").style.transform = "scaleX(0)";
  element("latency").textContent = "";
  element("address").textContent = "";
}

// ---- meters

let meter = {};

function watchLevel(microphone) {
  const context = new AudioContext();
  const mine = { context };
  meter = mine;
  const analyser = new AnalyserNode(context, { fftSize: 1024 });
  context.createMediaStreamSource(microphone).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const draw = () => {
    analyser.getFloatTimeDomainData(samples);
    const power = samples.reduce((sum, x) => sum + x * x, 0) / samples.length;
    const level = Math.min(1, Math.max(0, 1 + (10 * Math.log10(power + 1e-9)) / 60));
    element("level").style.transform = `scaleX(${level.toFixed(3)})`;
    mine.drawing = requestAnimationFrame(draw);
  };
  draw();
}

/** What the network and this page add, and what the server waits on purpose, from the standard statistics. */
function describe(before, now, delay) {
  const rate = ((now.frames - before.frames) * 1000) / (now.at - before.at);
  const held = (now.buffer - before.buffer) / Math.max(1, now.emitted - before.emitted);
  const network = 1000 * (now.roundTrip + held);
  const total = (delay + network) / 1000;
  const voice = PUSHED ? "what is pushed" : "your voice";
  return (
    `About ${total.toFixed(2)} s behind ${voice}: ${delay} ms to form the face, ` +
    `${network.toFixed(0)} ms for network and buffering. ${rate.toFixed(0)} frames a second.`
  );
}

// ---- page

function setVolume(percent) {
  video.volume = percent / 100;
  video.muted = percent === 0;
}

button.addEventListener("click", () => (call.active ? stop() : call.start()));
element("volume").addEventListener("input", ({ target }) => setVolume(Number(target.value)));
if (PUSHED) {
  element("level").parentElement.hidden = true; // of the microphone
  element("volume").value = 100; // nobody hears their own voice
  element("volume-note").textContent = "Speech is pushed by a program; docs/speech.md says how.";
  setVolume(100);
}
window.addEventListener("pagehide", () => call.active && stop());

try {
  await loadAvatars();
  button.disabled = false;
  show("idle", "Ready when you are.");
} catch (error) {
  show("failed", explain(error));
}
