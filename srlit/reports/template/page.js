"use strict";
document.documentElement.classList.add("scripted");

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

// -- pictures: two images under a divider; all images of a photo share one zoom -------------------

function viewer(figure) {
  const stage = figure.querySelector(".stage");
  const under = stage.querySelector(".under");
  const over = stage.querySelector(".over");
  const range = figure.querySelector("input[type=range]");
  const shown = figure.querySelector(".zoom output");
  const sources = [...figure.querySelectorAll(".frame img")];
  const frames = [stage, ...figure.querySelectorAll(".frame")];
  const view = { zoom: 1, x: 0, y: 0 }; // x and y: what is at the left and top, as fractions

  const holder = document.createElement("div");
  holder.className = "over-holder";
  over.replaceWith(holder);
  holder.append(over);
  stage.style.setProperty("--aspect", `${figure.dataset.width} / ${figure.dataset.height}`);

  function choose(select) {
    const source = sources[select.value];
    const image = select.dataset.side === "left" ? under : over;
    image.src = source.src;
    image.alt = source.alt;
    image.classList.toggle("coarse", source.classList.contains("coarse"));
  }

  function split(percent) {
    range.value = clamp(percent, 0, 100);
    stage.style.setProperty("--split", `${range.value}%`);
  }

  function show() {
    view.zoom = clamp(view.zoom, 1, 16);
    view.x = clamp(view.x, 0, 1 - 1 / view.zoom);
    view.y = clamp(view.y, 0, 1 - 1 / view.zoom);
    for (const frame of frames) {
      for (const image of frame.querySelectorAll("img")) {
        image.style.setProperty("--zoom", view.zoom);
        image.style.setProperty("--x", `${-100 * view.zoom * view.x}%`);
        image.style.setProperty("--y", `${-100 * view.zoom * view.y}%`);
      }
    }
    shown.value = `${+view.zoom.toFixed(1)}×`;
    figure.classList.toggle("zoomed", view.zoom > 1);
    figure.classList.toggle("close", view.zoom >= 3);
  }

  // Zoom by a factor about a place, given as fractions of the frame; the place stays where it is.
  function zoom(factor, a = 0.5, b = 0.5) {
    const before = view.zoom;
    view.zoom = clamp(before * factor, 1, 16);
    view.x += a / before - a / view.zoom;
    view.y += b / before - b / view.zoom;
    show();
  }

  function pan(dx, dy) {
    view.x -= dx / view.zoom;
    view.y -= dy / view.zoom;
    show();
  }

  function fractions(event, frame) {
    const box = frame.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  function follow(frame) {
    const fingers = new Map();
    let dividing = false;
    frame.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      fingers.set(event.pointerId, fractions(event, frame));
      dividing = frame === stage && (view.zoom === 1 || event.target.closest(".divider") !== null);
      if (dividing) split(100 * fractions(event, frame)[0]);
      frame.setPointerCapture(event.pointerId);
    });
    frame.addEventListener("pointermove", (event) => {
      const before = fingers.get(event.pointerId);
      if (!before) return;
      const now = fractions(event, frame);
      const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
      if (other) {
        const apart = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]);
        zoom(apart(now) / Math.max(apart(before), 0.01), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
      } else if (dividing) split(100 * now[0]);
      else pan(now[0] - before[0], now[1] - before[1]);
      fingers.set(event.pointerId, now);
    });
    for (const name of ["pointerup", "pointercancel"]) {
      frame.addEventListener(name, (event) => fingers.delete(event.pointerId));
    }
    frame.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return; // the page scrolls
      event.preventDefault();
      zoom(Math.exp(-event.deltaY / 200), ...fractions(event, frame));
    }, { passive: false });
    frame.addEventListener("dblclick", (event) => zoom(view.zoom > 1 ? 0 : 4, ...fractions(event, frame)));
  }

  const keys = {
    "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5), "0": () => zoom(0),
    ArrowLeft: () => pan(0.1, 0), ArrowRight: () => pan(-0.1, 0),
    ArrowUp: () => pan(0, 0.1), ArrowDown: () => pan(0, -0.1),
  };
  stage.addEventListener("keydown", (event) => {
    if (!(event.key in keys) || event.ctrlKey || event.metaKey) return;
    if (view.zoom === 1 && event.key.startsWith("Arrow")) return; // the page scrolls
    event.preventDefault();
    keys[event.key]();
  });
  for (const button of figure.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => zoom(button.dataset.zoom === "in" ? 1.5 : 1 / 1.5));
  }
  for (const select of figure.querySelectorAll("select")) {
    select.addEventListener("change", () => choose(select));
    choose(select);
  }
  range.addEventListener("input", () => split(range.value));
  frames.forEach(follow);
  split(50);
  show();
}

// -- curves: the values at an iteration -----------------------------------------------------------

function chart(svg) {
  const data = JSON.parse(document.getElementById(svg.dataset.chart).textContent);
  const cursor = svg.querySelector(".cursor");
  const tip = svg.parentElement.querySelector(".tip");
  const [low, high, start, end] = data.x;
  const steps = [...new Set(data.curves.flatMap((curve) => curve.points.map((point) => point[0])))];
  steps.sort((a, b) => a - b);
  let at = steps.length - 1;

  const place = (x) => start + ((x - low) / (high - low)) * (end - start);
  const nearest = (points, x) =>
    points.reduce((best, p) => (Math.abs(p[0] - x) < Math.abs(best[0] - x) ? p : best));

  function show() {
    const x = steps[at];
    const lines = data.curves.map((curve) => {
      const [when, value] = nearest(curve.points, x);
      const aside = when === x ? "" : ` (at ${when.toLocaleString("en")})`;
      return `${curve.label}: ${value === null ? "not finite" : value}${aside}`;
    });
    tip.value = [x.toLocaleString("en"), ...lines].join("\n");
    tip.hidden = false;
    cursor.setAttribute("visibility", "visible");
    cursor.setAttribute("transform", `translate(${place(x)} 0)`);
    const fraction = place(x) / svg.viewBox.baseVal.width;
    tip.style.left = fraction < 0.5 ? `calc(${100 * fraction}% + 10px)` : "auto";
    tip.style.right = fraction < 0.5 ? "auto" : `calc(${100 - 100 * fraction}% + 10px)`;
  }

  function hide() {
    tip.hidden = true;
    cursor.setAttribute("visibility", "hidden");
  }

  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const units = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
    const x = low + ((units - start) / (end - start)) * (high - low);
    at = steps.reduce((best, s, i) => (Math.abs(s - x) < Math.abs(steps[best] - x) ? i : best), 0);
    show();
  });
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    at = clamp(at + step, 0, steps.length - 1);
    show();
  });
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("blur", hide);
}

document.querySelectorAll(".viewer").forEach(viewer);
document.querySelectorAll("[data-chart]").forEach(chart);
addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
});
