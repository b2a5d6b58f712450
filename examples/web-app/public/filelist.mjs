// The list of files.
import { fetchHead, listFiles } from "./api.mjs";
import { inspect } from "./haven.mjs";
import { isPlayable } from "./media.mjs";
import { at } from "./panels.mjs";

const PAPER = "M5 2h9l5 5v15H5zM14 2v5h5";
const ICONS = [
  [/^image\//, "M3 4h18v16H3zM3 16l5-5 4 4 3-3 6 6M15.5 8.5h.01"],
  [/^video\//, "M3 5h18v14H3zM10 9l5 3-5 3z"],
  [/^audio\//, "M9 18V5l11-2v13M9 18a3 3 0 1 1-3-3 3 3 0 0 1 3 3zM20 16a3 3 0 1 1-3-3 3 3 0 0 1 3 3z"],
];
const SVG = "http://www.w3.org/2000/svg";

/** Fetches the list and shows it; `open` is called with the file whose button is pressed. */
export async function showFiles(open) {
  const files = await listFiles();
  at("files").replaceChildren(...files.map((file) => row(file, open)));
  await Promise.all(files.map(showVersion));
}

function row(file, open) {
  const item = element("li");
  item.dataset.testid = "file";
  item.dataset.id = file.id;
  const text = element("div");
  const name = element("div", "name", file.name);
  name.title = file.name;
  text.append(name, element("div", "about", `${size(file.size)} · from ${file.owner} · ${time(file.created_at)}`));
  const version = element("span", "version", "…");
  version.dataset.testid = "file-version";
  const verb = isPlayable(file.type) ? "Play" : "Open";
  const button = element("button", "", verb);
  button.type = "button";
  button.dataset.testid = "open";
  button.setAttribute("aria-label", `${verb} ${file.name}`);
  button.addEventListener("click", () => open(file));
  item.append(icon(file.type), text, version, button);
  return item;
}

// The key's version stands in the file's own header, for all to see.
async function showVersion({ id }) {
  const label = document.querySelector(`[data-id="${id}"] .version`);
  const { keyVersion } = await inspect(await fetchHead(id));
  label.textContent = `key v${keyVersion}`;
}

function element(name, className = "", text = "") {
  return Object.assign(document.createElement(name), { className, textContent: text });
}

function icon(type) {
  const picture = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  for (const [name, value] of [["viewBox", "0 0 24 24"], ["width", "28"], ["aria-hidden", "true"]]) {
    picture.setAttribute(name, value);
  }
  path.setAttribute("d", ICONS.find(([known]) => known.test(type))?.[1] ?? PAPER);
  picture.append(path);
  return picture;
}

function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB"];
  const power = Math.min(3, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  const value = bytes / 1024 ** power;
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${units[power]}`;
}

const time = (at) => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
