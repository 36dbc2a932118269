// Elements of <avatar-view>: the portrait, and over it the video, or the canvas for a transparent background.

const style = new CSSStyleSheet(); // allowed under a page's content security policy for styles
style.replaceSync(`
  :host { display: inline-block; position: relative; aspect-ratio: 1; overflow: hidden; }
  img, video, canvas { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: cover; }
  video, canvas, :host([state="live"]) .joined { opacity: 0; }
  :host([state="live"]) video:not(.joined), :host([state="live"]) video.joined ~ canvas { opacity: 1; }`);

/** Fill the element's shadow root. */
export function build(root) {
  root.adoptedStyleSheets = [style];
  root.innerHTML = `<img part="portrait" id="portrait" alt="" crossorigin="anonymous"><video part="video" playsinline autoplay aria-label="The avatar"></video><canvas part="video" aria-hidden="true"></canvas>`;
}

/** Show the canvas (`joined`), or the video and portrait. */
export function showJoined(root, joined) {
  for (const part of root.querySelectorAll("img, video")) part.classList.toggle("joined", joined);
}
