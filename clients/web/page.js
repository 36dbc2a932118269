// One page, one conversation: who speaks, with which face, and how it goes.

import { ask as fetchWithToken, fragment, remember } from "./access.js";
import { backgrounds } from "./backgrounds.js";
import { Call } from "./call.js";
import { Captions } from "./captions.js";
import { check } from "./checks.js";
import { Faces } from "./faces.js";
import { takePhotos } from "./photo.js";
import { at, explain, passes, refusal, within } from "./server.js";
import { Settings } from "./settings.js";
import * as stage from "./stage.js";
import { Voice } from "./voice.js";

const LOAD_TIMEOUT_MS = 10_000;
const RETRY_MS = 1_000;
const FRAME_RATE = 25;
const SLOW_RATE = 20; // new pictures a second: below it lips and head visibly jerk
const SLOW_READOUTS = 4;
const SETTLED_MS = 4_000; // until "Live" is out of the picture's way
const SLOW = "The server is short of time:";
const AGENT = "The voice agent:";
const READY = "Ready when you are.";
const DOES = { idle: "Say something.", listening: "It listens.", thinking: "It thinks …", speaking: "It speaks." };
const PUSHED = new URLSearchParams(window.location.search).get("speech") === "1"; // a program speaks: no microphone

const element = (id) => document.getElementById(id);
const button = element("start");
const settings = new Settings();
const call = new Call({ query, voice: PUSHED ? null : () => voice.stream(), on: follow });
const swatch = backgrounds(settings.get("background") ?? "none", (value) => {
  settings.set("background", value);
  changed();
});
const background = () => settings.get("background") && swatch(); // undefined: the server's
const faces = new Faces({
  background,
  chosen({ name, whole }) {
    settings.set("avatar", name);
    element("views").hidden = !whole;
    changed();
  },
});
const voice = new Voice({ call, settings, start: connected, warn, louder: () => louder(80) });
const captions = new Captions(element("caption"), {
  state: (state) => agent && show("live", DOES[state]),
  trouble: (text) => warn(text && `${AGENT} ${text}`),
});
let agent = false; // it answers: nobody speaks as the face
let slow = 0; // readouts in a row
let settling;

function show(state, text) {
  document.body.dataset.state = state;
  document.body.classList.remove("settled");
  clearTimeout(settling);
  if (state === "live") settling = setTimeout(() => document.body.classList.add("settled"), SETTLED_MS);
  element("status").textContent = text;
  button.textContent = call.active ? "Stop" : PUSHED ? "Start" : "Start talking";
}

function warn(text) {
  element("warning").textContent = text;
}

// ---- what the server has

async function load() {
  let found = await ask();
  while (!found) found = await later();
  element("recorded").hidden = !found.recorded;
  element("say").hidden = !found.voice;
  offerSizes(found.sizes);
  if (found.agent && !PUSHED) converse();
  faces.show(found.avatars, settings.get("avatar"));
  if (found.photos) takePhotos((avatar) => faces.take(avatar));
  while (!found?.ready) found = await later();
}

/** A voice agent answers: it is heard, and captioned. */
function converse() {
  agent = voice.silentOften = true;
  element("title").textContent = "Talk with a face that answers";
  louder(100);
}

function offerSizes(sizes) {
  const options = [new Option("Automatic", ""), ...sizes.map((size) => new Option(`${size} × ${size}`, size))];
  element("size").replaceChildren(...options);
  element("size").value = settings.get("size") ?? "";
  if (element("size").selectedIndex < 0) element("size").value = "";
  element("sizes").hidden = sizes.length < 2;
}

async function later() {
  show("loading", "The engines are loading …");
  await new Promise((done) => setTimeout(done, RETRY_MS));
  return ask();
}

/** Who there is; null while the server is loading or away. */
async function ask() {
  try {
    const response = await within(LOAD_TIMEOUT_MS, null, (signal) => fetchWithToken(at("/avatars"), { signal }));
    if (!response.ok) throw await refusal(response);
    return await response.json();
  } catch (error) {
    if (passes(error)) return null;
    if (error.status !== 401) throw error;
    remember(await tokenTyped(error.message));
    return ask();
  }
}

/** What the visitor types where the server asks for a token. */
function tokenTyped(why) {
  const dialog = element("access");
  element("access-note").textContent = sentence(why);
  element("access-token").value = "";
  show("loading", "This server asks for a token.");
  dialog.showModal();
  return new Promise((done) => {
    dialog.onclose = () => done(element("access-token").value);
  });
}

// ---- a call

function query() {
  const wanted = new URLSearchParams({ avatar: faces.current?.name ?? "" });
  const whole = !element("views").hidden && element("mode").value === "full";
  if (whole) wanted.set("mode", "full"); // of which no outline is known, so that it keeps its own background
  else if (background()) wanted.set("background", background());
  if (element("size").value) wanted.set("size", element("size").value);
  if (PUSHED) wanted.set("speech", "1");
  return wanted;
}

