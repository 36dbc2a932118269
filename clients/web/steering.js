// Control messages for the attributes of <avatar-view> that can be changed in a live session.

/** Return a background in the server's format: rrggbb without the #. */
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

/** Return messages for changed attributes; null if one needs a new call. `can`: message types the face supports. */
export function steering(view, changed, can) {
  const messages = changed.map((name) => view.getAttribute(name) && MESSAGES[name]?.(view.getAttribute(name), view));
  return messages.every((message) => message && can.includes(message.type)) ? messages : null;
}
