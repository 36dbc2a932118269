// Attributes of <avatar-view> that a live session follows, as messages of its control channel.

/** A background as the server takes it: #rrggbb without its mark. */
export const ground = (value) => value?.replace(/^#/, "") ?? null;

const feeling = (value, view) => {
  const [emotion, intensity] = [view.getAttribute("emotion"), Number(view.getAttribute("intensity") ?? 1)];
  return emotion && { type: "emotion", value: emotion, intensity };
};
const MESSAGES = {
  avatar: (name) => ({ type: "avatar", name }),
  background: (value) => ({ type: "background", value: ground(value) }),
  size: (value) => ({ type: "size", value: Number(value) }),
  energy: (value) => ({ type: "energy", value: Number(value) }),
  emotion: feeling,
  intensity: feeling,
};

/** The messages for changed attributes; null where one can only be had by another call. `can`: what the face takes. */
export function steering(view, changed, can) {
  const messages = changed.map((name) => view.getAttribute(name) && MESSAGES[name]?.(view.getAttribute(name), view));
  return messages.every((message) => message && can.includes(message.type)) ? messages : null;
}
