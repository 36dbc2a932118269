// One page, one conversation: microphone up, avatar down, over one WebRTC connection.

const CONNECT_TIMEOUT_MS = 20_000;
const GATHER_TIMEOUT_MS = 2_000;
const GOODBYE_TIMEOUT_MS = 2_000;
const RETRIES = 4;
const RETRY_MS = 1_000; // before the first; each further one waits twice as long
const READOUT_MS = 1_000;
const PUSHED = new URLSearchParams(window.location.search).get("speech") === "1"; // a program speaks: no microphone
const SILENT_READOUTS = 3; // without a packet: browsers take half a minute to notice that a server has gone

const element = (id) => document.getElementById(id);
const video = element("avatar");
const button = element("start");

/** The conversation under way, or null. Each has an AbortController: everything it started ends with it. */
let call = null;

function show(state, text) {
  document.body.dataset.state = state;
  element("status").textContent = text;
  button.textContent = state === "live" || state === "connecting" ? "Stop" : PUSHED ? "Start" : "Start talking";
}

// ---- avatars

/** Who there is; a server that is still loading its engines (503) is asked again. */
async function loadAvatars() {
  let response;
  while ((response = await fetch("/avatars", { signal: AbortSignal.timeout(10_000) })).status === 503) {
    show("loading", "The engines are loading …");
    await new Promise((done) => setTimeout(done, RETRY_MS));
  }
  if (!response.ok) throw new Error(await reason(response));
  const { avatars } = await response.json();
  for (const avatar of avatars) element("faces").append(face(avatar));
  choose(avatars.find((avatar) => avatar.default) ?? avatars[0]);
}

function face(avatar) {
  const label = document.createElement("label");
  const input = Object.assign(document.createElement("input"), { type: "radio", name: "face", value: avatar.name });
  input.checked = avatar.default;
  input.addEventListener("change", () => {
    choose(avatar);
    if (call) restart();
  });
  const picture = Object.assign(document.createElement("img"), { src: avatar.picture, alt: avatar.description });
  label.append(input, picture, avatar.title);
  return label;
}

function choose(avatar) {
  element("portrait").src = avatar.picture;
  element("portrait").alt = avatar.description;
}

function chosen() {
  return document.querySelector("#faces input:checked")?.value ?? "";
}

// ---- a call

async function start(retriesLeft = RETRIES) {
  const mine = { aborter: new AbortController(), location: null, retriesLeft };
  call = mine;
  show("connecting", PUSHED ? "Connecting …" : "Asking for the microphone …");
  try {
    if (!PUSHED) mine.microphone = await microphone();
    if (call !== mine) return release(mine);
    show("connecting", "Connecting …");
    if (!PUSHED) watchLevel(mine);
    await connect(mine);
  } catch (error) {
    if (call !== mine) return;
    if (retriesLeft < RETRIES && (error.busy || error.name === "TypeError")) lost(mine);
    else fail(mine, explain(error));
  }
}

async function microphone() {
  if (!window.isSecureContext || !navigator.mediaDevices) {
    throw new Error("Browsers give the microphone to secure pages only: use http://localhost or https.");
  }
  const processing = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
  return navigator.mediaDevices.getUserMedia({ audio: processing });
}

async function connect(mine) {
  const peer = new RTCPeerConnection();
  mine.peer = peer;
  const received = new MediaStream();
  if (PUSHED) peer.addTransceiver("audio", { direction: "recvonly" });
  else peer.addTrack(mine.microphone.getAudioTracks()[0], mine.microphone);
  peer.addTransceiver("video", { direction: "recvonly" });
  peer.addEventListener("track", ({ track }) => {
    received.addTrack(track);
    video.srcObject = received;
    video.play().catch(() => {}); // muted video may always play; unmuted follows a click
  });
  peer.addEventListener("connectionstatechange", () => follow(mine));
  await peer.setLocalDescription();
  await gathered(peer);
  const response = await fetch(`/session?avatar=${encodeURIComponent(chosen())}${PUSHED ? "&speech=1" : ""}`, {
    method: "POST",
    headers: { "Content-Type": "application/sdp" },
    body: peer.localDescription.sdp,
    signal: AbortSignal.any([mine.aborter.signal, AbortSignal.timeout(CONNECT_TIMEOUT_MS)]),
  });
  if (response.status !== 201) throw Object.assign(new Error(await reason(response)), { busy: response.status === 503 });
  mine.location = response.headers.get("Location");
  mine.delay = Number(response.headers.get("Avatar-Delay"));
  const sdp = await response.text();
  if (call !== mine) return release(mine);
  await peer.setRemoteDescription({ type: "answer", sdp });
  mine.timer = setTimeout(() => fail(mine, "No connection came about."), CONNECT_TIMEOUT_MS);
}

function gathered(peer) {
  if (peer.iceGatheringState === "complete") return undefined;
  return new Promise((done) => {
    setTimeout(done, GATHER_TIMEOUT_MS);
    peer.addEventListener("icegatheringstatechange", () => peer.iceGatheringState === "complete" && done());
  });
}

