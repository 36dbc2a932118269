// One conversation with the server: microphone up, avatar down, over as many WebRTC connections as it takes.
// Kept to what Chromium 103 knows (OBS 30 has it): no AbortSignal.any, no :has.

const CONNECT_TIMEOUT_MS = 20_000;
const GATHER_TIMEOUT_MS = 2_000;
const GOODBYE_TIMEOUT_MS = 2_000;
const RETRY_MS = 1_000; // before the first; each further one waits twice as long ...
const LONGEST_RETRY_MS = 4_000; // ... up to this
const READOUT_MS = 1_000;
const SILENT_READOUTS = 3; // without a packet: browsers take half a minute to notice that a server has gone
const LOST = "The connection was lost.";
const GONE = 410; // of a session that another page's call has replaced

/**
 * `query` (a function): what POST /session is asked for, as URLSearchParams. `pushed`: a program speaks, so that no
 * microphone is asked for. `retries`: how often it calls again when a connection was lost; Infinity: for ever, and at
 * first, too.
 *
 * `on(event, detail)` hears what happens:
 *   asking, microphone (stream), connecting, stream (of the avatar), live, weak (it may recover),
 *   report ({ before, now }: two summaries, a second apart), lost (it calls again), ended (nothing is held any more),
 *   failed (error; it does not call again).
 */
export class Call {
  constructor({ query, pushed, retries, on }) {
    Object.assign(this, { query, pushed, retries, on });
    this.losses = 0; // since it was live last
    this.attempt = null; // the connection under way; all that it started ends with it
  }

  get active() {
    return this.attempt !== null;
  }

  /** Where the session is, ms from a sample's arrival to its being sent back, and how its pictures are laid out. */
  get session() {
    return this.attempt?.session;
  }

  start() {
    this.losses = 0;
    return this.#begin();
  }

  stop() {
    const mine = this.attempt;
    this.attempt = null;
    if (mine) this.#release(mine);
  }

  async #begin() {
    const mine = { aborter: new AbortController() };
    this.attempt = mine;
    try {
      if (!this.pushed) {
        this.on("asking");
        mine.microphone = await microphone();
        if (this.attempt !== mine) return void this.#release(mine);
        const [track] = mine.microphone.getAudioTracks();
        track.addEventListener("ended", () => {
          if (this.attempt === mine) this.#lost(mine, new Error("The microphone has gone."));
        });
        this.on("microphone", mine.microphone);
      }
      this.on("connecting");
      await this.#connect(mine);
    } catch (error) {
      if (this.attempt !== mine) return;
      if ((this.losses > 0 || this.retries === Infinity) && passes(error)) this.#lost(mine, error);
      else this.#fail(mine, error);
    }
  }

  async #connect(mine) {
    const peer = new RTCPeerConnection();
    mine.peer = peer;
    const received = new MediaStream();
    if (this.pushed) peer.addTransceiver("audio", { direction: "recvonly" });
    else peer.addTrack(mine.microphone.getAudioTracks()[0], mine.microphone);
    peer.addTransceiver("video", { direction: "recvonly" });
    peer.addEventListener("track", ({ track }) => {
      received.addTrack(track);
      if (this.attempt === mine) this.on("stream", received);
    });
    peer.addEventListener("connectionstatechange", () => this.#follow(mine));
    await peer.setLocalDescription();
    await gathered(peer);
    const response = await within(CONNECT_TIMEOUT_MS, mine.aborter.signal, (signal) =>
      fetch(`/session?${this.query()}`, {
        method: "POST",
        headers: { "Content-Type": "application/sdp" },
        body: peer.localDescription.sdp,
        signal,
      }),
    );
    if (response.status !== 201) throw await refusal(response);
    mine.session = {
      location: response.headers.get("Location"),
      delay: Number(response.headers.get("Avatar-Delay")),
      layout: response.headers.get("Avatar-Video"),
    };
    const sdp = await response.text();
    if (this.attempt !== mine) return this.#release(mine);
    await peer.setRemoteDescription({ type: "answer", sdp });
    const [{ transport }] = peer.getReceivers(); // of all media; it tells of a server's goodbye seconds before the peer
    transport?.addEventListener("statechange", () => {
      if (this.attempt === mine && transport.state === "closed") this.#lost(mine, new Error(LOST));
    });
    mine.timer = setTimeout(() => this.#never(mine), CONNECT_TIMEOUT_MS);
  }

  #follow(mine) {
    if (this.attempt !== mine) return;
    const state = mine.peer.connectionState;
    if (state === "connected") {
      clearTimeout(mine.timer);
      this.losses = 0;
      this.on("live");
      this.#readOut(mine);
    } else if (state === "failed" || state === "closed") {
      this.#lost(mine, new Error(LOST));
    } else if (state === "disconnected") {
      this.on("weak");
    }
  }

  #readOut(mine) {
    clearInterval(mine.readout);
    let before = null;
    let silent = 0;
    mine.readout = setInterval(async () => {
      const now = summary(await mine.peer.getStats());
      if (this.attempt !== mine || mine.aborter.signal.aborted) return;
      silent = before?.packets === now.packets ? silent + 1 : 0;
      if (silent >= SILENT_READOUTS) return this.#lost(mine, new Error(LOST));
      if (before) this.on("report", { before, now });
      before = now;
    }, READOUT_MS);
  }

  #never(mine) {
    const error = new Error("No connection came about.");
    if (this.retries === Infinity) this.#lost(mine, error);
    else this.#fail(mine, error);
  }

  async #lost(mine, error) {
    if (mine.aborter.signal.aborted) return; // two ways of noticing the same
    if (this.losses >= this.retries) return this.#fail(mine, error);
    this.on("lost", error);
    const status = await this.#release(mine);
    if (this.attempt !== mine) return;
    if (status === GONE) return this.#fail(mine, new Error("Another page has taken this one's place."));
    const wait = Math.min(RETRY_MS * 2 ** this.losses, LONGEST_RETRY_MS);
    this.losses += 1;
    mine.timer = setTimeout(() => this.attempt === mine && this.#begin(), wait);
  }

  #fail(mine, error) {
    this.attempt = null;
    this.#release(mine);
    this.on("failed", error);
  }

  /** Let go of everything; the status of the goodbye, where one was answered. */
  async #release(mine) {
    clearTimeout(mine.timer);
    if (mine.aborter.signal.aborted) return undefined;
    mine.aborter.abort();
    clearInterval(mine.readout);
    mine.microphone?.getTracks().forEach((track) => track.stop());
    this.on("ended");
    return hangUp(mine);
  }
}

