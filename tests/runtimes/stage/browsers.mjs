// Starts browsers that the system installed, each with a new profile.
import { mkdir } from 'node:fs/promises';

import puppeteer from 'puppeteer-core';

const BROWSERS = {
  Chromium: {
    browser: 'chrome',
    executablePath: process.env.KEYHAVEN_CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  },
  Firefox: {
    browser: 'firefox',
    executablePath: process.env.KEYHAVEN_FIREFOX ?? '/usr/bin/firefox-esr',
    args: [],
  },
};

/** Opens one; `profile` is a folder for its profile. */
export async function openBrowser(name, profile) {
  await mkdir(profile, { recursive: true });
  return puppeteer.launch({ ...BROWSERS[name], userDataDir: profile, headless: true, protocolTimeout: 60_000 });
}
