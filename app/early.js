// Starts what pictures are drawn with while the server still reads the run. Where this fails, the first picture does it.
export default function ({ data }) {
  const app = document.querySelector('script[type="module"][src*="/static/js/index."]');
  if (app) import(new URL(data, app.src)).catch(() => {});
}
