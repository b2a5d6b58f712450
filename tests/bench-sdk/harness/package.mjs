// Where the package's `exports` lead under a runtime's conditions; the same look-up that bundlers do.
import { mkdir, readFile, rm, symlink } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";

/** The file that `@keyhaven/sdk` (or a subpath such as `./worker`) means under these conditions. */
export async function entry(folder, conditions, subpath = ".") {
  const { exports } = JSON.parse(await readFile(path.join(folder, "package.json"), "utf8"));
  const found = choose(exports[subpath], new Set([...conditions, "import", "default"]));
  if (!found) throw new Error(`the package has no ${subpath} for ${conditions.join()}`);
  return found;
}

/** Lets Node find the package by its name, as if it were installed here; npm would install its build tools, too. */
export async function link(folder) {
  const name = fileURLToPath(new URL("../node_modules/@keyhaven/sdk", import.meta.url));
  await mkdir(path.dirname(name), { recursive: true });
  await rm(name, { force: true });
  await symlink(path.resolve(folder), name);
}

function choose(target, conditions) {
  if (typeof target !== "object" || target === null) return target;
  for (const [condition, value] of Object.entries(target)) {
    const found = conditions.has(condition) && choose(value, conditions);
    if (found) return found;
  }
  return undefined;
}
