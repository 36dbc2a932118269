// The demo page: one <avatar-view> with controls for voice and face, and a status line.

import { ask as fetchWithToken, fragment, remember } from "./access.js";
import "./avatar-view.js";
import { backgrounds } from "./backgrounds.js";
import { Captions } from "./captions.js";
import { check } from "./checks.js";
import { Faces } from "./faces.js";
import { takePhotos } from "./photo.js";
import { at, explain, passes, refusal, sentence, within } from "./server.js";
import { Settings } from "./settings.js";
import { Speaking } from "./speaking.js";
import * as stage from "./stage.js";

const LOAD_TIMEOUT_MS = 10_000;
const RETRY_MS = 1_000;
const FRAME_RATE = 25;
const SLOW_RATE = 20; // new pictures a second; below it lips and head visibly stutter
const SLOW_READOUTS = 4;
const SETTLED_MS = 4_000; // until "Live" is hidden
const SLOW = "The server is short of time:";
const AGENT = "The voice agent:";
const READY = "Ready when you are.";
const DOES = { idle: "Say something.", listening: "It listens.", thinking: "It thinks …", speaking: "It speaks." };
const PUSHED = new URLSearchParams(window.location.search).get("speech") === "1"; // speech is pushed: no microphone

const element = (id) => document.getElementById(id);
const button = element("start");
const view = element("avatar");
const settings = new Settings();
const swatch = backgrounds(settings.get("background") ?? "none", (value) => {
  settings.set("background", value);
  dress();
});
const background = () => settings.get("background") && swatch(); // undefined: the server's default
const faces = new Faces({ shown: dress, chosen: ({ name }) => settings.set("avatar", name) });
const speaking = new Speaking({ view, settings, warn, louder: () => louder(80) });
const captions = new Captions(element("caption"));
let agent = false; // whether a voice agent answers
let slow = 0; // consecutive readouts below SLOW_RATE
let settling;

function show(state, text) {
  document.body.dataset.state = state;
  document.body.classList.remove("settled");
  clearTimeout(settling);
  if (state === "live") settling = setTimeout(() => document.body.classList.add("settled"), SETTLED_MS);
  element("status").textContent = text;
  button.textContent = view.active ? "Stop" : PUSHED ? "Start" : "Start talking";
}

function warn(text) {
  element("warning").textContent = text;
}

// ---- the server's offer

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

/** Set the page up for a voice agent that answers: turn the volume up and show captions. */
function converse() {
  agent = speaking.silentOften = true;
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

/** Return the server's avatars and features; null while the server is loading or unreachable. */
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

/** Ask the visitor for the server's token; resolves with the typed text. */
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

/** Apply the chosen face, background, view and size; a live call changes to them. */
function dress() {
  if (!faces.current) return;
  const { name, whole, description } = faces.current;
  element("views").hidden = !whole;
  const full = whole && element("mode").value === "full"; // without an outline, so it keeps the photo's background
  const looks = {
    alt: description,
    avatar: name,
    background: full ? null : background(),
    mode: full ? "full" : null,
    size: element("size").value,
  };
  for (const [attribute, value] of Object.entries(looks)) {
    if (value) view.setAttribute(attribute, value);
    else view.removeAttribute(attribute);
  }
}

function follow({ state, message }) {
  const live = state === "live";
  stage.live(live);
  tellAddress(live ? view.session : null);
  if (live) {
    slow = 0;
    return show("live", PUSHED ? "Live. A program speaks." : "Live. Say something.");
  }
  captions.clear();
  warn("");
  element("latency").textContent = "";
  return show(state === "lost" ? "connecting" : state, state === "idle" ? READY : message);
}

/** Show captions and state from an event of the control channel. */
function take(event) {
  if (!agent && !PUSHED) return;
  if (event.type === "caption") captions.show(event);
  if (event.type === "state" && agent && view.state === "live") show("live", DOES[event.state]);
  if (event.type === "agent") warn(event.message && `${AGENT} ${event.message}`);
}

// ---- statistics

function report({ delay_ms: delay, network_ms: network, pictures_per_second: rate, left_out: leftOut }) {
  const whose = PUSHED ? "what is pushed" : agent ? "what the agent says" : "your voice";
  element("latency").textContent =
    `About ${((delay + network) / 1000).toFixed(2)} s behind ${whose}: ${delay} ms to form the face, ` +
    `${network} ms for network and buffering. ${rate.toFixed(0)} new pictures a second.` +
    (leftOut ? ` ${SLOW} ${leftOut}.` : "");
  slow = rate < SLOW_RATE ? slow + 1 : 0;
  const news = `${rate.toFixed(0)} of ${FRAME_RATE} pictures a second are new`;
  // Warn only about visible trouble, missing pictures: at once if the server reports leaving something out.
  if (slow >= (leftOut ? 1 : SLOW_READOUTS)) warn(`${SLOW} ${leftOut ? `${leftOut}; ` : ""}${news}.`);
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

const KEYS = { m: () => speaking.mute(), f: stage.fullScreen, p: stage.pictureInPicture };

button.addEventListener("click", () => (view.active ? view.stop() : view.start()));
element("volume").addEventListener("input", ({ target }) => stage.setVolume(Number(target.value)));
element("size").addEventListener("change", ({ target }) => {
  settings.set("size", target.value);
  dress();
});
element("mode").addEventListener("change", dress);
element("share").addEventListener("click", ({ target }) => copy(target, pageAddress("/")));
element("share-obs").addEventListener("click", ({ target }) => copy(target, pageAddress("/obs") + fragment()));
element("check").addEventListener("click", () => {
  element("checks").showModal();
  check(element("checks-list"));
});
element("copy-address").addEventListener("click", ({ target }) => copy(target, view.session));
view.addEventListener("avatar-state", ({ detail }) => follow(detail));
view.addEventListener("avatar-event", ({ detail }) => take(detail));
view.addEventListener("avatar-error", ({ detail }) => view.state === "live" && warn(detail.message));
view.addEventListener("avatar-report", ({ detail }) => report(detail));
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input[type=text], select, dialog");
  if (!typing && !event.ctrlKey && !event.metaKey && !event.altKey) KEYS[event.key.toLowerCase()]?.();
});
stage.buttons(warn);
if (PUSHED) {
  view.setAttribute("speech", "");
  for (const id of ["mute", "devices", "without"]) element(id).hidden = true;
  element("level").parentElement.hidden = true; // the microphone's level
  element("speech").hidden = false;
  louder(100); // no microphone, so the visitor does not hear their own voice
}

try {
  await load();
  button.disabled = false;
  show("idle", READY);
} catch (error) {
  show("failed", explain(error));
}
