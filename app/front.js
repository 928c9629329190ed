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
