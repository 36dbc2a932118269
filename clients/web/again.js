// Loads a page again of which a part did not come: a network that changes meanwhile breaks off what is on its way, and a
// module that misses another one does nothing, for ever. No module itself, so that it is there before all of them.

(() => {
  const NAME = "loaded-again";
  const MOST = 5;
  const WAIT_MS = 1_000; // before the first; each further one waits as much longer
  let times = 0;
  try {
    times = Number(sessionStorage.getItem(NAME));
  } catch {
    return; // a page that may keep nothing does not know how often it has been loaded
  }
  let whole = true;

  const again = (event) => {
    if (!(event.target instanceof HTMLScriptElement) || !whole) return;
    whole = false;
    if (times >= MOST) return;
    sessionStorage.setItem(NAME, times + 1);
    setTimeout(() => location.reload(), WAIT_MS * (times + 1));
  };
  window.addEventListener("error", again, true); // such errors do not bubble
  window.addEventListener("load", () => whole && sessionStorage.removeItem(NAME)); // after all modules
})();
