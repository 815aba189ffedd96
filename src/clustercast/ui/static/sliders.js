// What if …: a slider and a number for each part of the chip that is chosen.

import { el, one, put } from "./dom.js";
import { short, si } from "./format.js";
import { NUMBERS } from "./state.js";

const LABELS = {
  flops: ["Compute", "TFLOP/s", 1e12], hbm_bandwidth: ["HBM bandwidth", "TB/s", 1e12], hbm_capacity: ["HBM capacity", "GiB", 2 ** 30],
  scale_up: ["Scale-up link, one way", "GB/s", 1e9], scale_out: ["NIC", "Gbit/s", 1e9 / 8],
};
const SPAN = 3; // doublings either way

// moved(key, value or null, since)
export function sliders(label, base, changes, moved) {
  put(one("what-if-chip"), label);
  const rows = NUMBERS.filter((key) => base?.[key]).map((key) => {
    const [name, unit, scale] = LABELS[key];
    const usual = base[key];
    const id = `set-${key}`;
    const slider = el("input", { type: "range", id: `${id}-slider`, min: -SPAN, max: SPAN, step: 0.05, "aria-label": `${name}, times the datasheet` });
    const field = el("input", { type: "text", inputmode: "decimal", id, "aria-label": `${name} in ${unit}`, maxlength: 12 });
    const times = el("output", { for: `${id} ${id}-slider` });
    function shown(value) {
      slider.value = String(Math.max(-SPAN, Math.min(SPAN, Math.log2(value / usual))));
      slider.setAttribute("aria-valuetext", `${short(value / scale, 4)} ${unit}, ${short(value / usual)} times the datasheet`);
      if (document.activeElement !== field) field.value = String(Number((value / scale).toPrecision(4)));
      times.textContent = `${short(value / usual)} ×`;
    }
    slider.addEventListener("input", (event) => {
      const power = Number(slider.value);
      const value = Math.abs(power) < 0.03 ? usual : Number((usual * 2 ** power).toPrecision(3));
      shown(value);
      moved(key, value === usual ? null : value, event.timeStamp);
    });
    field.addEventListener("input", (event) => {
      const value = Number(field.value) * scale;
      const right = value > 0 && value >= usual / 1e3 && value <= usual * 1e3;
      field.toggleAttribute("aria-invalid", !right);
      if (!right) return;
      shown(value);
      moved(key, Math.abs(value / usual - 1) < 1e-6 ? null : value, event.timeStamp);
    });
    field.addEventListener("blur", () => { field.removeAttribute("aria-invalid"); shown(changes[key] ?? usual); });
    shown(changes[key] ?? usual);
    return el("div", { class: "slider" },
      el("label", { for: id }, name), el("span", { class: "field" }, field, el("span", {}, unit)),
      slider, times, el("small", {}, `datasheet ${key === "hbm_capacity" ? `${short(usual / scale)} GiB` : key === "scale_out" ? `${short(usual / scale)} Gbit/s` : si(usual, key === "flops" ? "FLOP/s" : "B/s")}`));
  });
  put(one("sliders"), rows.length ? rows : el("p", { class: "fine" }, "This chip is not known yet."));
}
