// Requests to the server: addresses that also work behind a path prefix, timeouts, and errors in words.

/** Return the address for a path of the server ("/session/…"), also if a proxy serves the page under a prefix. */
export function at(path, server = document.baseURI) {
  return new URL(path.replace(/^\//, "./"), server);
}

/** Return the result of `ask(signal)`; throws a TimeoutError after `milliseconds`, and aborts when `outer` does. */
export async function within(milliseconds, outer, ask) {
  const aborter = new AbortController();
  let late = false;
  const timer = setTimeout(() => aborter.abort((late = true)), milliseconds);
  outer?.addEventListener("abort", () => aborter.abort(), { once: true });
  try {
    return await ask(aborter.signal);
  } catch (error) {
    throw late ? new DOMException("The server did not answer in time.", "TimeoutError") : error;
  } finally {
    clearTimeout(timer);
  }
}

/** Return an Error with the text of the server's response, if it has any; `wait`: its Retry-After in ms, or 0. */
export async function refusal(response) {
  const text = (await response.text()).trim();
  const error = new Error(text && text.length < 300 ? text : `The server answered ${response.status}.`);
  const wait = 1000 * Math.min(60, Number(response.headers.get("Retry-After")) || 0);
  return Object.assign(error, { status: response.status, wait, faces: Number(response.headers.get("Avatar-Faces")) });
}

/** Return whether the server is full or not ready, so that waiting helps. */
export function isFull(error) {
  return error.status === 503 || error.status === 429;
}

/** Return whether the error may be temporary: the server is busy, loading, restarting or unreachable. */
export function passes(error) {
  const { name, status } = error;
  return name === "TypeError" || name === "TimeoutError" || status >= 500 || status === 429 || status === 408;
}

export function explain(error) {
  switch (error.name) {
    case "NotAllowedError":
      return "The microphone was not allowed. Allow it in the address bar, then start again.";
    case "NotFoundError":
      return "No microphone was found. Plug one in and start again, or try it with a sample.";
    case "NotReadableError":
      return "Another program holds the microphone.";
    case "OverconstrainedError":
      return "The chosen microphone is not there. Choose another.";
    case "TimeoutError":
      return "The server did not answer in time.";
    case "TypeError":
      return "The server cannot be reached. Is it running?";
    default:
      return error.message;
  }
}

/** Return the text with a capital and a full stop. */
export function sentence(text) {
  return `${text[0].toUpperCase()}${text.slice(1).replace(/\.$/, "")}.`;
}