function follow(mine) {
  if (call !== mine) return;
  const state = mine.peer.connectionState;
  if (state === "connected") {
    clearTimeout(mine.timer);
    mine.retriesLeft = RETRIES;
    show("live", PUSHED ? "Live. A program speaks." : "Live. Say something.");
    if (PUSHED) element("address").textContent = `Speech for it goes to ${new URL(mine.location, window.location)}`;
    readOut(mine);
  } else if (state === "failed" || state === "closed") {
    lost(mine);
  } else if (state === "disconnected") {
    show("connecting", "The connection is weak …");
  }
}

function lost(mine) {
  if (mine.retriesLeft <= 0) return fail(mine, "The connection was lost.");
  show("connecting", "Connection lost, calling again …");
  release(mine);
  const wait = RETRY_MS * 2 ** (RETRIES - mine.retriesLeft);
  mine.timer = setTimeout(() => call === mine && start(mine.retriesLeft - 1), wait);
}

function stop() {
  const mine = call;
  call = null;
  if (mine) release(mine);
  show("idle", "Ready when you are.");
}

function restart() {
  const mine = call;
  call = null;
  release(mine);
  start();
}

function fail(mine, text) {
  call = null;
  release(mine);
  show("failed", text);
}

function release(mine) {
  clearTimeout(mine.timer);
  if (mine.aborter.signal.aborted) return;
  mine.aborter.abort();
  clearInterval(mine.readout);
  cancelAnimationFrame(mine.drawing);
  mine.context?.close();
  mine.microphone?.getTracks().forEach((track) => track.stop());
  hangUp(mine);
  element("level").style.transform = "scaleX(0)";
  element("latency").textContent = "";
  element("address").textContent = "";
}

/** The goodbye goes first: a server that sees the connection close has ended the session before it is asked to. */
async function hangUp({ location, peer }) {
  const goodbye = { method: "DELETE", keepalive: true, signal: AbortSignal.timeout(GOODBYE_TIMEOUT_MS) };
  if (location) await fetch(location, goodbye).catch(() => {});
  peer?.close();
}

// ---- meters

function watchLevel(mine) {
  mine.context = new AudioContext();
  const analyser = new AnalyserNode(mine.context, { fftSize: 1024 });
  mine.context.createMediaStreamSource(mine.microphone).connect(analyser);
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
function readOut(mine) {
  clearInterval(mine.readout);
  let before = null;
  let silent = 0;
  mine.readout = setInterval(async () => {
    const now = summary(await mine.peer.getStats());
    if (call !== mine) return;
    silent = before?.packets === now.packets ? silent + 1 : 0;
    if (silent >= SILENT_READOUTS) return lost(mine);
    if (before) element("latency").textContent = describe(before, now, mine.delay);
    before = now;
  }, READOUT_MS);
}

function summary(report) {
  const found = { at: performance.now(), frames: 0, packets: 0, roundTrip: 0, buffer: 0, emitted: 0 };
  for (const stat of report.values()) {
    if (stat.type === "inbound-rtp") found.packets += stat.packetsReceived ?? 0;
    if (stat.type === "inbound-rtp" && stat.kind === "video") {
      found.frames = stat.framesDecoded ?? 0;
      found.buffer = stat.jitterBufferDelay ?? 0;
      found.emitted = stat.jitterBufferEmittedCount ?? 0;
    } else if (stat.type === "candidate-pair" && stat.nominated) {
      found.roundTrip = stat.currentRoundTripTime ?? 0;
    }
  }
  return found;
}

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

// ---- words

async function reason(response) {
  const text = (await response.text()).trim();
  return text && text.length < 300 ? text : `The server answered ${response.status}.`;
}

function explain(error) {
  switch (error.name) {
    case "NotAllowedError":
      return "The microphone was not allowed. Allow it in the address bar, then start again.";
    case "NotFoundError":
      return "No microphone was found. Plug one in, then start again.";
    case "NotReadableError":
      return "Another program holds the microphone.";
    case "TimeoutError":
      return "The server did not answer in time.";
    case "TypeError":
      return "The server cannot be reached. Is it running?";
    default:
      return error.message;
  }
}

// ---- page

function setVolume(percent) {
  video.volume = percent / 100;
  video.muted = percent === 0;
}

button.addEventListener("click", () => (call ? stop() : start()));
element("volume").addEventListener("input", ({ target }) => setVolume(Number(target.value)));
if (PUSHED) {
  element("level").parentElement.hidden = true; // of the microphone
  element("volume").value = 100; // nobody hears their own voice
  element("volume-note").textContent = "Speech is pushed by a program; docs/speech.md says how.";
  setVolume(100);
}
window.addEventListener("pagehide", () => call && stop());

try {
  await loadAvatars();
  button.disabled = false;
  show("idle", "Ready when you are.");
} catch (error) {
  show("failed", explain(error));
}
