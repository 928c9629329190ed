// Asks for the rest of the page when its first picture is on the screen, or when none has come for too long.
const PATIENCE = 10000; // milliseconds

export default function ({ setTriggerValue }) {
  let watcher, timer;
  const leave = () => {
    watcher.disconnect();
    clearTimeout(timer);
  };
  const ask = () => {
    leave();
    setTriggerValue("drawn", true);
  };
  const look = () => {
    if (!document.querySelector(".js-plotly-plot .main-svg")) return;
    watcher.disconnect();
    requestAnimationFrame(() => setTimeout(ask));
  };
  watcher = new MutationObserver(look);
  watcher.observe(document.body, { childList: true, subtree: true });
  timer = setTimeout(ask, PATIENCE);
  look();
  return leave;
}
