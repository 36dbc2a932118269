// The page for OBS's Browser Source: starts by itself, shows only the face, and reconnects without limit.
//
//   avatar=NAME  fit=contain|cover  sound=0|1  speech=1&key=SECRET  background=transparent|none|blur|RRGGBB
//   #token=TOKEN, for a server that requires one
//   lookahead=MS  mode  size  still  energy  emotion  intensity  pose-style  expression-scale  yaw  pitch  roll: as in POST /session

import { ask, showPicture } from "./access.js";
import { Call } from "./call.js";
import { open } from "./microphone.js";
import { overlay } from "./overlay.js";
import { at, explain, passes, refusal, within } from "./server.js";

const OF_THE_PAGE = ["fit", "sound"];
const OF_THE_SESSION = ["avatar", "background", "speech", "key", "lookahead"];
const OF_THE_FACE = ["mode", "size", "still", "energy", "emotion", "intensity", "pose-style", "expression-scale", "yaw", "pitch", "roll"];
const NAMES = [...OF_THE_PAGE, ...OF_THE_SESSION, ...OF_THE_FACE];
const KEY = /^[A-Za-z0-9_-]{16,128}$/;
const LOAD_TIMEOUT_MS = 10_000;
const RETRY_MS = 2_000; // between requests for the portrait while the server is loading
const MICROPHONE_MS = 10_000; // until a missing microphone is requested again
const UNTOLD_MS = 15_000; // before an outage is shown: viewers need not see a restart

const asked = new URLSearchParams(window.location.search);
const element = (id) => document.getElementById(id);
const video = element("avatar");
const portrait = element("portrait");

function say(text) {
  element("note").textContent = text;
}

// ---- parameters

/** Return the first mistake in the page's address in one line, or null; the server checks the values it is sent. */
function mistake() {
  for (const name of new Set(asked.keys())) {
    if (!NAMES.includes(name)) return `There is no parameter ${name.slice(0, 40)}; there are ${NAMES.join(", ")}.`;
    if (asked.getAll(name).length > 1) return `The parameter ${name} is there twice.`;
  }
  const choices = { fit: ["contain", "cover"], sound: ["0", "1"], speech: ["0", "1"] };
  for (const [name, values] of Object.entries(choices)) {
    const value = asked.get(name);
    if (value !== null && !values.includes(value)) {
      return `${name} is ${value.slice(0, 20)}, expected ${values.join(" or ")}.`;
    }
  }
  if (asked.has("key") && !KEY.test(asked.get("key"))) {
    return "key must be 16 to 128 letters, digits, - or _; choose one that nobody guesses.";
  }
  if (pushed() && !asked.has("key")) {
    return "speech=1 needs key=SECRET, too: your program then speaks to this server's /session/SECRET.";
  }
  return null;
}

function pushed() {
  return asked.get("speech") === "1";
}

function background() {
  return asked.get("background") ?? "transparent";
}

function query() {
  const wanted = new URLSearchParams([...asked].filter(([name]) => !OF_THE_PAGE.includes(name)));
  wanted.set("background", background());
  return wanted;
}

// ---- picture

const call = new Call({ query, voice: () => (pushed() ? null : open("")), always: true, on: follow });
let live = false;
let outage = null; // timer during an outage that may be temporary

/** Show the portrait with the session's background; retry while the server is loading or unreachable. */
async function showPortrait() {
  for (;;) {
    try {
      const response = await within(LOAD_TIMEOUT_MS, null, (signal) => ask(at("/avatars"), { signal }));
      if (!response.ok) throw await refusal(response);
      const { avatars } = await response.json();
      const name = asked.get("avatar");
      const avatar = avatars.find((each) => (name === null ? each.default : each.name === name));
      if (!avatar) {
        const names = avatars.map((each) => each.name).join(", ");
        throw new Error(`There is no avatar ${name.slice(0, 40)}; there are ${names}.`);
      }
      await showPicture(portrait, `${at(avatar.picture)}?${new URLSearchParams({ background: background() })}`);
      await portrait.decode().catch(() => {}); // the session reports any error of the avatar
      portrait.hidden = !portrait.naturalWidth;
      return;
    } catch (error) {
      if (!passes(error)) throw error;
      amiss(error);
      await new Promise((done) => setTimeout(done, RETRY_MS));
    }
  }
}

/** Called with each picture; the first one replaces the portrait. */
function seen(where, painter) {
  if (painter) document.body.dataset.painter = painter;
  if (live && call.active && call.session) document.body.dataset.shown = where;
}

function follow(event, detail) {
  switch (event) {
    case "stream":
      if (video.srcObject !== detail) video.srcObject = detail;
      return void video.play().catch((error) => {
        if (error.name !== "NotAllowedError") return;
        video.muted = true; // browsers (not OBS) block autoplay with sound; muted video may play
        video.play().catch(() => {});
      });
    case "live":
      live = true;
      settled();
      return say("");
    case "ended":
      live = false;
      return void delete document.body.dataset.shown;
    case "lost":
    case "waiting":
      return amiss(detail);
    case "failed":
      settled();
      return failed(detail);
  }
}

function amiss(error) {
  outage ??= setTimeout(() => say(explain(error)), UNTOLD_MS);
}

function settled() {
  clearTimeout(outage);
  outage = null;
}

const WITHOUT = "or use avatar mic, avatar camera --output or speech=1 instead.";

function failed(error) {
  switch (error.name) {
    case "NotAllowedError":
      return say(
        "obsstudio" in window
          ? `OBS gives pages no microphone: start it with --enable-media-stream, ${WITHOUT}`
          : `The microphone is not allowed. In OBS: start it with --enable-media-stream, ${WITHOUT}`,
      );
    case "NotFoundError":
    case "NotReadableError":
      say(`${explain(error).split(".")[0]}; it is asked for again, ${WITHOUT}`);
      return void setTimeout(() => call.start(), MICROPHONE_MS);
    default:
      return say(window.isSecureContext || pushed() ? explain(error) : `${error.message} Or ${WITHOUT.slice(3)}`);
  }
}

// ---- page

async function begin() {
  document.body.dataset.fit = asked.get("fit") ?? "contain";
  video.muted = (asked.get("sound") ?? (pushed() ? "1" : "0")) === "0"; // default: do not echo the speaker's voice
  overlay(video, element("joined"), () => (call.active ? call.session?.layout : null), seen);
  window.addEventListener("pagehide", () => call.stop());
  await showPortrait();
  call.start();
}

const OLD = "This browser is too old for this page; OBS 30 or newer is not.";
const wrong = "requestVideoFrameCallback" in video ? mistake() : OLD;
if (wrong) say(wrong);
else begin().catch((error) => say(explain(error)));
