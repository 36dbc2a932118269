// One call to the server: voice up, avatar down; reconnects with a new WebRTC connection after each loss.
// Limited to the features of Chromium 103 (used by OBS 30): no AbortSignal.any, no :has.

import { ask, token } from "./access.js";
import { Pulse, summary } from "./pulse.js";
import { at, isFull, passes, refusal, within } from "./server.js";

const CONNECT_TIMEOUT_MS = 20_000;
const ICE_TIMEOUT_MS = 3_000;
const GATHER_TIMEOUT_MS = 2_000;
const GOODBYE_TIMEOUT_MS = 2_000;
const DEAD_TIMEOUT_MS = 500; // for the goodbye, if the server does not answer any more
const AGAIN_MS = 200; // longest random wait before the first reconnect if the session is known to have ended ...
const LONG_MS = 5_000; // ... and was live for longer than this
const RETRY_MS = 1_000; // before the first reconnect; doubled for each further one ...
const SOON_MS = 4_000; // ... up to this; after MANY_RETRIES (about a minute) ...
const MANY_RETRIES = 15;
const LATER_MS = 10_000; // ... this
const IN_LINE_MS = 3_000; // between two attempts while the server is full, if it sends no Retry-After
const READOUT_MS = 1_000;
const LOOK_MS = 250; // between two checks for received packets
const QUIET_MS = 500; // without a packet: request the session's report at once
const DEAD_MS = 2_500; // without a packet, and the report does not come: the session is lost
const SILENT_MS = 3_000; // without a packet: the session is lost whatever the report says
const LOST = "The connection was lost.";
const NEVER = "The server answers, but no call comes about: a firewall or a VPN may block UDP between you.";
const NOT_FOUND = 404; // the session has ended, or its worker has died
const GONE = 410; // another page's call has replaced the session

/**
 * `query()` returns the parameters of POST /session, as URLSearchParams. `voice()` returns a promise of the stream to
 * send, or null if a program pushes speech. `always`: reconnect even if the call was never connected. `server`: its
 * address with a trailing slash; default: the page's server. `token()` returns the access token; default: the page's.
 * `pictures`: whether to receive video. `control`: whether to open a data channel for control.
 *
 * `on(event, detail)` is called with:
 *   asking, voice (stream), connecting, waiting (error: the server is full; it retries), stream (the avatar's),
 *   live, weak (it may recover), report ({ before, now }: two summaries, a second apart),
 *   lost (error; it reconnects without limit), ended (all resources released), failed (error; it does not reconnect).
 */
export class Call {
  constructor({ query, voice, always = false, on, server, token: held = token, pictures = true, control = false }) {
    Object.assign(this, { query, voice, always, on, server, token: held, pictures, control });
    this.ticket = ticket(); // keeps its place in the waiting line over several requests
    this.losses = 0; // since it was last live
    this.attempt = null; // the current connection; it owns all resources it opened
    for (const sign of ["online", "focus"]) window.addEventListener(sign, () => this.attempt?.hurry?.());
  }

  get active() {
    return this.attempt !== null;
  }

  /** The session: its address, the server's delay in ms, the layout of its pictures, and its control protocol's data
   * channel, if the server accepted one. */
  get session() {
    return this.attempt?.session;
  }

  start() {
    this.losses = 0;
    this.wasLive = false;
    return this.#begin();
  }

  stop() {
    const mine = this.attempt;
    this.attempt = null;
    if (mine) this.#release(mine);
  }

  /** Send another track from now on; the caller keeps track of which one is sent. */
  speakThrough(track) {
    return this.attempt?.sender?.replaceTrack(track);
  }