function follow(event, detail) {
  switch (event) {
    case "asking":
      return show("connecting", "Asking for the microphone …");
    case "voice":
      return voice.watch(detail);
    case "connecting":
      return show("connecting", "Connecting …");
    case "waiting":
      return show("waiting", `${sentence(detail.message)} You come in by yourself.`);
    case "stream":
      return stage.play(detail);
    case "live":
      slow = 0;
      stage.live(true);
      tellAddress(call.session.location);
      if (agent || PUSHED) captions.open(call.session.location);
      return show("live", PUSHED ? "Live. A program speaks." : "Live. Say something.");
    case "weak":
      return show("connecting", "The connection is weak …");
    case "report":
      return report(detail);
    case "lost":
      return show("connecting", `Connection lost, calling again in ${Math.round(detail.wait / 1000)} s …`);
    case "ended":
      return clear();
    case "failed":
      voice.quiet();
      return show("failed", explain(detail));
  }
}

function sentence(text) {
  return `${text[0].toUpperCase()}${text.slice(1).replace(/\.$/, "")}.`;
}

/** Begin a call; the promise is kept when it is live. */
function connected() {
  call.start();
  return new Promise((done, failed) => {
    const timer = setInterval(() => {
      if (document.body.dataset.state === "live") done();
      else if (!call.active) failed(new Error(element("status").textContent));
      else return;
      clearInterval(timer);
    }, 50);
  });
}

function stop() {
  call.stop();
  voice.quiet();
  show("idle", READY);
}

/** Another face or background was chosen. */
function changed() {
  if (faces.current) faces.redraw();
  if (!call.active) return;
  call.stop();
  call.start();
}

function clear() {
  stage.live(false);
  voice.end();
  captions.close();
  warn("");
  tellAddress(null);
  element("latency").textContent = "";
}

// ---- how it goes

/** What the network and this page add, and what the server waits on purpose, from the standard statistics. */
function report({ before, now }) {
  const seconds = (now.at - before.at) / 1000;
  const { told } = now;
  const made = told && before.told ? told.pictures - before.told.pictures : now.frames - before.frames;
  const rate = made / seconds;
  const delay = told?.delay_ms ?? call.session.delay;
  const held = (now.buffer - before.buffer) / Math.max(1, now.emitted - before.emitted);
  const network = 1000 * (now.roundTrip + held);
  const total = (delay + network) / 1000;
  const whose = PUSHED ? "what is pushed" : agent ? "what the agent says" : "your voice";
  element("latency").textContent =
    `About ${total.toFixed(2)} s behind ${whose}: ${delay} ms to form the face, ` +
    `${network.toFixed(0)} ms for network and buffering. ${rate.toFixed(0)} new pictures a second.`;
  slow = rate < SLOW_RATE ? slow + 1 : 0;
  const news = `${rate.toFixed(0)} of ${FRAME_RATE} pictures a second are new`;
  if (told?.left_out) warn(`${SLOW} ${told.left_out}; ${news}.`);
  else if (slow >= SLOW_READOUTS) warn(`${SLOW} ${news}.`);
  else if (slow === 0 && element("warning").textContent.startsWith(SLOW)) warn("");
}

// ---- sharing

function tellAddress(location) {
  if (!PUSHED) return;
  element("copy-address").disabled = !location;
  element("address").textContent = location ? `Speech for it goes to ${location}` : "Press Start for its address.";
}

function pageAddress(path) {
  const shared = new URLSearchParams({ avatar: faces.current?.name ?? "" });
  if (background()) shared.set("background", background());
  if (PUSHED) shared.set("speech", "1");
  return `${at(path)}?${shared}`;
}

async function copy(target, text) {
  const label = target.textContent;
  await navigator.clipboard.writeText(text).then(
    () => (target.textContent = "Copied"),
    () => window.prompt("Copy this address:", text),
  );
  setTimeout(() => (target.textContent = label), 1_500);
}

// ---- page

function louder(percent) {
  if (Number(element("volume").value) > 0) return;
  element("volume").value = percent;
  stage.setVolume(percent);
}

const KEYS = { m: () => voice.mute(), f: stage.fullScreen, p: stage.pictureInPicture };

button.addEventListener("click", () => (call.active ? stop() : call.start()));
element("volume").addEventListener("input", ({ target }) => stage.setVolume(Number(target.value)));
element("size").addEventListener("change", ({ target }) => {
  settings.set("size", target.value);
  changed();
});
element("mode").addEventListener("change", () => changed());
element("share").addEventListener("click", ({ target }) => copy(target, pageAddress("/")));
element("share-obs").addEventListener("click", ({ target }) => copy(target, pageAddress("/obs") + fragment()));
element("check").addEventListener("click", () => {
  element("checks").showModal();
  check(element("checks-list"));
});
element("copy-address").addEventListener("click", ({ target }) => copy(target, call.session.location.href));
window.addEventListener("pagehide", () => call.active && stop());
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input[type=text], select, dialog");
  if (!typing && !event.ctrlKey && !event.metaKey && !event.altKey) KEYS[event.key.toLowerCase()]?.();
});
stage.buttons(warn);
voice.listDevices();
if (PUSHED) {
  for (const id of ["mute", "devices", "without"]) element(id).hidden = true;
  element("level").parentElement.hidden = true; // of the microphone
  element("speech").hidden = false;
  louder(100); // nobody hears their own voice
}

try {
  await load();
  button.disabled = false;
  show("idle", READY);
} catch (error) {
  show("failed", explain(error));
}
