// Joins colour and alpha, as WebRTC carries no alpha: pictures are twice as wide, colour on the left, alpha on the
// right as grey. Uses WebGL 2 on the GPU, or the CPU in browsers without it (OBS without hardware acceleration).

// Grey below CLEAR is transparent and above SOLID opaque: otherwise VP8's noise makes the background shimmer.
const CLEAR = 12 / 255;
const SOLID = 243 / 255;

const VERTEX = `#version 300 es
void main() { // one triangle that covers everything
  gl_Position = vec4(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0, 0.0, 1.0);
}`;

// texelFetch, so that nothing is filtered across the seam between the halves. The ITU-R BT.601 sum restores the grey
// that was sent even where the neighbouring colour has bled into its chroma.
const FRAGMENT = `#version 300 es
precision highp float;
uniform sampler2D both;
uniform ivec2 size;
out vec4 joined;
void main() {
  ivec2 at = ivec2(int(gl_FragCoord.x), size.y - 1 - int(gl_FragCoord.y));
  float grey = dot(texelFetch(both, at + ivec2(size.x, 0), 0).rgb, vec3(0.299, 0.587, 0.114));
  float alpha = clamp((grey - ${CLEAR.toFixed(4)}) / ${(SOLID - CLEAR).toFixed(4)}, 0.0, 1.0);
  joined = vec4(texelFetch(both, at, 0).rgb * alpha, alpha); // premultiplied
}`;

/** Paints a video's joined pictures on `canvas`. `kind`: "webgl2" or "2d"; `draw` paints the current picture. */
export class Joiner {
  constructor(canvas) {
    this.canvas = canvas;
    this.painter = webgl(canvas) ?? plain(canvas);
    canvas.addEventListener("webglcontextlost", () => this.#withoutCard(), { once: true });
  }

  get kind() {
    return this.painter.kind;
  }

  draw(video) {
    const [width, height] = [video.videoWidth >> 1, video.videoHeight];
    if (!width || !height) return;
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    this.painter.paint(video, width, height);
  }

  /** Switch to the CPU after the GPU's context was lost, on a new canvas: a canvas keeps its kind of context. */
  #withoutCard() {
    const fresh = this.canvas.cloneNode();
    this.canvas.replaceWith(fresh);
    this.canvas = fresh;
    this.painter = plain(fresh);
  }
}

function webgl(canvas) {
  const gl = canvas.getContext("webgl2", { alpha: true, antialias: false, depth: false, premultipliedAlpha: true });
  if (!gl) return null;
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  gl.useProgram(program);
  const size = gl.getUniformLocation(program, "size");
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, gl.NEAREST);
  for (const name of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, name, gl.CLAMP_TO_EDGE);
  const paint = (video, width, height) => {
    gl.viewport(0, 0, width, height);
    gl.uniform2i(size, width, height);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, video);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  };
  return { kind: "webgl2", paint };
}

function plain(canvas) {
  const pen = canvas.getContext("2d");
  const both = document.createElement("canvas");
  const reader = both.getContext("2d", { willReadFrequently: true });
  const alphas = Uint8ClampedArray.from({ length: 256 }, (_, grey) => (255 * (grey / 255 - CLEAR)) / (SOLID - CLEAR));
  const paint = (video, width, height) => {
    if (both.width !== 2 * width || both.height !== height) Object.assign(both, { width: 2 * width, height });
    reader.drawImage(video, 0, 0);
    const picture = reader.getImageData(0, 0, width, height);
    const grey = reader.getImageData(width, 0, width, height).data;
    for (let i = 0; i < grey.length; i += 4) {
      picture.data[i + 3] = alphas[(77 * grey[i] + 150 * grey[i + 1] + 29 * grey[i + 2]) >> 8];
    }
    pen.putImageData(picture, 0, 0);
  };
  return { kind: "2d", paint };
}
