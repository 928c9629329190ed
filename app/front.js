// Before Streamlit's own scripts: where its server is, so that it need not try, and the language that the page is in.
window.__streamlit = {
  BACKEND_BASE_URL: new URL("./", location.href).href,
  HOST_CONFIG: { allowedOrigins: [location.origin], useExternalAuthToken: false },
};
{
  const tell = () => {
    const asked = new URLSearchParams(location.search).get("lang") ?? navigator.language;
    document.documentElement.lang = asked.split("-")[0] === "zh" ? "zh" : "en";
  };
  tell();
  window.navigation?.addEventListener("currententrychange", tell); // the reader chose another one
}

// A table is one stop of the key Tab, which would go from cell to cell. On the page Runs it is none: a cell that the
// keyboard comes to is chosen, and would open its run; the menu of runs on every other page does what a click does.
window.addEventListener(
  "keydown",
  (press) => {
    if (press.key !== "Tab") return;
    const tables = document.querySelectorAll('[class*="st-key-table-"] [data-testid="data-grid-canvas"]');
    tables.forEach((table) => (table.tabIndex = -1));
    if (press.target.matches?.('[data-testid="data-grid-canvas"]')) press.stopPropagation();
  },
  true,
);