  async #begin() {
    const mine = { aborter: new AbortController() };
    this.attempt = mine;
    try {
      const asked = this.voice();
      if (asked) {
        this.on("asking");
        mine.voice = await asked;
        if (this.attempt !== mine) return void this.#release(mine);
        const [track] = mine.voice.getAudioTracks();
        track.addEventListener("ended", () => {
          if (this.attempt === mine) this.#lost(mine, new Error("The microphone has gone."));
        });
        this.on("voice", mine.voice);
      }
      await this.#comeIn(mine);
    } catch (error) {
      if (this.attempt !== mine) return;
      if ((this.wasLive || this.always) && passes(error)) this.#lost(mine, error);
      else this.#fail(mine, error);
    }
  }

  /** Connect; while the server is full, wait and try again. */
  async #comeIn(mine) {
    for (;;) {
      try {
        this.on("connecting");
        return await this.#connect(mine);
      } catch (error) {
        if (this.attempt !== mine || !isFull(error)) throw error;
        mine.peer?.close();
        this.on("waiting", error);
        await this.#pause(mine, error.wait || IN_LINE_MS);
        if (this.attempt !== mine) return undefined;
      }
    }
  }

  async #connect(mine) {
    const peer = new RTCPeerConnection({ iceServers: await this.#iceServers(mine) });
    if (this.attempt !== mine) return peer.close();
    mine.peer = peer;
    const received = new MediaStream();
    if (mine.voice) mine.sender = peer.addTrack(mine.voice.getAudioTracks()[0], mine.voice);
    else peer.addTransceiver("audio", { direction: "recvonly" });
    if (this.pictures) peer.addTransceiver("video", { direction: "recvonly" });
    const channel = this.control ? peer.createDataChannel("control") : null;
    peer.addEventListener("track", ({ track }) => {
      received.addTrack(track);
      if (this.attempt === mine) this.on("stream", received);
    });
    peer.addEventListener("connectionstatechange", () => this.#follow(mine));
    await peer.setLocalDescription();
    await gathered(peer);
    const query = this.query();
    query.set("ticket", this.ticket);
    const response = await within(CONNECT_TIMEOUT_MS, mine.aborter.signal, (signal) =>
      ask(at(`/session?${query}`, this.server), {
        token: this.token(),
        method: "POST",
        headers: { "Content-Type": "application/sdp" },
        body: peer.localDescription.sdp,
        signal,
      }),
    );
    if (response.status !== 201) throw await refusal(response);
    mine.session = {
      location: at(response.headers.get("Location"), this.server),
      delay: Number(response.headers.get("Avatar-Delay")),
      layout: response.headers.get("Avatar-Video"),
      token: this.token(),
    };
    const sdp = await response.text();
    if (this.attempt !== mine) return this.#release(mine);
    await peer.setRemoteDescription({ type: "answer", sdp });
    if (peer.sctp) mine.session.channel = channel; // the server accepted it
    const [{ transport }] = peer.getReceivers(); // of all media; reports the server's goodbye seconds earlier
    transport?.addEventListener("statechange", () => {
      if (this.attempt === mine && transport.state === "closed") this.#lost(mine, new Error(LOST), { gone: true });
    });
    mine.timer = setTimeout(() => this.#never(mine), CONNECT_TIMEOUT_MS);
  }

  /** Return the server's TURN servers, for networks that block UDP; an empty list if it names none. */
  async #iceServers(mine) {
    try {
      const response = await within(ICE_TIMEOUT_MS, mine.aborter.signal, (signal) =>
        ask(at("/ice", this.server), { signal, token: this.token() }),
      );
      return response.ok ? (await response.json()).ice_servers : [];
    } catch {
      return [];
    }
  }

  #follow(mine) {
    if (this.attempt !== mine) return;
    const state = mine.peer.connectionState;
    if (state === "connected") {
      clearTimeout(mine.timer);
      this.losses = 0;
      this.wasLive = true;
      mine.since = performance.now();
      this.on("live");
      this.#readOut(mine);
    } else if (state === "failed" || state === "closed") {
      if (this.wasLive || this.always) this.#lost(mine, new Error(LOST));
      else this.#never(mine);
    } else if (state === "disconnected") {
      this.on("weak");
    }
  }

  #readOut(mine) {
    clearInterval(mine.readout);
    const pulse = new Pulse(mine.peer);
    let [asked, busy] = [performance.now(), false];
    mine.readout = setInterval(async () => {
      if (busy) return;
      busy = true;
      const quiet = await pulse.quiet();
      const due = quiet < QUIET_MS ? READOUT_MS : QUIET_MS;
      if (performance.now() - asked >= due && this.attempt === mine) {
        asked = performance.now();
        const told = await report(mine);
        if (this.attempt === mine && !mine.aborter.signal.aborted) await this.#judge(mine, told, await pulse.quiet());
      }
      busy = false;
    }, LOOK_MS);
  }

  /** Judge the connection by the session's report `told` and by `quiet`, the ms without a packet. */
  async #judge(mine, told, quiet) {
    if (told === null) return this.#lost(mine, new Error(LOST), { gone: true });
    if (quiet >= (told ? SILENT_MS : DEAD_MS)) return this.#lost(mine, new Error(LOST), { dead: true });
    const now = { ...summary(await mine.peer.getStats()), told };
    const { before } = mine;
    if (before && now.at - before.at < READOUT_MS / 2) return undefined;
    mine.before = now;
    if (before && this.attempt === mine) this.on("report", { before, now });
    return undefined;
  }

  #never(mine) {
    const error = new Error(NEVER);
    if (this.wasLive || this.always) this.#lost(mine, error);
    else this.#fail(mine, error);
  }

  /** Release the lost connection and reconnect. `gone`: the session has ended: reconnect soon. `dead`: no answer. */
  async #lost(mine, error, { gone = false, dead = false } = {}) {
    if (mine.aborter.signal.aborted) return; // the same loss was already detected another way
    const soon = Math.min(RETRY_MS * 2 ** this.losses, SOON_MS);
    const long = this.losses === 0 && performance.now() - mine.since > LONG_MS;
    const wait = gone && long ? AGAIN_MS * Math.random() : this.losses < MANY_RETRIES ? soon : LATER_MS;
    this.losses += 1;
    this.on("lost", Object.assign(error, { wait }));
    const status = await this.#release(mine, dead ? DEAD_TIMEOUT_MS : GOODBYE_TIMEOUT_MS);
    if (this.attempt !== mine) return;
    if (status === GONE) return this.#fail(mine, new Error("Another page has taken this one's place."));
    await this.#pause(mine, status === undefined ? Math.max(wait, soon) : wait); // perhaps replaced by another page
    if (this.attempt === mine) this.#begin();
  }

  /** Wait; shortened when the page gets focus or the network comes back. */
  #pause(mine, milliseconds) {
    return new Promise((done) => {
      mine.hurry = done;
      mine.timer = setTimeout(done, milliseconds);
    });
  }

  #fail(mine, error) {
    this.attempt = null;
    this.#release(mine);
    this.on("failed", error);
  }

  /** Release everything; return the HTTP status of the goodbye, if it was answered. */
  async #release(mine, patience = GOODBYE_TIMEOUT_MS) {
    clearTimeout(mine.timer);
    if (mine.aborter.signal.aborted) return undefined;
    mine.aborter.abort();
    clearInterval(mine.readout);
    mine.voice?.getTracks().forEach((track) => track.stop());
    this.on("ended");
    return hangUp(mine, patience);
  }
}

function ticket() {
  return [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** End the session. DELETE goes before closing the peer: otherwise the server would end it before DELETE arrives. */
async function hangUp({ session, peer }, patience) {
  let answer;
  if (session) {
    const { location, token } = session;
    const goodbye = (signal) => ask(location, { method: "DELETE", keepalive: true, signal, token });
    answer = await within(patience, null, goodbye).catch(() => undefined);
  }
  peer?.close();
  return answer?.status;
}

function gathered(peer) {
  if (peer.iceGatheringState === "complete") return undefined;
  return new Promise((done) => {
    setTimeout(done, GATHER_TIMEOUT_MS);
    peer.addEventListener("icegatheringstatechange", () => peer.iceGatheringState === "complete" && done());
  });
}

/** Return the session's counters from the server; null if the session has ended, undefined without an answer. */
async function report({ session, aborter }) {
  try {
    const look = (signal) => ask(session.location, { signal, token: session.token });
    const response = await within(READOUT_MS, aborter.signal, look);
    return response.ok ? await response.json() : response.status === NOT_FOUND ? null : undefined;
  } catch {
    return undefined;
  }
}
