// Volume of a video, and playing it under the browser's autoplay rules.

/** Set the volume from the element's attributes; at volume 0 the video is muted, so that its sound is not decoded. */
export function adjust(view, video) {
  const volume = Number(view.getAttribute("volume") ?? 1);
  video.volume = Math.min(1, Math.max(0, volume || 0));
  video.muted = view.hasAttribute("muted") || video.volume === 0;
}

/** Play the video. Browsers block sound until the visitor clicks: then mute it until a click and call `blocked()`. */
export async function play(view, video, blocked) {
  try {
    await video.play();
  } catch (error) {
    if (error.name !== "NotAllowedError") return;
    video.muted = true;
    blocked();
    window.addEventListener("pointerdown", () => adjust(view, video), { once: true });
    await video.play().catch(() => undefined);
  }
}
