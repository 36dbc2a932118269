// Gives a measurement the page's microphone and what comes back. The blocks' peaks (of microphone and sound) and the
// mouths are kept with the audio clock's time in seconds; a picture's moment is translated to it by the smallest
// difference there was between that clock and the page's when a block was handed over.
(() => {
  const BLOCK = 256; // samples
  const Peer = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Peer {
    constructor(...options) {
      super(...options);
      window.peer = this;
    }
  };
  let sound = null; // bytes of a WAV file that the microphone repeats; null for the browser's own
  window.hear = (base64) => {
    sound = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0)).buffer;
  };
  const repeated = async () => {
    const context = new AudioContext();
    const source = new AudioBufferSourceNode(context, { buffer: await context.decodeAudioData(sound), loop: true });
    const end = context.createMediaStreamDestination();
    source.connect(end);
    source.start();
    return end.stream;
  };
  const ask = navigator.mediaDevices?.getUserMedia.bind(navigator.mediaDevices);
  if (ask) {
    navigator.mediaDevices.getUserMedia = async (wish) =>
      (window.microphone = sound && wish.audio ? await repeated() : await ask(wish));
  }
  const received = async () => {
    const found = { packets: 0, lost: 0, samples: 0, concealed: 0 };
    for (const stat of (await window.peer.getStats()).values()) {
      if (stat.type !== "inbound-rtp" || stat.kind !== "audio") continue;
      found.packets = stat.packetsReceived;
      found.lost = stat.packetsLost;
      found.samples = stat.totalSamplesReceived ?? 0;
      found.concealed = (stat.concealedSamples ?? 0) - (stat.silentConcealedSamples ?? 0);
    }
    return { ...found, moment: performance.now() / 1000 };
  };
  const peak = (samples) => samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
  window.measured = { blocks: [], pictures: [], offset: Infinity };
  window.measure = async (side) => {
    const { video } = document.getElementById("avatar");
    const context = new AudioContext();
    const both = context.createChannelMerger(2);
    const back = new MediaStream(video.srcObject.getAudioTracks());
    context.createMediaStreamSource(window.microphone).connect(both, 0, 0);
    context.createMediaStreamSource(back).connect(both, 0, 1);
    const node = context.createScriptProcessor(BLOCK, 2, 1); // a worklet's module would have to come from the server
    both.connect(node).connect(context.destination);
    window.meter = { context, node }; // else Firefox lets go of it
    node.onaudioprocess = ({ inputBuffer, playbackTime }) => {
      const [spoken, heard] = [inputBuffer.getChannelData(0), inputBuffer.getChannelData(1)];
      measured.blocks.push([playbackTime, peak(spoken), peak(heard)]);
      measured.offset = Math.min(measured.offset, performance.now() / 1000 - context.currentTime);
    };
    context.resume();
    const pen = new OffscreenCanvas(side, side).getContext("2d", { willReadFrequently: true });
    const look = (now) => {
      const [w, h] = [video.videoWidth, video.videoHeight];
      pen.drawImage(video, 0.3 * w, 0.62 * h, 0.4 * w, 0.26 * h, 0, 0, side, side);
      const pixels = pen.getImageData(0, 0, side, side).data;
      measured.pictures.push([now / 1000, Array.from({ length: side * side }, (_, i) => pixels[4 * i + 1])]);
      video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);
    measured.begin = await received();
  };
  window.finished = async () => {
    measured.end = await received();
    return measured;
  };
})();
