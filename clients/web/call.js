// One conversation with the server: a voice up, the avatar down, over as many WebRTC connections as it takes.
// Kept to what Chromium 103 knows (OBS 30 has it): no AbortSignal.any, no :has.

import { ask, token } from "./access.js";
import { Pulse, summary } from "./pulse.js";
import { at, isFull, passes, refusal, within } from "./server.js";

const CONNECT_TIMEOUT_MS = 20_000;
const ICE_TIMEOUT_MS = 3_000;
const GATHER_TIMEOUT_MS = 2_000;
const GOODBYE_TIMEOUT_MS = 2_000;
const DEAD_TIMEOUT_MS = 500; // of a goodbye to a server that does not answer
const AGAIN_MS = 200; // at most, before the first call again where the session is known to be gone ...
const LONG_MS = 5_000; // ... after it was live for so long
const RETRY_MS = 1_000; // before the first; each further one waits twice as long ...
const SOON_MS = 4_000; // ... up to this, and after a minute ...
const MANY_RETRIES = 15;
const LATER_MS = 10_000; // ... this
const IN_LINE_MS = 3_000; // between two tries to be let in, where the server does not say
const READOUT_MS = 1_000;
const LOOK_MS = 250; // between two looks at whether anything has come
const QUIET_MS = 500; // without a packet: the session's address is asked, at once
const DEAD_MS = 2_500; // and it does not answer: the session is lost
const SILENT_MS = 3_000; // whatever it answers
const LOST = "The connection was lost.";
const NEVER = "The server answers, but no call comes about: a firewall or a VPN may block UDP between you.";
const NOT_FOUND = 404; // of a session that has ended, or whose worker has died
const GONE = 410; // of a session that another page's call has replaced

/**
 * `query` (a function): what POST /session is asked for, as URLSearchParams. `voice` (a function): the promise of the
 * stream that is sent, or null where a program speaks. `always`: it also calls again when it was never connected. `server`:
 * its address, with a slash at the end; if left out, the page's own. `token` (a function): an access token, likewise.
 * `pictures`: whether the face is to be seen. `control`: whether there is a data channel for it.
 *
 * `on(event, detail)` hears what happens:
 *   asking, voice (stream), connecting, waiting (error: there is no room; it comes in by itself), stream (of the avatar),
 *   live, weak (it may recover), report ({ before, now }: two summaries, a second apart),
 *   lost (error; it calls again, for ever), ended (nothing is held any more), failed (error; it does not call again).
 */
export class Call {
  constructor({ query, voice, always = false, on, server, token: held = token, pictures = true, control = false }) {
    Object.assign(this, { query, voice, always, on, server, token: held, pictures, control });
    this.ticket = ticket(); // keeps its turn where others wait, too
    this.losses = 0; // since it was live last
    this.attempt = null; // the connection under way; all that it started ends with it
    for (const sign of ["online", "focus"]) window.addEventListener(sign, () => this.attempt?.hurry?.());
  }

  get active() {
    return this.attempt !== null;
  }

  /** Where the session is, ms from a sample's arrival to its being sent back, how its pictures are laid out, and the data
   * channel of its control protocol, where the server takes one. */
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

  /** Speak through another track from now on; which of two tracks is heard is the caller's to know. */
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

  /** Connect, as soon as there is room. */
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
    if (peer.sctp) mine.session.channel = channel; // the server takes it
    const [{ transport }] = peer.getReceivers(); // of all media; it tells of a server's goodbye seconds before the peer
    transport?.addEventListener("statechange", () => {
      if (this.attempt === mine && transport.state === "closed") this.#lost(mine, new Error(LOST), { gone: true });
    });
    mine.timer = setTimeout(() => this.#never(mine), CONNECT_TIMEOUT_MS);
  }

  /** TURN servers, for networks that let no UDP through; none where the server names none. */
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

  /** How it goes: `told` by the session's address, which is `quiet` for so many ms. */
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

  /** `gone`: the session has ended, and there is no reason to wait. `dead`: its server does not answer. */
  async #lost(mine, error, { gone = false, dead = false } = {}) {
    if (mine.aborter.signal.aborted) return; // two ways of noticing the same
    const soon = Math.min(RETRY_MS * 2 ** this.losses, SOON_MS);
    const long = this.losses === 0 && performance.now() - mine.since > LONG_MS;
    const wait = gone && long ? AGAIN_MS * Math.random() : this.losses < MANY_RETRIES ? soon : LATER_MS;
    this.losses += 1;
    this.on("lost", Object.assign(error, { wait }));
    const status = await this.#release(mine, dead ? DEAD_TIMEOUT_MS : GOODBYE_TIMEOUT_MS);
    if (this.attempt !== mine) return;
    if (status === GONE) return this.#fail(mine, new Error("Another page has taken this one's place."));
    await this.#pause(mine, status === undefined ? Math.max(wait, soon) : wait); // it may have been replaced
    if (this.attempt === mine) this.#begin();
  }

  /** Time passes, less of it when somebody looks at the page or the network comes back. */
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

  /** Let go of everything; the status of the goodbye, where one was answered. */
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

/** The goodbye goes first: a server that sees the connection close has ended the session before it is asked to. */
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

/** How it goes, by the server's own counts; null where the session is no more, undefined where it does not say. */
async function report({ session, aborter }) {
  try {
    const look = (signal) => ask(session.location, { signal, token: session.token });
    const response = await within(READOUT_MS, aborter.signal, look);
    return response.ok ? await response.json() : response.status === NOT_FOUND ? null : undefined;
  } catch {
    return undefined;
  }
}
