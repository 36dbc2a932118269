// Plays sounds into a stream, and nowhere else: whoever sends the stream says them.

export class Player {
  constructor() {
    this.context = new AudioContext({ sampleRate: 48_000 });
    this.outlet = this.context.createMediaStreamDestination();
    this.source = null;
  }

  get stream() {
    return this.outlet.stream;
  }

  /** Play a sound file's bytes; the promise is kept when it has ended or another has taken its place. */
  async play(bytes) {
    await this.context.resume();
    const buffer = await this.context.decodeAudioData(bytes);
    this.stop();
    const source = new AudioBufferSourceNode(this.context, { buffer });
    source.connect(this.outlet);
    this.source = source;
    await new Promise((done) => {
      source.addEventListener("ended", done, { once: true });
      source.start();
    });
    if (this.source === source) this.source = null;
  }

  stop() {
    this.source?.stop();
    this.source = null;
  }

  close() {
    this.stop();
    this.context.close();
  }
}
