// Whether anything comes by a connection. Browsers take half a minute to notice that a server has gone; sound comes 50
// times a second, silence too.

export class Pulse {
  #peer;
  #sign = ""; // another one whenever something was shown or played since: cheap, and enough while all is well
  #packets = null;
  #heard = performance.now();

  constructor(peer) {
    this.#peer = peer;
  }

  /** Look, several times a second: milliseconds for which no packet has come. */
  async quiet() {
    const sign = this.#peer
      .getReceivers()
      .flatMap((receiver) => receiver.getSynchronizationSources?.() ?? [])
      .map(({ timestamp }) => timestamp)
      .join(" ");
    if (sign !== this.#sign) {
      [this.#sign, this.#packets, this.#heard] = [sign, null, performance.now()];
      return 0;
    }
    const { packets } = summary(await this.#peer.getStats()); // a page that plays nothing receives nonetheless
    if (this.#packets !== null && packets !== this.#packets) this.#heard = performance.now();
    this.#packets = packets;
    return performance.now() - this.#heard;
  }
}

/** What a page tells of a connection, from the standard statistics. */
export function summary(report) {
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