/** The goodbye goes first: a server that sees the connection close has ended the session before it is asked to. */
async function hangUp({ session, peer }) {
  let answer;
  if (session) {
    const goodbye = (signal) => fetch(session.location, { method: "DELETE", keepalive: true, signal });
    answer = await within(GOODBYE_TIMEOUT_MS, null, goodbye).catch(() => undefined);
  }
  peer?.close();
  return answer?.status;
}

async function microphone() {
  if (!window.isSecureContext || !navigator.mediaDevices) {
    throw new Error("Browsers give the microphone to secure pages only: use http://localhost or https.");
  }
  const processing = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
  return navigator.mediaDevices.getUserMedia({ audio: processing });
}

function gathered(peer) {
  if (peer.iceGatheringState === "complete") return undefined;
  return new Promise((done) => {
    setTimeout(done, GATHER_TIMEOUT_MS);
    peer.addEventListener("icegatheringstatechange", () => peer.iceGatheringState === "complete" && done());
  });
}

/** What `ask(signal)` gives, unless it takes too long (a TimeoutError) or `outer` is aborted. */
export async function within(milliseconds, outer, ask) {
  const aborter = new AbortController();
  let late = false;
  const timer = setTimeout(() => aborter.abort((late = true)), milliseconds);
  outer?.addEventListener("abort", () => aborter.abort(), { once: true });
  try {
    return await ask(aborter.signal);
  } catch (error) {
    throw late ? new DOMException("The server did not answer in time.", "TimeoutError") : error;
  } finally {
    clearTimeout(timer);
  }
}

// ---- what went wrong

/** The server's own words, where it has some. */
export async function refusal(response) {
  const text = (await response.text()).trim();
  const error = new Error(text && text.length < 300 ? text : `The server answered ${response.status}.`);
  return Object.assign(error, { status: response.status });
}

/** Whether it may be different in a moment: the server is busy, loading, restarting or out of reach. */
export function passes(error) {
  return error.name === "TypeError" || error.name === "TimeoutError" || error.status >= 500 || error.status === 408;
}

export function explain(error) {
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
