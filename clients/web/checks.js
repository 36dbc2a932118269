// Checks of the conditions for a call, made without one: the server, the microphone, UDP, and a TURN server.

import { ask } from "./access.js";
import { at, within } from "./server.js";

const TIMEOUT_MS = 5_000;

/** Each check's subject, and a function that returns [whether it passed (null: unknown), a sentence]. */
const CHECKS = { Server: server, Microphone: microphone, UDP: udp, TURN: turn };

/** Run all checks, adding a line to the list for each; resolves when all have finished. */
export async function check(list) {
  const servers = await iceServers();
  list.replaceChildren();
  await Promise.all(
    Object.entries(CHECKS).map(async ([subject, look]) => {
      const line = list.appendChild(document.createElement("li"));
      line.textContent = `… ${subject}`;
      const [good, text] = await look(servers).catch((error) => [false, error.message]);
      line.dataset.good = good === null ? "unknown" : good;
      line.textContent = `${good === null ? "?" : good ? "✓" : "✗"} ${subject}: ${text}`;
    }),
  );
}

async function server() {
  const begun = performance.now();
  const response = await within(TIMEOUT_MS, null, (signal) => fetch(at("/healthz"), { signal, cache: "no-store" }));
  const text = (await response.text()).trim();
  const took = Math.round(performance.now() - begun);
  return response.ok ? [true, `answers in ${took} ms`] : [false, `is not ready: ${text.slice(0, 100)}`];
}

async function microphone() {
  if (!window.isSecureContext || !navigator.mediaDevices) return [false, "browsers give it to https pages and localhost only"];
  const devices = await navigator.mediaDevices.enumerateDevices();
  if (!devices.some(({ kind }) => kind === "audioinput")) return [false, "none is found; plug one in, or use a clip"];
  const state = await navigator.permissions?.query({ name: "microphone" }).then(({ state }) => state).catch(() => null);
  if (state === "denied") return [false, "not allowed; allow it in the address bar"];
  return [true, state === "granted" ? "allowed" : "there; the browser will ask"];
}

/** Check UDP by requesting a relay over UDP from the TURN server: only an outside server can show it. */
async function udp(servers) {
  if (!servers.length) return [null, "shows when you talk; a network that lets none through gets no face"];
  const urls = servers.flatMap((each) => each.urls).filter((url) => url.startsWith("turn:"));
  const asked = { ...servers[0], urls: urls.map((url) => `${url.split("?")[0]}?transport=udp`) };
  if (!urls.length) return [null, "shows when you talk; TURN takes its place where it must"];
  return (await relay([asked])) ? [true, "gets through"] : [false, "does not get through; TURN takes its place"];
}

async function turn(servers) {
  if (!servers.length) return [null, "this server names none"];
  const found = await relay(servers);
  return found ? [true, `relays, by ${found.relayProtocol ?? "some way"}`] : [false, "does not answer, or refuses"];
}

async function iceServers() {
  try {
    const response = await within(TIMEOUT_MS, null, (signal) => ask(at("/ice"), { signal }));
    return response.ok ? (await response.json()).ice_servers : [];
  } catch {
    return [];
  }
}

/** Return the first relay candidate from these servers; null if none comes in time. */
async function relay(servers) {
  const peer = new RTCPeerConnection({ iceServers: servers, iceTransportPolicy: "relay" });
  try {
    const found = new Promise((done) => {
      peer.addEventListener("icecandidate", ({ candidate }) => {
        if (candidate === null || candidate.candidate) done(candidate);
      });
      setTimeout(() => done(null), TIMEOUT_MS);
    });
    peer.createDataChannel("check");
    await peer.setLocalDescription();
    return await found;
  } finally {
    peer.close();
  }
}
