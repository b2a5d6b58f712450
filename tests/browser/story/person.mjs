// A person at a browser of their own, who uses the example's page as anyone would.
import { setTimeout as sleep } from "node:timers/promises";
import path from "node:path";

import { chromium } from "playwright-core";

const ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const PATIENCE_MS = 60_000;

/** The page showed that it was refused something. */
export class PageRefusal extends Error {
  constructor({ code, detail, request }) {
    super(`${code}: ${detail}`);
    Object.assign(this, { name: "PageRefusal", code, detail, request });
  }
}

export class Person {
  #browser;
  #shots;
  /** All problem documents that this browser was sent, as text. */
  problems = [];

  /** Opens a browser with a new profile, goes to the page and becomes `user`. */
  static async arrive({ user, folder, address, shots, colorScheme = "light" }) {
    const person = new Person();
    person.user = user;
    person.#shots = shots;
    person.#browser = await chromium.launchPersistentContext(path.join(folder, `profile-${user}-${Date.now()}`), {
      executablePath: process.env.KEYHAVEN_CHROMIUM ?? "/usr/bin/chromium",
      args: ARGS,
      viewport: { width: 1200, height: 800 },
      colorScheme,
    });
    person.#browser.setDefaultTimeout(PATIENCE_MS);
    person.page = person.#browser.pages()[0] ?? (await person.#browser.newPage());
    await person.page.route(/-data-key$/, (route) => person.#keepProblem(route));
    await person.goTo(address);
    return person;
  }

  /** Goes to a page of the app and logs in there. */
  async goTo(address) {
    await this.page.goto(address);
    await this.#settled(() => this.at(`user-${this.user}`).check());
    await this.#ready();
  }

  /** Loads the page anew: it then holds no data key. */
  async reload() {
    await this.page.reload();
    await this.#ready();
  }

  /** Encrypts and uploads a file; gives the id it is stored under. */
  async upload(file) {
    await this.#settled(() => this.at("file-input").setInputFiles(file));
    await this.#throwNotice();
    return this.at("file").first().getAttribute("data-id");
  }

  /** Opens the file of that id; gives its SHA-256 as the page computed it. */
  async open(id) {
    await this.#settled(() => this.row(id).getByTestId("open").click());
    await this.#throwNotice();
    return this.at("opened-sha256").textContent();
  }

  /** Plays a video, and seeks to a time; gives its length and where it then is, in seconds. */
  async play(id, seconds) {
    await this.#settled(() => this.row(id).getByTestId("open").click());
    await this.#throwNotice();
    return this.at("video").evaluate(async (video, seconds) => {
      const seeked = new Promise((resolve) => video.addEventListener("seeked", resolve, { once: true }));
      video.currentTime = seconds;
      await seeked;
      return { length: video.duration, at: video.currentTime, width: video.videoWidth };
    }, seconds);
  }

  /** Opens a file and expects to be refused; gives the code that the page shows. */
  async refusedToOpen(id) {
    try {
      await this.open(id);
    } catch (error) {
      if (error instanceof PageRefusal) return error.code;
      throw error;
    }
    return "nothing: it was opened";
  }

  /** The version that the page reads in the file's header. */
  async versionOf(id) {
    const label = this.row(id).getByTestId("file-version");
    await label.filter({ hasText: /v\d/ }).waitFor();
    return label.textContent();
  }

  row(id) {
    return this.page.locator(`[data-testid=file][data-id="${id}"]`);
  }

  at(testId) {
    return this.page.getByTestId(testId);
  }

  /** True if the page shows a decrypted picture. */
  async seesPicture() {
    const picture = this.at("picture");
    await picture.waitFor();
    return picture.evaluate((image) => image.decode().then(() => image.naturalWidth > 0));
  }

  /** Resolves with the time at which the page's lease is shown as ended. */
  leaseEnd() {
    return this.page.evaluate(() => new Promise((resolve) => {
      const label = document.querySelector("[data-testid=lease-state]");
      const look = () => label.dataset.state === "ended" && resolve(Date.now());
      new MutationObserver(look).observe(label, { attributes: true });
      look();
    }));
  }

  async shot(name) {
    await this.page.screenshot({ path: path.join(this.#shots, `${name}.png`), fullPage: true });
  }

  /** The last refusal that came over the network, word for word. */
  async lastProblem() {
    for (let waited = 0; this.problems.length === 0 && waited < 5_000; waited += 20) await sleep(20);
    return this.problems.at(-1) ?? "";
  }

  async leave() {
    await this.#browser.close();
  }

  async #ready() {
    await this.page.locator(`body[data-ready=${this.user}]:not([data-busy])`).waitFor();
  }

  // The page says in its status line how each thing ended.
  async #settled(act) {
    await this.at("status").evaluate((status) => (status.textContent = ""));
    await act();
    await this.page.locator("body:not([data-busy]) [data-testid=status]:not(:empty)").waitFor({ state: "attached" });
  }

  async #throwNotice() {
    if (await this.at("notice").isHidden()) return;
    const text = (id) => this.at(id).textContent();
    throw new PageRefusal({ code: await text("notice-code"), detail: await text("notice-detail"), request: await text("notice-request") });
  }

  // Asked for and handed on by the test: a body that the browser read is not always to be had again.
  async #keepProblem(route) {
    const response = await route.fetch();
    const body = await response.body();
    if (response.status() >= 400) this.problems.push(body.toString());
    await route.fulfill({ response, body });
  }
}
