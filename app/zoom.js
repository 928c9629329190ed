// Brings back what the reader zoomed to: of a picture that has grown Streamlit makes another chart. Plotly takes a new
// chart there by the button that resets its axes, told for this once where they begin and end.
const RESET = '.modebar-btn[data-title="Reset axes"]';
const SETTLING = 1500; // milliseconds in which a new chart may be drawn more than once
const kept = new Map(); // the name of a picture: its view, and the ranges by axis
const known = new WeakSet();
let view; // what is looked at: another statistic or layer is another picture

const axes = (plot) => Object.values(plot._fullLayout ?? {}).filter((one) => one?._id?.match(/^[xy]\d*$/) && one.range);
const nameOf = (plot) => plot.closest('[class*="st-key-"]').className.match(/st-key-\S+/)[0];
const ends = (range) => [Math.min(...range), Math.max(...range)];
const isWhole = (axis) => axis.autorange || String(axis.range) === String([axis._rangeInitial0, axis._rangeInitial1]);

function note(plot) {
  const zoomed = axes(plot).filter((axis) => !isWhole(axis)).map((axis) => [axis._id, [...axis.range]]);
  kept.set(nameOf(plot), { view, zoomed: new Map(zoomed) });
}

// Windows that have left the picture are nothing to look at.
function isThere(axis, range) {
  const [low, high] = ends(range);
  const [first, last] = ends(axis.range);
  return axis._id[0] === "x" ? first <= low && high <= last : low < last && first < high;
}

function restore(plot) {
  const before = kept.get(nameOf(plot));
  const button = plot.querySelector(RESET);
  if (before?.view !== view || !before.zoomed.size || !button || !axes(plot).every(isWhole)) return;
  const zoomed = axes(plot).filter((axis) => before.zoomed.has(axis._id));
  if (!zoomed.every((axis) => isThere(axis, before.zoomed.get(axis._id)))) return;
  const begins = zoomed.map((axis) => [axis._id, axis._rangeInitial0, axis._rangeInitial1]);
  for (const axis of zoomed) [axis._rangeInitial0, axis._rangeInitial1] = before.zoomed.get(axis._id);
  button.click();
  for (const [id, first, last] of begins) {
    const axis = axes(plot).find((one) => one._id === id);
    [axis._rangeInitial0, axis._rangeInitial1] = [first, last];
  }
}

function meet(plot) {
  const until = performance.now() + SETTLING;
  const again = () => plot.isConnected && performance.now() < until && restore(plot);
  const forget = () => kept.delete(nameOf(plot));
  plot.on("plotly_afterplot", again);
  plot.on("plotly_doubleclick", forget);
  plot.on("plotly_relayout", (changed) => Object.keys(changed).some((key) => key.includes("range")) && note(plot));
  plot.addEventListener("click", (click) => click.isTrusted && click.target.closest(RESET) && forget(), true);
  again();
}

export default function ({ data }) {
  view = data.view;
  const look = () =>
    document.querySelectorAll(".js-plotly-plot").forEach((plot) => {
      if (known.has(plot) || !plot.on) return;
      known.add(plot);
      meet(plot);
    });
  const watcher = new MutationObserver(look);
  watcher.observe(document.body, { childList: true, subtree: true });
  look();
  return () => watcher.disconnect();
}
