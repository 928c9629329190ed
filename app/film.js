// Plotly keeps a promise for a film that is played. Stopping the film, or jumping to another moment, breaks it with
// no reason given, and Plotly's own buttons leave that unhandled: the console would call it an error.
function forgive(broken) {
  if (broken.reason === undefined) broken.preventDefault();
}

export default function () {
  window.addEventListener("unhandledrejection", forgive);
  return () => window.removeEventListener("unhandledrejection", forgive);
}
