// Plotly keeps a promise for a film that is played. Stopping the film, or jumping to another moment, breaks it with
// no reason given, and Plotly's own buttons leave that unhandled: the console would call it an error.
function forgive(broken) {
  if (broken.reason === undefined) broken.preventDefault();
}

// Plotly's buttons are drawings: here they are buttons for a keyboard and for whoever hears the page, too.
function name({ play, pause }) {
  document.querySelectorAll(".updatemenu-button:not([role])").forEach((button, place) => {
    button.setAttribute("role", "button");
    button.setAttribute("tabindex", "0");
    button.setAttribute("aria-label", place ? pause : play);
  });
}

function press(key) {
  if (!["Enter", " "].includes(key.key) || !key.target.matches?.(".updatemenu-button")) return;
  key.preventDefault();
  key.target.dispatchEvent(new MouseEvent("click", { bubbles: true }));
}

export default function ({ data }) {
  const watcher = new MutationObserver(() => name(data));
  watcher.observe(document.body, { childList: true, subtree: true });
  name(data);
  window.addEventListener("unhandledrejection", forgive);
  window.addEventListener("keydown", press);
  return () => {
    watcher.disconnect();
    window.removeEventListener("unhandledrejection", forgive);
    window.removeEventListener("keydown", press);
  };
}
