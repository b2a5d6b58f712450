// The list of files.
import { fetchHead, listFiles } from "./api.mjs";
import { inspect } from "./haven.mjs";
import { at } from "./panels.mjs";

const ICON = "M5 2h9l5 5v15H5zM14 2v5h5";
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
  const button = element("button", "", "Open");
  button.type = "button";
  button.dataset.testid = "open";
  button.setAttribute("aria-label", `Open ${file.name}`);
  button.addEventListener("click", () => open(file));
  item.append(icon(), text, version, button);
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

function icon() {
  const picture = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  for (const [name, value] of [["viewBox", "0 0 24 24"], ["width", "28"], ["aria-hidden", "true"]]) {
    picture.setAttribute(name, value);
  }
  path.setAttribute("d", ICON);
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
