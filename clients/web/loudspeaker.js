// How loud a video is, and what a browser lets it play.

/** As loud as the element's attributes say; what nobody hears is not even decoded. */
export function adjust(view, video) {
  const volume = Number(view.getAttribute("volume") ?? 1);
  video.volume = Math.min(1, Math.max(0, volume || 0));
  video.muted = view.hasAttribute("muted") || video.volume === 0;
}

/** Browsers play sound only where the visitor has clicked; else it is mute until then, and `blocked()` is called. */
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
