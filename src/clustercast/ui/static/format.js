// Numbers as people read them. Text only: nothing here makes markup.

const grouped = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

export function short(value, digits = 3) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 10 ** digits) return grouped.format(Number(value.toPrecision(digits + 1)));
  if (size < 1e-3) return value.toExponential(1);
  return String(Number(value.toPrecision(digits)));
}

const PREFIXES = [["P", 1e15], ["T", 1e12], ["G", 1e9], ["M", 1e6], ["k", 1e3], ["", 1]];

export function si(value, unit, digits = 3) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const [prefix, factor] = PREFIXES.find(([, each]) => Math.abs(value) >= each) ?? ["", 1];
  return `${Number((value / factor).toPrecision(digits))} ${prefix}${unit}`;
}

export function people(value, digits = 3) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const steps = [["T", 1e12], ["B", 1e9], ["M", 1e6], ["k", 1e4]];
  const [suffix, factor] = steps.find(([, each]) => Math.abs(value) >= each) ?? ["", 1];
  return suffix === "" ? short(value, 4) : `${Number((value / (suffix === "k" ? 1e3 : factor)).toPrecision(digits))}${suffix}`;
}

export const whole = (value) => grouped.format(value);
export const gib = (bytes) => (bytes === null || bytes === undefined ? "–" : `${short(bytes / 2 ** 30)} GiB`);
export const usd = (value) => (value === null || value === undefined ? "–" : value < 100 ? `$${short(value)}` : `$${people(value)}`);
export const percent = (share) => `${short(100 * share, share < 0.1 ? 2 : 3)} %`;

export function days(value) {
  if (value === null || value === undefined) return "–";
  if (value < 1) return `${short(24 * value, 2)} h`;
  return value < 100 ? value.toFixed(1) : grouped.format(value);
}

export function range(low, high, shown = short) {
  return `${shown(low)} to ${shown(high)}`;
}

export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value >= 1) return `${short(value)} s`;
  if (value >= 1e-3) return `${short(1e3 * value)} ms`;
  return `${short(1e6 * value)} µs`;
}

export function change(now, before) {
  if (!before || !now) return "";
  const share = now / before - 1;
  if (Math.abs(share) < 5e-4) return "as the datasheet";
  return `${share > 0 ? "+" : "−"}${short(100 * Math.abs(share), Math.abs(share) < 0.1 ? 2 : 3)} %`;
}

// A count as people type it: 13T, 10k, 1e12; NaN where it is none.
export function typed(text) {
  const found = /^\s*([0-9]*\.?[0-9]+(?:e[+-]?[0-9]{1,3})?)\s*([kMBGT]?)\s*$/i.exec(text);
  if (!found) return NaN;
  const scale = { "": 1, k: 1e3, m: 1e6, b: 1e9, g: 1e9, t: 1e12 }[found[2].toLowerCase()];
  return Number(found[1]) * scale;
}
