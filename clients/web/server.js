// Asking the server: addresses that also work behind a path prefix, time-outs, and what went wrong in words.

/** An address of the server's, from the path that it tells ("/session/…"), wherever a proxy has put the page. */
export function at(path, server = document.baseURI) {
  return new URL(path.replace(/^\//, "./"), server);
}

/** What `ask(signal)` gives, unless it takes too long (a TimeoutError) or `outer` is aborted. */
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

/** The server's own words, where it has some; `wait`: the ms after which it wants to be asked again, 0 if it says none. */
export async function refusal(response) {
  const text = (await response.text()).trim();
  const error = new Error(text && text.length < 300 ? text : `The server answered ${response.status}.`);
  const wait = 1000 * Math.min(60, Number(response.headers.get("Retry-After")) || 0);
  return Object.assign(error, { status: response.status, wait, faces: Number(response.headers.get("Avatar-Faces")) });
}

/** Whether the server has no room, or is not ready: whoever waits comes in. */
export function isFull(error) {
  return error.status === 503 || error.status === 429;
}

/** Whether it may be different in a moment: the server is busy, loading, restarting or out of reach. */
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

/** Somebody's words as a sentence. */
export function sentence(text) {
  return `${text[0].toUpperCase()}${text.slice(1).replace(/\.$/, "")}.`;
}
