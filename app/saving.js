// Saves a picture as an image: what the camera in its corner does, in the format asked for. The chart is told for this
// once and not drawn again, so that what the reader zoomed to is what is saved, and stays.
function save(place, format) {
  const plot = document.querySelector(`.${place} .js-plotly-plot`);
  const asked = plot._context.toImageButtonOptions;
  const usual = asked.format;
  asked.format = format;
  plot.querySelector('.modebar-btn[data-title^="Download"]').click();
  asked.format = usual;
}

export default function ({ data, parentElement }) {
  const buttons = Object.entries(data.labels).map(([format, label]) => {
    const button = document.createElement("button");
    button.textContent = label;
    button.onclick = () => save(data.place, format);
    return button;
  });
  parentElement.querySelector(".images").replaceChildren(...buttons);
}
