// Plays sounds into a media stream, to be sent in a call; they are not heard on this machine.

export class Player {
  constructor() {
    this.context = new AudioContext({ sampleRate: 48_000 });
    this.outlet = this.context.createMediaStreamDestination();
    this.source = null;
  }

  get stream() {
    return this.outlet.stream;
  }

  /** Play a sound file's bytes; resolves when it has ended or another sound has replaced it. */
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
